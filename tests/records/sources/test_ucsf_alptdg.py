"""UCSF-ALPTDG from a tree in its layout: two exams, days whose signs cannot all be trusted, names in UCSF-PDGM."""

import pytest
from tests.records.sources.layouts import patients, put, shots, workbook

from flame.errors import DataError
from flame.records.intake import read_intake
from flame.records.sources.ucsf_alptdg import open_set
from flame.records.sources.writing import bring_in
from flame.records.volume import read_native

CLINICAL = [
    [
        "SubjectID",
        "Days from 1st surgery/DX  to 1st scan",
        "Days from 1st scan to 2nd scan",
        "EOR at 1st SX",
        "MGMT",
        "IDH",
        "Days from death to 1st scan",
        "Days from 1st scan to 1st RT start (neg = RT first)",
    ],
    [100001, 120.0, 64.94, "GTR", "positive", "WT", -300.0, -90.0],
    [100002, 41745.45, 60, "MRI", None, "mut", 40000.0, 328372.36],
    [100003, 20, None, "BX", "unmethylated", None, None, None],
]
IMAGING = [
    ["SubjectID", "Timepoint", "Patient Sex", "Patient Age", "SNFH_OverallChange_Volume", "SNFH_OverallChange_Volume"],
    [100001, 1, "F", 61, "None", 1],
    [100001, 2, "F", 61, 2, 1],
]
MAPPING = [
    ["UCSF-LPTDG ID", "UCSF-PDGM ID"],
    [100001, "UCSF-PDGM-004"],
    [100001, "UCSF-PDGM-088"],
    [100159, "UCSF-PDGM-088"],
]


@pytest.fixture(scope="module")
def came(trial, tmp_path_factory):
    root = tmp_path_factory.mktemp("ucsf")
    two = shots(patients(trial, "site-1")[3])
    for one in ("100001", "100002", "100003"):
        for name, shot in zip(("time1", "time2"), (two[0], two[3])):
            for file, sequence in (("t1", "T1w"), ("t1ce", "T1ce"), ("t2", "T2w"), ("flair", "FLAIR")):
                put(root / one / f"{one}_{name}_{file}.nii.gz", shot.stripped(sequence))
            put(root / one / f"{one}_{name}_seg.nii.gz", shot.labels)
            put(root / one / f"{one}_{name}_t1ce-t1.nii.gz", shot.stripped("T1ce"))
        put(root / one / f"{one}_flair_subtraction_seg.nii.gz", two[0].mask(2))
    wrong = two[0].ordered({1: 5, 2: 6, 3: 7, 4: 8})
    put(root / "100002" / "100002_time2_seg.nii.gz", wrong)
    sheets = {"UCSF-LPTDG": IMAGING, "Clinical Info": CLINICAL, "UCSF-PDGM Mapping": MAPPING}
    workbook(root / "UCSF_PostopGlioma_Table S1 R1 V5.0_UNBLINDED_FINAL.xlsx", sheets)
    result = bring_in(open_set(root), root / "intake")
    return root / "intake", result, two


def told(result, patient):
    return "\n".join(finding.what for finding in result.findings if finding.patient == patient)


def test_days_count_from_the_first_exam(came):
    patient = read_intake(came[0], "UCSF100001")
    assert [exam.day for exam in patient.exams] == [0, 65]
    assert (patient.diagnosis_day, patient.death_day) == (-120, 300)
    assert patient.courses == ()


def test_a_day_that_cannot_be_is_unknown(came):
    patient = read_intake(came[0], "UCSF100002")
    assert (patient.diagnosis_day, patient.death_day) == (None, None)
    said = told(came[1], "UCSF100002")
    assert "Days from death to 1st scan is 40000, which cannot be" in said
    assert "Days from 1st surgery/DX to 1st scan is 41745.4, which cannot be" in said


def test_an_exam_without_a_day_is_left_out(came):
    assert len(read_intake(came[0], "UCSF100003").exams) == 1
    assert "exam time2 is left out: its day is unknown" in told(came[1], "UCSF100003")


def test_who_the_patient_is_and_is_called_elsewhere(came):
    patient = read_intake(came[0], "UCSF100001")
    assert (patient.age, patient.sex, patient.resection) == (61, "F", "gross_total")
    assert (patient.idh_mutant, patient.mgmt_methylated) == (False, True)
    assert patient.also_known_as == ("ucsf-alptdg/100001", "ucsf-pdgm/4", "ucsf-pdgm/88")
    assert read_intake(came[0], "UCSF100002").resection is None  # "MRI": no operation at all


def test_four_labels_with_the_cavity(came):
    intake, _, two = came
    (outline,) = read_intake(intake, "UCSF100001").exams[0].outlines
    labels = read_native(intake / "UCSF100001" / outline.file).array
    assert (labels == two[0].labels.array).all()
    assert (labels == 4).any()


def test_integers_of_another_kind_are_refused(came):
    assert read_intake(came[0], "UCSF100002").exams[1].outlines == ()
    assert "the set's labels are 1, 2, 3, 4" in told(came[1], "UCSF100002")


def test_no_set_and_no_workbook(tmp_path):
    with pytest.raises(DataError, match="holds no folder of a UCSF-ALPTDG patient"):
        open_set(tmp_path)
    (tmp_path / "set" / "100001").mkdir(parents=True)
    with pytest.raises(DataError, match="has no UCSF_PostopGlioma_Table"):
        open_set(tmp_path / "set")
