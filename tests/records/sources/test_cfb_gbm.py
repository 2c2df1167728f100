"""CFB-GBM from a tree in its layout: padded folders, weeks, outlines of two authors, a dose on its own grid."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tests.records.sources.layouts import patients, put, shots, write_cfb_exam, write_cfb_tables

from flame.errors import DataError
from flame.records.intake import read_intake
from flame.records.sources.cfb_gbm import open_set
from flame.records.sources.writing import bring_in
from flame.records.volume import Grid, Volume, read_native

DOSE_GRID = Grid((10, 12, 9), np.diag([2.5, 2.5, 5.0, 1.0]))


@dataclass(frozen=True)
class Came:
    """An import: the set's folder, the intake folder, and what was found by patient."""

    source: Path
    intake: Path
    findings: dict[str | None, str]


@pytest.fixture(scope="module")
def came(trial, tmp_path_factory):
    """Three patients: 15 whole; 16 without a dose, padded files, no T1-Gd at t1; 17 without the day of t1."""
    root = tmp_path_factory.mktemp("cfb")
    first, second, third = (shots(patient)[:3] for patient in patients(trial, "site-3")[:3])
    for folder, number, its in (("015", "15", first), ("016", "016", second), ("017", "17", third)):
        for name, shot in zip(("t0", "t1", "t2"), its):
            write_cfb_exam(root / "CFB-GBM" / folder, number, name, shot)
    dose = np.linspace(0, 61, 10 * 12 * 9, dtype=np.float32).reshape(DOSE_GRID.shape)
    put(root / "CFB-GBM" / "015" / "t0" / "15_t0_rtdose.nii.gz", Volume(dose, DOSE_GRID))
    put(root / "CFB-GBM" / "015" / "t0" / "15_t0_ct.nii.gz", Volume(dose, DOSE_GRID))
    (root / "CFB-GBM" / "016" / "t1" / "016_t1_t1gd.nii.gz").unlink()
    mri = [
        (one, name, weeks, 1, 1, 0, 1, 1, 1, 1)
        for one, several in ((15, (0, 16, 26)), (16, (0, 16, 26)), (17, (0, None, 26)))
        for name, weeks in zip(("t0", "t1", "t2"), several)
    ]
    authors = (("t0", "humanSegmentation"), ("t1", "genSegmentation"), ("t2", "genSegmentation"))
    write_cfb_tables(
        root,
        clinical_data=[(15, 60, 67, 1, "F"), (16, 100, 71, 2, "M"), (17, 24, 59, "NA", "M"), (18, 9, 70, 1, "F")],
        treatment_data=[(15, 1, 60, 30), (16, 2, "NA", "NA"), (17, 1, "40.05", "15.0")],
        mri_availability=mri,
        treatment_imaging_availability=[(15, name, 1, author, 1, "T1", "PRECISION") for name, author in authors],
        rano_criteria=[
            (15, 20, 6, 30, 0.7, "Partial Response", -0.5, "Progressive Disease", -4, "Progressive Disease"),
            (17, 20, 20, 20, 0, "Stable Disease", 0, "Stable Disease", 0, "Stable Disease"),
        ],
    )
    intake = root / "intake"
    result = bring_in(open_set(root), intake)
    assert result.patients == ("CFB015", "CFB016", "CFB017")
    found: dict[str | None, str] = {}
    for finding in result.findings:
        found[finding.patient] = found.get(finding.patient, "") + f"{finding.severity}: {finding.what}\n"
    return Came(root / "CFB-GBM", intake, found)


def test_days_count_from_the_start_of_radiotherapy_and_weeks_are_told(came):
    patient = read_intake(came.intake, "CFB015")
    # t0 one week before; t1 16 and t2 26 weeks after t0. Two rounded weeks add up.
    assert [exam.day for exam in patient.exams] == [-7, 105, 175]
    assert [exam.day_tolerance for exam in patient.exams] == [3.5, 7.0, 7.0]
    assert patient.death_day == 60 * 7 - 7


def test_the_course_is_photons_with_its_dose_on_its_own_grid(came):
    (course,) = read_intake(came.intake, "CFB015").courses
    assert (course.arm, course.prescription_gy, course.fractions) == ("photon", 60, 30)
    assert (course.start_day, course.end_day) == (0, 39)
    dose = read_native(came.intake / "CFB015" / course.dose.file)
    assert dose.grid.matches(DOSE_GRID)
    assert dose.array.max() == 61
    assert course.ct is not None
    (short,) = read_intake(came.intake, "CFB017").courses
    assert (short.prescription_gy, short.fractions, short.end_day) == (40.05, 15, 18)
    assert "warning: no dose grid" in came.findings["CFB017"]


