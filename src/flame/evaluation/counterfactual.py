"""The same patient under another arm: a plan made by physics for the patient's own tumour."""

import numpy as np

from flame.errors import DataError
from flame.imaging.cube import resample
from flame.imaging.prepare import PreparedCourse, PreparedPatient
from flame.physics.dose import BOOST_FRACTIONS, BOOST_GY, plan
from flame.records.patient import LABELS, Arm, Course, Exam
from flame.records.volume import Volume, read_volume

__all__ = ["assumed_course", "planned_course", "prescription_under"]

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


def planned_course(patient: PreparedPatient, given: Course, arm: Arm) -> PreparedCourse:
    """The course that the patient would have had under `arm`, on the learning grid; the delivered one if it is that.

    The target is the residual tumour and cavity of the last exam before the course.

    Args:
        given: what was delivered, or `assumed_course`.

    Raises: DataError: if that exam has no label map or brain mask, or the map holds no target.
    """
    delivered = next((course for course in patient.courses if course.course is given), None)
    if delivered is not None and arm == given.arm:
        return delivered
    exam = _planning_exam(patient, given)
    assert exam.label_map is not None
    assert exam.brain_mask is not None
    labels, brain = read_volume(exam.label_map), read_volume(exam.brain_mask)
    gtv = np.isin(labels.array, _PLANNED)
    if not gtv.any():
        raise DataError(
            f"Patient {patient.patient.id}: the exam before radiotherapy shows neither tumour core nor cavity",
            "There is nothing to plan for; outline the target first.",
        )
    dose, fractions = prescription_under(arm, given)
    made = plan(brain.array > 0, gtv, labels.grid, arm, dose, fractions)
    end = given.start_day + _last_day(fractions)
    course = Course(arm, dose, fractions, given.start_day, end, rbe_model=made.rbe_model)
    grids = (made.dose_gy, made.dose_rbe_gy, made.letd)
    cut = (resample(Volume(array, labels.grid), patient.grid).astype(np.float32) for array in grids)
    return PreparedCourse(course, *cut)


def _last_day(fractions: int) -> int:
    """Day of the last fraction when the first is on Monday, day 0, with five a week."""
    return 7 * ((fractions - 1) // 5) + (fractions - 1) % 5


def _planning_exam(patient: PreparedPatient, course: Course) -> Exam:
    before = [exam.exam for exam in patient.exams if exam.exam.day <= course.start_day]
    if not before or before[-1].label_map is None or before[-1].brain_mask is None:
        raise DataError(
            f"Patient {patient.patient.id}: no exam before radiotherapy with a label map and a brain mask",
            "Add them; a plan for another arm needs to know where the target and the head are.",
        )
    return before[-1]
