"""Views of a patient: what a model could have looked at on some day, and what became of the tumour after that.

A model of a context is asked at one exam. What happened between later exams obeys the same laws, so a patient who came
often is a lesson more than once: each later exam takes the place of the last one that the context shows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flame.imaging.prepare import Context, PreparedCourse, PreparedExam, PreparedPatient, observed
from flame.learning.targets import FIRST_HORIZON, HORIZONS, WINDOW_DAYS, horizons_of, targets

__all__ = ["LAST_VIEW", "View", "views"]

LAST_VIEW = HORIZONS[1] + WINDOW_DAYS
"""Last day after the end of a course on which an exam begins a view; later ones have hardly a future to learn from."""


@dataclass(frozen=True, eq=False)
class View:
    """The exams that are shown, and the truth at each planned horizon of the context.

    `labels` uint8 (horizons, x, y, z); `days` float32 (horizons,) [days since the end of the course], NaN where the
    truth is not known or lies in the past.
    """

    exams: tuple[PreparedExam, ...]
    labels: NDArray[np.uint8]
    days: NDArray[np.float32]


def views(patient: PreparedPatient, course: PreparedCourse, context: Context) -> list[View]:
    """What the context shows of a patient, and then each later exam in the place of its last one.

    Later views are those with a future to learn from; the first is there in any case.

    Raises: DataError: if an exam or a label map that the context needs is missing.
    """
    own = observed(patient, course, context)
    later = [_view(patient, course, context, (*own[:-1], exam)) for exam in _later(patient, course, own)]
    return [_view(patient, course, context, own), *(view for view in later if np.isfinite(view.days).any())]


def _later(patient: PreparedPatient, course: PreparedCourse, own: Sequence[PreparedExam]) -> Iterator[PreparedExam]:
    """Outlined exams after the last one that the context shows, and no sooner after radiotherapy than the first."""
    end = course.course.end_day
    first = max(own[-1].exam.day + 1, end + FIRST_HORIZON - WINDOW_DAYS // 2)
    for exam in patient.exams:
        if exam.label_map is not None and first <= exam.exam.day <= end + LAST_VIEW:
            yield exam


def _view(patient: PreparedPatient, course: PreparedCourse, context: Context, exams: tuple[PreparedExam, ...]) -> View:
    horizons = horizons_of(context)
    labels = np.zeros((len(horizons), *patient.grid.shape), np.uint8)
    days = np.full(len(horizons), np.nan, np.float32)
    shown = exams[-1].exam.day - course.course.end_day
    for target in targets(patient, course, horizons):
        if target.horizon > shown:
            number = horizons.index(target.nominal)
            labels[number], days[number] = target.label_map, target.horizon
    return View(exams, labels, days)
