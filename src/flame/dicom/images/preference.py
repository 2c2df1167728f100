"""Which of several series of one sequence serves best, and why: the first preference that differs decides."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flame.dicom.series import Series

__all__ = ["choose"]

_WHOLE_HEAD_MM = 120.0
_THICKEST_MM = 99.0


@dataclass(frozen=True)
class _Preference:
    """More is better. `why` says what the better one has; `measure` is quoted of both."""

    rank: Callable[[Series], float]
    why: str
    measure: Callable[[Series], str] | None = None


def _step(series: Series) -> float:
    return max(series.spacing_mm) if series.spacing_mm else _THICKEST_MM


def _voxel(series: Series) -> float:
    return math.prod(series.spacing_mm) if series.spacing_mm else _THICKEST_MM**3


def _covered(series: Series) -> float:
    return min(series.extent_mm) if series.extent_mm else 0.0


def _moment(series: Series) -> float:
    return (series.date.toordinal() if series.date else 0) * 86400.0 + (series.seconds or 0.0)


_PREFERENCES = (
    _Preference(lambda one: not one.derived, "acquired as it is, the other is a reformat"),
    _Preference(
        lambda one: _covered(one) >= _WHOLE_HEAD_MM, "covers the whole head", lambda one: f"{_covered(one):.0f} mm"
    ),
    _Preference(lambda one: one.three_d, "3-D, the other 2-D"),
    _Preference(lambda one: -round(_step(one) * 2), "thinner slices", lambda one: f"{_step(one):.1f} mm"),
    _Preference(
        lambda one: -round(math.log(max(_voxel(one), 1e-3), 1.25)), "finer voxels", lambda one: f"{_voxel(one):.2g} mm³"
    ),
    _Preference(lambda one: not one.fat_suppressed, "fat is not suppressed"),
    _Preference(lambda one: one.corrected, "better corrected for distortion"),
    _Preference(_moment, "the later repeat of the same"),
    _Preference(lambda one: one.number, "the later repeat of the same, by its number"),
)


def choose(series: Sequence[Series]) -> tuple[Series, dict[str, str]]:
    """The one of several series of the same sequence and exam that serves best.

    Acquired rather than reformatted, whole head, 3-D, thin slices (to half a millimetre), small voxels (to a quarter),
    fat not suppressed, corrected for distortion, the later repeat: in this order.

    Returns: the series, and why it was taken before each other one, by the other's uid.
    Raises: ValueError: if there is none.
    """
    if not series:
        raise ValueError("there is no series to choose from")
    ranked = sorted(series, key=lambda one: (*(rule.rank(one) for rule in _PREFERENCES), one.uid), reverse=True)
    best = ranked[0]
    return best, {other.uid: _why(best, other) for other in ranked[1:]}


def _why(best: Series, other: Series) -> str:
    for rule in _PREFERENCES:
        if rule.rank(best) != rule.rank(other):
            measure = f" ({rule.measure(best)} against {rule.measure(other)})" if rule.measure else ""
            return rule.why + measure
    return "equal in every respect"