def test_everything_lies_in_the_frame_of_t0(came):
    patient = read_intake(came.intake, "CFB015")
    images = [image for exam in patient.exams for image in exam.images.values()]
    outlines = [outline for exam in patient.exams for outline in exam.outlines]
    assert {one.frame for one in (*images, *outlines, patient.courses[0].dose)} == {"t0"}
    assert all(exam.already_prepared == {"skull_stripped", "aligned"} for exam in patient.exams)


def test_sequences_and_outlines_with_their_authors(came):
    patient = read_intake(came.intake, "CFB015")
    assert [sorted(exam.images) for exam in patient.exams] == [["FLAIR", "T1ce", "T1w", "T2w"]] * 3
    assert [[outline.shows for outline in exam.outlines] for exam in patient.exams] == [["GTV", "brain"]] * 3
    assert [exam.outlines[0].author for exam in patient.exams] == ["human", "machine", "machine"]
    t1w = patient.exams[0].images["T1w"]
    assert t1w.notes == ("the set's T1-GE, a gradient echo",)
    assert (came.intake / "CFB015" / t1w.file).resolve().name == "15_t0_t1ge.nii.gz"
    t1ce = came.intake / "CFB015" / patient.exams[0].images["T1ce"].file
    assert t1ce.is_symlink()
    assert t1ce.resolve() == came.source / "015" / "t0" / "15_t0_t1gd.nii.gz"


def test_who_the_patient_is(came):
    patient = read_intake(came.intake, "CFB015")
    assert (patient.age, patient.sex, patient.performance_status) == (67, "F", 1)
    assert patient.also_known_as == ("cfb-gbm/15",)
    assert patient.mgmt_methylated is None
    assert read_intake(came.intake, "CFB017").performance_status is None


def test_without_a_dose_there_is_no_course_and_days_count_from_t0(came):
    patient = read_intake(came.intake, "CFB016")
    assert patient.courses == ()
    assert [exam.day for exam in patient.exams] == [0, 112, 182]
    assert [exam.day_tolerance for exam in patient.exams] == [0, 3.5, 3.5]
    assert patient.death_day == 700
    assert "no course: dose (Gy), fractions_number unknown" in came.findings["CFB016"]


def test_padded_files_are_found_and_missing_ones_told(came):
    patient = read_intake(came.intake, "CFB016")
    assert "T1ce" in patient.exams[0].images
    assert "T1ce" not in patient.exams[1].images
    assert "exam t1: t1gd is in the set's table but not on disk" in came.findings["CFB016"]


def test_an_exam_without_a_day_is_left_out_and_told(came):
    assert [exam.day for exam in read_intake(came.intake, "CFB017").exams] == [-7, 175]
    assert "exam t1 is left out: time_diff_t0 (weeks) is unknown" in came.findings["CFB017"]


def test_who_is_in_the_table_only_is_told(came):
    assert "1 patients of the clinical table have no folder" in came.findings[None]


def test_published_responses_are_kept_on_the_patients_days(came):
    with (came.intake / "rano.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["patient"], row["reference"], row["exam"], row["rano"]) for row in rows] == [
        ("CFB015", "t0", "t1", "PR"),
        ("CFB015", "t0", "t2", "PD"),
        ("CFB015", "t1", "t2", "PD"),
        ("CFB017", "t0", "t2", "SD"),
    ]
    assert [float(rows[1][name]) for name in ("day", "reference_day", "volume_ml", "reference_ml", "reduction")] == [
        175, -7, 30, 20, -0.5,
    ]  # fmt: skip


def test_death_in_the_week_of_the_last_exam_is_not_before_it(trial, tmp_path):
    (shot, *_) = shots(patients(trial)[0])
    for name in ("t0", "t1"):
        write_cfb_exam(tmp_path / "CFB-GBM" / "001", "1", name, shot)
    mri = [(1, "t0", 0, 1, 1, 0, 1, 1, 1, 1), (1, "t1", 16, 1, 1, 0, 1, 1, 1, 1)]
    write_cfb_tables(
        tmp_path, treatment_data=[(1, 1, 60, 30)], mri_availability=mri, clinical_data=[(1, 15, 60, 1, "F")]
    )
    bring_in(open_set(tmp_path / "CFB-GBM"), tmp_path / "intake")
    patient = read_intake(tmp_path / "intake", "CFB001")
    assert patient.exams[-1].day == patient.death_day == 105  # 15 weeks after t0 would be day 98


def test_no_set_there_and_no_table_there(tmp_path):
    with pytest.raises(DataError, match="holds no folder of a CFB-GBM patient"):
        open_set(tmp_path)
    (tmp_path / "CFB-GBM" / "001" / "t0").mkdir(parents=True)
    with pytest.raises(DataError, match="has no table CFB-GBM_treatment_data"):
        open_set(tmp_path)
