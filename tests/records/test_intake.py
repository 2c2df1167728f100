"""An intake folder: what is written comes back, and a record never names what is not there."""

import numpy as np
import pytest
from pydantic import ValidationError

from flame.errors import DataError
from flame.records.intake import (
    IntakeCourse,
    IntakeExam,
    IntakeImage,
    IntakePatient,
    Outline,
    intake_patients,
    patient_file,
    read_intake,
    write_intake,
)
from flame.records.volume import Grid, Volume, write_volume

OBLIQUE = Grid((4, 3, 2), np.array([[0.0, -0.9, 0.1, 5], [0.9, 0, 0, -3], [0, 0.1, 5.5, 2], [0, 0, 0, 1]]))


@pytest.fixture
def patient(tmp_path):
    for name in ("1/T1ce.nii.gz", "1/labels.nii.gz", "course-1/dose.nii.gz"):
        write_volume(tmp_path / "A1" / name, Volume(np.ones(OBLIQUE.shape, np.uint8), OBLIQUE))
    exam = IntakeExam(
        day=-7,
        day_tolerance=3.5,
        images={"T1ce": IntakeImage(file="1/T1ce.nii.gz", frame="f1", notes=("3-D",))},
        outlines=(Outline(file="1/labels.nii.gz", shows="labels", frame="f1", known=(1, 3), author="machine"),),
        already_prepared=frozenset({"aligned"}),
    )
    dose = IntakeImage(file="course-1/dose.nii.gz", frame="f2")
    course = IntakeCourse(arm="proton", prescription_gy=60, fractions=30, start_day=0, end_day=39, dose=dose)
    return IntakePatient(id="A1", source="dicom", age=61.5, exams=(exam,), courses=(course,))


def test_what_is_written_comes_back(tmp_path, patient):
    write_intake(tmp_path, patient)
    assert intake_patients(tmp_path) == ("A1",)
    assert read_intake(tmp_path, "A1") == patient


def test_a_record_is_not_written_before_its_files(tmp_path, patient):
    (tmp_path / "A1" / "1" / "labels.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"1/labels\.nii\.gz of patient A1 is not there"):
        write_intake(tmp_path, patient)
    assert intake_patients(tmp_path) == ()


def test_a_file_that_went_away_is_named(tmp_path, patient):
    write_intake(tmp_path, patient)
    (tmp_path / "A1" / "course-1" / "dose.nii.gz").unlink()
    with pytest.raises(DataError, match=r"names course-1/dose\.nii\.gz, which is not there"):
        read_intake(tmp_path, "A1")


@pytest.mark.parametrize("name", ["/etc/passwd", "../A2/T1w.nii.gz", "a/../../b", ""])
def test_a_file_outside_the_patients_folder_is_refused(name):
    with pytest.raises(ValidationError, match="not a path inside"):
        IntakeImage(file=name)


def test_a_malformed_record_is_named_by_key(tmp_path, patient):
    write_intake(tmp_path, patient)
    path = patient_file(tmp_path, "A1")
    path.write_text(path.read_text().replace('"proton"', '"neutron"'))
    with pytest.raises(DataError, match=r"courses\.0\.arm"):
        read_intake(tmp_path, "A1")


def test_a_record_of_somebody_else(tmp_path, patient):
    write_intake(tmp_path, patient)
    (tmp_path / "A1").rename(tmp_path / "A2")
    with pytest.raises(DataError, match="is about patient A1"):
        read_intake(tmp_path, "A2")


def test_no_folder(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        intake_patients(tmp_path / "nothing")
