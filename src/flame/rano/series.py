"""A patient's exams from label maps to readings: targets that stay the same lesions, new lesions, what else grew.

A reading depends on the criteria, because they say which exam is the baseline that targets are chosen at.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flame.rano.criteria import assess
from flame.rano.lesions import ExamLesions, Side, Sighting, follow
from flame.rano.measure import Lesion, Measurement, Volumes, measure, volumes
from flame.rano.presets import RANO_2, Criteria
from flame.rano.readings import NewLesion, Reading
from flame.records.patient import REGIONS

__all__ = ["NON_TARGET_FLOOR_ML", "NON_TARGET_INCREASE", "Findings", "Scan", "read"]

Part = Literal["target", "other", "new"]
_PARTS: tuple[Part, ...] = ("target", "other", "new")

NON_TARGET_INCREASE = 0.40
NON_TARGET_FLOOR_ML = 0.52
"""Growth of all lesions that are no targets, over the smallest volume since the baseline, that counts as unequivocal:
the share and the least volume. No criteria state numbers; these are those of the targets by volume."""


@dataclass(frozen=True, eq=False)
class Scan:
    """One exam: its label map, integers 0 to 4 (x, y, z), RAS, and what the chart says. Unknown is None.

    `horizon` is in days since the end of radiotherapy; the rest is as in `Reading`.
    """

    horizon: int
    label_map: NDArray[Any] | None
    clinical_worse: bool | None = None
    steroid_mg: float | None = None
    surgery: bool | None = None


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found in one exam.

    Attributes:
        reading: what the criteria get.
        volumes: of the regions; None without a label map, like the next two.
        measurement: lesions of enhancing tumour.
        lesions: the same lesions on their tracks.
        targets: places of the target lesions in `measurement.lesions`.
        new: places of those that the baseline did not show, measurable or not.
    """

    reading: Reading
    volumes: Volumes | None = None
    measurement: Measurement | None = None
    lesions: ExamLesions | None = None
    targets: tuple[int, ...] = ()
    new: tuple[int, ...] = ()


def read(
    scans: Sequence[Scan],
    spacing_mm: Sequence[float],
    criteria: Criteria = RANO_2,
    *,
    high_dose: NDArray[np.bool_] | None = None,
) -> tuple[Findings, ...]:
    """Measure and read a series of exams.

    Args:
        scans: in order of horizon, at most one a day, label maps on one grid.
        spacing_mm: edges of a voxel [mm].
        criteria: say which exam is the baseline, and how many targets there are.
        high_dose: the radiation field on the same grid, see `lesions.high_dose_region`; None if no dose is known.

    Returns: one for each scan.
    Raises: ValueError: if scans are not in order, grids differ, or a label map holds other values than 0 to 4.
    """
    regions = [None if one.label_map is None else volumes(one.label_map, spacing_mm) for one in scans]
    measured = [None if one.label_map is None else _measured(one.label_map, spacing_mm, criteria) for one in scans]
    tracks = follow([None if one is None else one.lesion_map for one in measured], spacing_mm, high_dose=high_dose)
    bare = [_bare(*parts) for parts in zip(scans, regions, measured, strict=True)]
    baselines = [call.baseline for call in assess(bare, replace(criteria, quantity="et_ml"))]
    exams = [_Exam(*parts) for parts in zip(bare, regions, measured, tracks, strict=True)]
    return tuple(_found(exams[: place + 1], baseline, criteria) for place, baseline in enumerate(baselines))


def _measured(label_map: NDArray[Any], spacing_mm: Sequence[float], criteria: Criteria) -> Measurement:
    return measure(np.isin(label_map, REGIONS["ET"]), spacing_mm, max_targets=criteria.max_targets)


def _bare(scan: Scan, found: Volumes | None, measured: Measurement | None) -> Reading:
    """The reading as far as it does not depend on other exams; specks that are no lesions are no tumour either."""
    return Reading(
        scan.horizon,
        et_ml=None if measured is None else sum(lesion.volume_ml for lesion in measured.lesions),
        tc_ml=None if found is None else found.tc.ml,
        clinical_worse=scan.clinical_worse,
        steroid_mg=scan.steroid_mg,
        surgery=scan.surgery,
    )


