"""The same patient under another arm."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flame.errors import DataError
from flame.evaluation.counterfactual import planned_courses, prescription_under
from flame.imaging.cube import Crop
from flame.imaging.prepare import PreparedPatient, prepare_patient
from flame.records.patient import LABELS, Arm, Course, Exam, Patient
from flame.records.volume import Grid, Volume, write_volume

GRID = Grid((32, 32, 32), np.diag([4.0, 4.0, 4.0, 1.0]))


def course(arm: Arm, dose: float, fractions: int) -> Course:
    return Course(arm, dose, fractions, 0, 42)


@pytest.mark.parametrize(
    ("delivered", "arm", "expected"),
    [
        (course("photon", 60, 30), "photon", (60, 30)),
        (course("photon", 60, 30), "proton", (60, 30)),
        (course("photon", 60, 30), "carbon", (75, 33)),
        (course("carbon", 75, 33), "photon", (60, 30)),
        (course("proton", 40.05, 15), "carbon", (55.05, 18)),
    ],
)
def test_prescriptions_follow_the_trial(delivered: Course, arm: Arm, expected: tuple[float, int]) -> None:
    assert prescription_under(arm, delivered) == pytest.approx(expected)


@pytest.fixture
def patient(tmp_path: Path) -> PreparedPatient:
    """A head of 50 mm radius with a tumour of 12 mm, treated with photons."""
    distance = np.sqrt((((np.indices(GRID.shape) - 15.5) * 4.0) ** 2).sum(0))
    labels = np.where(distance <= 12, LABELS["ET"], 0).astype(np.uint8)
    write_volume(tmp_path / "labels.nii.gz", Volume(labels, GRID))
    write_volume(tmp_path / "brain.nii.gz", Volume((distance <= 50).astype(np.uint8), GRID))
    exam = Exam(-14, label_map=tmp_path / "labels.nii.gz", brain_mask=tmp_path / "brain.nii.gz")
    record = Patient("p1", exams=(exam,), courses=(course("photon", 60, 30),))
    return prepare_patient(record, Crop(spacing_mm=4.0, size=16))


def test_another_arm_is_planned_for_the_patients_own_tumour(patient: PreparedPatient) -> None:
    delivered = patient.courses[0]
    carbon = planned_courses(patient, delivered.course, ["carbon"])["carbon"]
    tumour = patient.exams[0].label_map == LABELS["ET"]
    assert (carbon.course.arm, carbon.course.prescription_gy, carbon.course.fractions) == ("carbon", 75, 33)
    assert carbon.course.end_day == 44  # 33 fractions, five a week from a Monday
    assert np.median(carbon.dose_rbe_gy[tumour]) == pytest.approx(75, rel=0.03)
    assert np.median(carbon.dose_gy[tumour]) < np.median(carbon.dose_rbe_gy[tumour])
    assert carbon.letd[tumour].mean() > 3  # keV/um; protons alone have about 2


def test_arms_planned_together_are_the_same_as_alone(patient: PreparedPatient) -> None:
    given = patient.courses[0].course
    together = planned_courses(patient, given, ["carbon", "photon", "proton"])
    alone = planned_courses(patient, given, ["carbon"])["carbon"]
    assert list(together) == ["carbon", "photon", "proton"]
    assert together["carbon"].course == alone.course
    for name in ("dose_gy", "dose_rbe_gy", "letd"):
        np.testing.assert_array_equal(getattr(together["carbon"], name), getattr(alone, name))


def test_the_delivered_arm_is_left_as_it_was_delivered(patient: PreparedPatient) -> None:
    assert planned_courses(patient, patient.courses[0].course, ["photon"])["photon"] is patient.courses[0]


def test_without_a_target_there_is_no_plan(patient: PreparedPatient, tmp_path: Path) -> None:
    oedema = np.where(np.arange(32)[:, None, None] < 3, LABELS["SNFH"], 0) * np.ones(GRID.shape)
    write_volume(tmp_path / "labels.nii.gz", Volume(oedema.astype(np.uint8), GRID))
    with pytest.raises(DataError, match="neither tumour core nor cavity"):
        planned_courses(patient, patient.courses[0].course, ["proton"])


def test_without_a_brain_mask_there_is_no_plan(patient: PreparedPatient) -> None:
    exams = tuple(replace(exam, exam=replace(exam.exam, brain_mask=None)) for exam in patient.exams)
    with pytest.raises(DataError, match="label map and a brain mask"):
        planned_courses(replace(patient, exams=exams), patient.courses[0].course, ["proton"])
