"""The same patient under another arm: a plan made by physics for the patient's own tumour."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.imaging.cube import resample
from flame.imaging.prepare import PreparedCourse, PreparedPatient
from flame.physics.dose import BOOST_FRACTIONS, BOOST_GY, DosePart, DosePlan, plan
from flame.records.patient import ARMS, LABELS, Arm, Course
from flame.records.volume import Grid, Volume, read_volume

__all__ = ["assumed_course", "planned_courses", "prescription_under"]

Mask = NDArray[np.bool_]

_PLANNED = (LABELS["ET"], LABELS["NETC"], LABELS["RC"])

DAYS_TO_START = 14
"""From the last exam to the first fraction, where no course is known yet."""


def assumed_course(patient: PreparedPatient) -> Course:
    """The course that a patient without one is predicted under: 60 Gy in 30 fractions, two weeks after the last exam.

    It is the photon arm of the trial that FLAME's arms follow (NCT04536649), whose other arms are derived from it.
    """
    start = patient.exams[-1].exam.day + DAYS_TO_START
    return Course("photon", 60.0, 30, start, start + _last_day(30))


def prescription_under(arm: Arm, delivered: Course) -> tuple[float, int]:
    """Dose [Gy or Gy(RBE)] and fractions that the same patient would get under `arm`.

    Protons get the photons' number as Gy(RBE); the carbon arm adds its boost to the protons.
    """
    dose, fractions = delivered.prescription_gy, delivered.fractions
    if delivered.arm == "carbon":
        dose, fractions = dose - BOOST_GY, fractions - BOOST_FRACTIONS
    return (dose + BOOST_GY, fractions + BOOST_FRACTIONS) if arm == "carbon" else (dose, fractions)


def planned_courses(patient: PreparedPatient, given: Course, arms: Collection[Arm]) -> dict[Arm, PreparedCourse]:
    """The courses that the patient would have had under `arms`, on the learning grid; the arm given is as delivered.

    The target is the residual tumour and cavity of the last exam before the course. Series of fractions that arms have
    in common are planned once.

    Args:
        given: what was delivered, or `assumed_course`.
        arms: at least one.

    Raises: DataError: if that exam has no label map or brain mask, or the map holds no target.
    """
    delivered = next((course for course in patient.courses if course.course is given), None)
    found = {} if delivered is None else {given.arm: delivered}
    missing = [arm for arm in ARMS if arm in arms and arm not in found]
    if missing:
        gtv, brain, grid = _target(patient, given)
        known: list[DosePart] = []
        for arm in missing:
            made = plan(brain, gtv, grid, arm, *prescription_under(arm, given), known=known)
            known += made.parts
            found[arm] = _prepared(made, arm, given, grid, patient)
    return {arm: found[arm] for arm in arms}


def _prepared(made: DosePlan, arm: Arm, given: Course, planned: Grid, patient: PreparedPatient) -> PreparedCourse:
    dose, fractions = prescription_under(arm, given)
    end = given.start_day + _last_day(fractions)
    course = Course(arm, dose, fractions, given.start_day, end, rbe_model=made.rbe_model)
    grids = (made.dose_gy, made.dose_rbe_gy, made.letd)
    return PreparedCourse(
        course, *(resample(Volume(array, planned), patient.grid).astype(np.float32) for array in grids)
    )


def _last_day(fractions: int) -> int:
    """Day of the last fraction when the first is on Monday, day 0, with five a week."""
    return 7 * ((fractions - 1) // 5) + (fractions - 1) % 5


def _target(patient: PreparedPatient, course: Course) -> tuple[Mask, Mask, Grid]:
    """What a plan aims at and the brain around it, on the grid of the last exam before the course."""
    before = [exam.exam for exam in patient.exams if exam.exam.day <= course.start_day]
    exam = before[-1] if before else None
    if exam is None or exam.label_map is None or exam.brain_mask is None:
        raise DataError(
            f"Patient {patient.patient.id}: no exam before radiotherapy with a label map and a brain mask",
            "Add them; a plan for another arm needs to know where the target and the head are.",
        )
    labels, brain = read_volume(exam.label_map), read_volume(exam.brain_mask)
    gtv = np.isin(labels.array, _PLANNED)
    if not gtv.any():
        raise DataError(
            f"Patient {patient.patient.id}: the exam before radiotherapy shows neither tumour core nor cavity",
            "There is nothing to plan for; outline the target first.",
        )
    return gtv, brain.array > 0, labels.grid
