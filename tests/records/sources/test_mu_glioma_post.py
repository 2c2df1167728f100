"""MU-Glioma-Post from a tree in its layout: a workbook with stray blanks, doses as text, protons where stated."""

import pytest
from tests.records.sources.layouts import patients, put, shots, workbook

from flame.errors import DataError
from flame.records.intake import read_intake
from flame.records.sources.mu_glioma_post import open_set
from flame.records.sources.writing import bring_in
from flame.records.volume import read_native

HEADER = [
    "Patient_ID",
    "Sex at Birth",
    "Age at diagnosis",
    "IDH1 mutation",
    "IDH2 mutation",
    "MGMT methylation",
    "Overall Survival (Death)",
    "Number of days from Diagnosis to death (Days)",
    "Radiation Therapy",
    "Number of days from Diagnosis to Radiation Therapy Start date",
    "Number of days from Diagnosis to Radiation Therapy end date",
    "Dose",
    "Number of Fractions",
    "Other Types of Therapy (LITT, more chemo, proton therapy)",
    "Number of Days from Diagnosis to Start Other Additional Therapy ",
    "Number of Days from Diagnosis to 1st MRI (Timepoint_1) ",
    " Number of Days from Diagnosis to 2nd MRI (Timepoint_2) ",
]
ROWS = [
    ["PatientID_0001", "Female", 61, 0, 0, 1, 1, 500, 1, 30, 72, "60 Gy", 30, None, None, 25, 100.0],
    ["PatientID_0002", "Male", 50, 0, 1, 2, 0, None, 1, 30, None, "6000 cGy", 30.0, "Proton therapy", 30, 25, 100],
    ["PatientID_0003", "Male", 50, 1, 0, None, 0, None, 1, 30, 72, 60, 30, "proton therapy, LITT", 400, 25, None],
    ["PatientID_0004", "Male", 50, None, None, "NA", 0, None, 1, 30, 72, "unknown", 30, None, None, 40, 100],
    ["PatientID_0005", "Male", 50, 0, 0, 0, 0, None, 1, 30, 72, "sixty", 30, None, None, 40, 100],
]


@pytest.fixture(scope="module")
def came(trial, tmp_path_factory):
    root = tmp_path_factory.mktemp("mu")
    two = shots(patients(trial, "site-3")[0])[:2]
    for number in range(1, 7):
        one = f"PatientID_{number:04d}"
        for order, shot in enumerate(two, start=1):
            place = root / "MU-Glioma-Post" / one / f"Timepoint_{order}"
            stem = f"{one}_Timepoint_{order}"
            for name, sequence in (("t1n", "T1w"), ("t1c", "T1ce"), ("t2w", "T2w"), ("t2f", "FLAIR")):
                put(place / f"{stem}_brain_{name}.nii.gz", shot.stripped(sequence))
            put(place / f"{stem}_tumorMask.nii.gz", shot.labels)
    (
        root / "MU-Glioma-Post" / "PatientID_0001" / "Timepoint_2" / "PatientID_0001_Timepoint_2_tumorMask.nii.gz"
    ).unlink()
    workbook(root / "MU-Glioma-Post_ClinicalData-July2025.xlsx", {"Clinical": [HEADER, *ROWS]})
    result = bring_in(open_set(root), root / "intake")
    found = {}
    for finding in result.findings:
        found[finding.patient] = found.get(finding.patient, "") + f"{finding.severity}: {finding.what}\n"
    return root / "intake", result.patients, found, two


def test_days_from_diagnosis_become_days_from_radiotherapy(came):
    patient = read_intake(came[0], "MU0001")
    assert [exam.day for exam in patient.exams] == [-5, 70]
    assert patient.diagnosis_day == -30
    assert patient.death_day == 470
    (course,) = patient.courses
    assert (course.arm, course.prescription_gy, course.fractions) == ("photon", 60, 30)
    assert (course.start_day, course.end_day) == (0, 42)


def test_who_the_patient_is(came):
    first, second = read_intake(came[0], "MU0001"), read_intake(came[0], "MU0002")
    assert (first.sex, first.age, first.idh_mutant, first.mgmt_methylated) == ("F", 61, False, True)
    assert (second.idh_mutant, second.mgmt_methylated, second.death_day) == (True, None, None)
    assert first.also_known_as == ("mu-glioma-post/0001",)


def test_protons_only_where_the_table_says_so_of_this_course(came):
    (protons,) = read_intake(came[0], "MU0002").courses
    assert (protons.arm, protons.prescription_gy) == ("proton", 60)
    assert protons.end_day == 39
    assert "the end of the course is unknown" in came[2]["MU0002"]
    (photons,) = read_intake(came[0], "MU0003").courses
    assert photons.arm == "photon"
    assert "a proton therapy 370 days after the first course is not brought in" in came[2]["MU0003"]


def test_without_a_dose_days_count_from_the_first_exam(came):
    patient = read_intake(came[0], "MU0004")
    assert patient.courses == ()
    assert [exam.day for exam in patient.exams] == [0, 60]
    assert patient.diagnosis_day == -40
    assert "no course: Dose unknown" in came[2]["MU0004"]


def test_what_cannot_be_read_or_has_no_line_leaves_the_patient_out(came):
    assert came[1] == ("MU0001", "MU0002", "MU0003", "MU0004")
    assert "line 6, column Dose: 'sixty' is not a dose" in came[2]["MU0005"]
    assert "no line of this patient" in came[2]["MU0006"]


def test_an_exam_without_a_day_and_one_without_a_mask(came):
    assert [exam.day for exam in read_intake(came[0], "MU0003").exams] == [-5]
    assert "exam Timepoint_2 is left out: its day is unknown" in came[2]["MU0003"]
    assert [len(exam.outlines) for exam in read_intake(came[0], "MU0001").exams] == [1, 0]
    assert "there is no label map PatientID_0001_Timepoint_2_tumorMask.nii.gz" in came[2]["MU0001"]


def test_labels_are_flames_own(came):
    intake, _, _, (first, _) = came
    assert (read_native(intake / "MU0001" / "Timepoint_1" / "labels.nii.gz").array == first.labels.array).all()


def test_no_set_and_no_workbook(tmp_path):
    with pytest.raises(DataError, match="holds no folder of an MU-Glioma-Post patient"):
        open_set(tmp_path)
    (tmp_path / "a" / "PatientID_0001").mkdir(parents=True)
    with pytest.raises(DataError, match="has no MU-Glioma-Post_ClinicalData"):
        open_set(tmp_path / "a")
