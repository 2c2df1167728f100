"""What evolution is trained and scored on: the label maps of later exams, at the nearest planned horizon."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flame.imaging.prepare import Context, PreparedCourse, PreparedPatient

__all__ = ["HORIZONS", "Target", "horizons_of", "targets"]

HORIZONS = (91, 182, 273, 365)
"""Planned horizons [days since the end of radiotherapy]."""

FIRST_HORIZON = 28
"""The exam that `first_post_rt` is allowed to see, and `pre_rt` predicts."""

WINDOW_DAYS = 30
"""An exam counts for a horizon if it is no further away than this; of several, the nearest does."""


@dataclass(frozen=True, eq=False)
class Target:
    """A label map uint8 (x, y, z) seen `horizon` days after the course's end, for the planned horizon `nominal`."""

    nominal: int
    horizon: int
    label_map: NDArray[np.uint8]


def horizons_of(context: Context) -> tuple[int, ...]:
    """The planned horizons that a model of this context is trained on."""
    return HORIZONS if context == "first_post_rt" else (FIRST_HORIZON, *HORIZONS)


def targets(patient: PreparedPatient, course: PreparedCourse, horizons: Sequence[int]) -> list[Target]:
    """The truth at each of the planned horizons that was imaged and outlined."""
    found = []
    for nominal in horizons:
        seen = [
            Target(nominal, exam.exam.day - course.course.end_day, exam.label_map)
            for exam in patient.exams
            if exam.label_map is not None and abs(exam.exam.day - course.course.end_day - nominal) <= WINDOW_DAYS
        ]
        found += sorted(seen, key=lambda target: abs(target.horizon - nominal))[:1]
    return found
