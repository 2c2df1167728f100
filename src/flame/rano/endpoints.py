"""Responder or not: named endpoints from a series of exams after radiotherapy.

`disease_control` follows the volumetric rule of RANO 2.0 (Wen et al., J Clin Oncol 2023;41:5187; details that were not
checked against the paper are marked in `VolumetricRule`). All times are horizons: days since the end of radiotherapy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.rano.measure import measure
from flame.records.patient import REGIONS

__all__ = ["RANO_2_VOLUMETRIC", "Assessment", "VolumetricRule", "assess", "disease_control"]

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Assessment:
    """What one exam shows: `et_ml` volume of enhancing tumour, `measurable` whether any lesion is measurable.

    `horizon` is in days since the end of radiotherapy, below 0 before it. Unknown is `None`: no label map, no volume.
    """

    horizon: int
    et_ml: float | None
    measurable: bool | None = None

    def __post_init__(self) -> None:
        if self.et_ml is not None and not 0 <= self.et_ml < float("inf"):
            raise ValueError(f"a volume is >= 0 ml or None, got {self.et_ml} at horizon {self.horizon}")


@dataclass(frozen=True)
class VolumetricRule:
    """The numbers of the volumetric rule.

    Args:
        increase: growth over the nadir, as a share, from which on an exam shows progression; 1.25^1.5 - 1 = 0.40, what
            25 % more in two dimensions is in three.
        floor_ml: growth [ml] that a reader could measure: a sphere of 10 mm. Less is never progression, unless a
            measurable lesion comes where there was nothing.
        baseline_days: window of the baseline exam (first exam in it) that RANO 2.0 prefers (unverified).
        late_baseline_days: wider window, if there is no exam in the preferred one.
        early_until: last horizon at which progression could be pseudoprogression and waits for a later exam
            (12 weeks; unverified).
        confirmed_after: days after which an exam can confirm (4 weeks; unverified).
        window_days: how far from the day asked for an exam may lie and still answer for that day.
    """

    increase: float = 0.40
    floor_ml: float = 0.52
    baseline_days: tuple[int, int] = (21, 35)
    late_baseline_days: tuple[int, int] = (14, 60)
    early_until: int = 84
    confirmed_after: int = 28
    window_days: int = 30


RANO_2_VOLUMETRIC = VolumetricRule()


def assess(label_maps: Mapping[int, NDArray[Any] | None], spacing_mm: Sequence[float]) -> tuple[Assessment, ...]:
    """Assess label maps, in order of horizon.

    Args:
        label_maps: by horizon, integers 0 to 4 (x, y, z), RAS; `None` where an exam has no label map.
        spacing_mm: edges of a voxel [mm].
    """
    return tuple(_assessment(horizon, label_maps[horizon], spacing_mm) for horizon in sorted(label_maps))


def _assessment(horizon: int, label_map: NDArray[Any] | None, spacing_mm: Sequence[float]) -> Assessment:
    if label_map is None:
        return Assessment(horizon, None, None)
    found = measure(np.isin(label_map, REGIONS["ET"]), spacing_mm)
    return Assessment(horizon, found.volume_ml, found.measurable)


def disease_control(
    assessments: Sequence[Assessment],
    *,
    death_horizon: int | None = None,
    at_day: int = 182,
    rule: VolumetricRule = RANO_2_VOLUMETRIC,
) -> bool | None:
    """Whether the patient lives without progression at a day after radiotherapy.

    Progression is growth over the nadir, the smallest volume since the baseline exam, the judged exam left out. In the
    first 12 weeks it counts only if the next exam, at least 4 weeks later, is still above the same threshold; it is
    then dated back, and that exam may lie after the day asked for.

    Args:
        assessments: exams in any order; those before the baseline exam, and those without a volume, are not used.
        death_horizon: day of death, or `None` while none is known.
        at_day: day asked for [days since the end of radiotherapy].
        rule: its numbers.

    Returns: `False` after progression or death up to that day; `True` if the exam nearest to that day, within the
        window, shows none; `None` if it cannot be known (yet): no baseline, no exam in the window, or early
        progression that nothing has confirmed or refuted.
    """
    if death_horizon is not None and death_horizon <= at_day:
        return False
    known = [(one.horizon, one.et_ml, one.measurable) for one in assessments if one.et_ml is not None]
    series = [_Exam(*values) for values in sorted(known, key=lambda values: values[0])]
    baseline = _baseline(series, rule)
    if baseline is None:
        return None
    answer = _answering(series, at_day, rule)
    last = at_day - rule.window_days if answer is None else answer.horizon
    judged = [_progression(series, exam, baseline, rule) for exam in series if baseline.horizon < exam.horizon <= last]
    if True in judged:
        return False
    return None if answer is None or answer.horizon < baseline.horizon or None in judged else True


@dataclass(frozen=True)
class _Exam:
    """An assessment whose volume is known."""

    horizon: int
    et_ml: float
    measurable: bool | None


def _baseline(series: Sequence[_Exam], rule: VolumetricRule) -> _Exam | None:
    """The first exam in the preferred window, else the first in the wider one."""
    for first, last in (rule.baseline_days, rule.late_baseline_days):
        for exam in series:
            if first <= exam.horizon <= last:
                return exam
    return None


def _answering(series: Sequence[_Exam], at_day: int, rule: VolumetricRule) -> _Exam | None:
    """The exam that answers for a day: the nearest within the window, of two equally near ones the earlier."""
    near = [exam for exam in series if abs(exam.horizon - at_day) <= rule.window_days]
    return min(near, key=lambda exam: (abs(exam.horizon - at_day), exam.horizon), default=None)


def _progression(series: Sequence[_Exam], exam: _Exam, baseline: _Exam, rule: VolumetricRule) -> bool | None:
    """Whether an exam after the baseline shows progression; `None` if it is early and no exam has confirmed it yet."""
    nadir_ml = min(one.et_ml for one in series if baseline.horizon <= one.horizon < exam.horizon)
    if not _above(exam, nadir_ml, rule):
        return False
    if exam.horizon > rule.early_until:
        return True
    later = (one for one in series if one.horizon >= exam.horizon + rule.confirmed_after)
    confirming = next(later, None)
    return None if confirming is None else _above(confirming, nadir_ml, rule)


def _above(exam: _Exam, nadir_ml: float, rule: VolumetricRule) -> bool:
    """Whether a volume has grown over a nadir by the rule's share and by what can be measured, bounds included.

    Where there was nothing, a percentage means nothing: the new lesion must be measurable.
    """
    if nadir_ml == 0 and exam.measurable is not None:
        return exam.measurable
    growth_ml = exam.et_ml - nadir_ml
    return growth_ml >= (1 - _ROUNDING) * max(rule.increase * nadir_ml, rule.floor_ml)