@dataclass(frozen=True, eq=False)
class _Exam:
    bare: Reading
    volumes: Volumes | None
    measurement: Measurement | None
    lesions: ExamLesions | None

    @property
    def sighted(self) -> list[tuple[Lesion, Sighting]]:
        """Lesions with where they belong; none without a label map."""
        if self.measurement is None or self.lesions is None:
            return []
        return list(zip(self.measurement.lesions, self.lesions.sightings, strict=True))


def _found(exams: Sequence[_Exam], baseline: int | None, criteria: Criteria) -> Findings:
    """Findings of the last of `exams`; without a baseline it serves as its own."""
    exam = exams[-1]
    if exam.measurement is None:
        return Findings(exam.bare)
    at = next((place for place, one in enumerate(exams) if one.bare.horizon == baseline), len(exams) - 1)
    parts = _Parts()
    other_ml = []
    for place, one in enumerate(exams):
        parts.see(one, place - at)
        if place >= at and one.measurement is not None:
            other_ml.append(sum(lesion.volume_ml for lesion, seen in one.sighted if parts.of[seen.track] == "other"))
    played = [parts.of[seen.track] for _, seen in exam.sighted]
    targets, new = (tuple(at for at, part in enumerate(played) if part == wanted) for wanted in ("target", "new"))
    measurable, new_lesion = exam.measurement.measurable, parts.new_lesion(exam, lambda one: one.measurable)
    otherwise = (_turned(exam.sighted), parts.new_lesion(exam, lambda one: one.measurable != one.borderline))
    reading = replace(
        exam.bare,
        spd_mm2=sum(exam.measurement.lesions[place].product_mm2 for place in targets),
        measurable=measurable,
        target_measurable=any(exam.measurement.lesions[place].measurable for place in targets),
        new_lesion=new_lesion,
        otherwise=None if otherwise == (measurable, new_lesion) else otherwise,
        non_target_worse=criteria.quantity == "spd_mm2" and _has_grown(other_ml),
    )
    return Findings(reading, exam.volumes, exam.measurement, exam.lesions, targets, new)


@dataclass(eq=False)
class _Parts:
    """The part that each track plays: a target, another lesion that is not new, or new since the baseline."""

    of: dict[int, Part] = field(default_factory=dict)
    sides: dict[int, Side | None] = field(default_factory=dict)

    def see(self, exam: _Exam, since_baseline: int) -> None:
        """Take up the next exam; the baseline is number 0."""
        if since_baseline == 0 and exam.bare.surgery:  # what comes back after it was removed is new
            self.of, self.sides = dict.fromkeys(self.of, "new"), dict.fromkeys(self.of)
        targets = () if exam.measurement is None or since_baseline != 0 else exam.measurement.targets
        for lesion, sighting in exam.sighted:
            track, former = sighting.track, sighting.former
            if since_baseline <= 0:
                self.of[track] = "target" if lesion in targets else "other"
            elif sighting.event == "new":
                self.of[track], self.sides[track] = "new", sighting.side
            elif sighting.event == "split":
                self.of[track], self.sides[track] = self.of[former[0]], self.sides.get(former[0])
            elif sighting.event == "merged":
                self.of[track] = min((self.of[one] for one in former), key=_PARTS.index)

    def new_lesion(self, exam: _Exam, counts: Callable[[Lesion], bool]) -> NewLesion:
        """Whether an exam shows a new lesion that counts; one outside the field weighs most."""
        tracks = [seen.track for lesion, seen in exam.sighted if counts(lesion) and self.of[seen.track] == "new"]
        if not tracks:
            return "none"
        sides = {self.sides[track] for track in tracks}
        if "out_field" in sides:
            return "out_field"
        return "side_unknown" if None in sides else "in_field"


def _turned(sighted: Sequence[tuple[Lesion, Sighting]]) -> bool:
    """Whether any lesion is measurable if borderline ones are taken the other way."""
    return any(lesion.measurable != lesion.borderline for lesion, _ in sighted)


def _has_grown(series_ml: Sequence[float]) -> bool:
    """Whether the last volume has grown over the smallest before it."""
    *earlier, last = series_ml
    if not earlier:
        return False
    smallest = min(earlier)
    return last - smallest >= max(NON_TARGET_INCREASE * smallest, NON_TARGET_FLOOR_ML)
