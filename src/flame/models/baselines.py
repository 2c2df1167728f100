"""Plain baselines of evolution with the face of a network: nothing changes, and the volume goes on as before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from flame.imaging.prepare import Context, PreparedCourse, PreparedPatient, observed
from flame.models.encoding import region_maps
from flame.models.prediction import EvolutionModel, Maps

__all__ = ["BASELINES", "Persistence", "VolumeTrend"]

LARGEST_FACTOR = 4.0
"""Bound on how far a volume is extrapolated, up or down."""


@dataclass(frozen=True)
class Persistence:
    """Nothing changes: the last map that the context allows to see, at every horizon."""

    context: Context

    def predict(self, patient: PreparedPatient, course: PreparedCourse, horizon: int) -> Maps:
        """See `prediction.EvolutionModel`; probabilities are 0 and 1."""
        return self.predict_many(patient, course, [horizon])[0]

    def predict_many(self, patient: PreparedPatient, course: PreparedCourse, horizons: Sequence[int]) -> list[Maps]:
        """See `prediction.EvolutionModel`."""
        last = region_maps(_label_maps(patient, course, self.context)[-1][1]).astype(np.float32)
        return [last.copy() for _ in horizons]


@dataclass(frozen=True)
class VolumeTrend:
    """Each region's volume goes on exponentially between the two exams seen, and its last map grows or shrinks to it.

    The volume is extrapolated log-linearly in time, by a factor of 4 at most; the map is dilated or eroded by distance
    within the brain. With one exam only there is no trend, and it is persistence.
    """

    context: Context

    def predict(self, patient: PreparedPatient, course: PreparedCourse, horizon: int) -> Maps:
        """See `prediction.EvolutionModel`; probabilities are 0 and 1."""
        return self.predict_many(patient, course, [horizon])[0]

    def predict_many(self, patient: PreparedPatient, course: PreparedCourse, horizons: Sequence[int]) -> list[Maps]:
        """See `prediction.EvolutionModel`."""
        exams = _label_maps(patient, course, self.context)
        last_day, last = exams[-1][0], region_maps(exams[-1][1])
        if len(exams) == 1:
            return [last.astype(np.float32) for _ in horizons]
        first_day, first = exams[0][0], region_maps(exams[0][1])
        found = []
        for horizon in horizons:
            ahead = (course.course.end_day + horizon - last_day) / max(last_day - first_day, 1)
            maps = [_grown(now, before, ahead, patient.brain) for now, before in zip(last, first, strict=True)]
            found.append(np.stack(maps).astype(np.float32))
        return found


BASELINES: Mapping[str, Callable[[Context], EvolutionModel]] = {"persistence": Persistence, "volume_trend": VolumeTrend}
"""Evolution baselines by name; each is built from a context."""


def _label_maps(
    patient: PreparedPatient, course: PreparedCourse, context: Context
) -> list[tuple[int, NDArray[np.uint8]]]:
    exams = observed(patient, course, context)
    return [(exam.exam.day, exam.label_map) for exam in exams if exam.label_map is not None]


def _grown(
    now: NDArray[np.bool_], before: NDArray[np.bool_], ahead: float, brain: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The region with its volume extrapolated `ahead` intervals beyond the two exams."""
    voxels = int(now.sum())
    if voxels == 0 or not before.any():
        return now
    factor = float(np.clip((voxels / int(before.sum())) ** ahead, 1 / LARGEST_FACTOR, LARGEST_FACTOR))
    allowed = brain | now
    outside = distance_transform_edt(~now) - distance_transform_edt(now)
    order = np.argsort(outside[allowed], kind="stable")
    chosen = np.zeros(int(allowed.sum()), bool)
    chosen[order[: max(1, round(voxels * factor))]] = True
    grown = np.zeros_like(now)
    grown[allowed] = chosen
    return grown
