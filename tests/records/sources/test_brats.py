"""BraTS from a tree in its layout: visits of one patient together, no days, names in other sets from workbooks."""

import pytest
from tests.records.sources.layouts import patients, put, shots, workbook

from flame.errors import DataError
from flame.records.intake import read_intake
from flame.records.sources.brats import open_set
from flame.records.sources.days import ORDER_ONLY
from flame.records.sources.writing import bring_in
from flame.records.volume import read_native

METADATA = [
    ["BraTS Subject ID", "Site", "Site Subject ID", "Train/Test/Validation ", "Patient's Age", "Patient's Sex"],
    ["BraTS-GLI-00005-100", "UCSF", 1002251, "Train", 50.0, "M"],
    ["BraTS-GLI-00005-101", "UCSF", 1002252, "Train", 50.0, "M"],
    ["BraTS-GLI-02000-100", "Missouri", "PatientID_0007_Timepoint_1", "Train", None, None],
]
MAPPING = [["BraTS2023", "Local ID"], ["BraTS-GLI-00100-000", "UPENN-GBM-00042_11"]]


def write_visit(folder, shot):
    for name, sequence in (("t1n", "T1w"), ("t1c", "T1ce"), ("t2w", "T2w"), ("t2f", "FLAIR")):
        put(folder / f"{folder.name}-{name}.nii.gz", shot.stripped(sequence))
    put(folder / f"{folder.name}-seg.nii.gz", shot.labels)


@pytest.fixture(scope="module")
def came(trial, tmp_path_factory):
    root = tmp_path_factory.mktemp("brats")
    first, second, third = shots(patients(trial, "site-3")[2])[:3]
    cavity = shots(patients(trial, "site-1")[3])[0]
    write_visit(root / "training_data1_v2" / "BraTS-GLI-00005-101", second)
    write_visit(root / "training_data1_v2" / "BraTS-GLI-00005-100", cavity)
    write_visit(root / "training_data_additional" / "BraTS-GLI-02000-100", third)
    write_visit(root / "training_data1_v2" / "BraTS-GLI-00100-000", first)
    write_visit(root / "training_data1_v2" / "BraTS-GLI-00101-000", cavity)
    workbook(root / "BraTS-PTG supplementary demographic information and metadata.xlsx", {"Sheet1": METADATA})
    result = bring_in(open_set(root), root / "intake")
    workbook(root / "BraTS2023_2017_GLI_Mapping.xlsx", {"Sheet1": MAPPING})
    mapped = bring_in(open_set(root), root / "mapped")
    assert mapped.patients == result.patients
    return root, result


def test_visits_of_one_patient_are_exams_of_one_patient(came):
    root, result = came
    assert result.patients == ("BRATS00005", "BRATS00100", "BRATS00101", "BRATS02000")
    patient = read_intake(root / "intake", "BRATS00005")
    assert [exam.day for exam in patient.exams] == [0, 1]
    assert {exam.day_tolerance for exam in patient.exams} == {ORDER_ONLY}
    assert (patient.age, patient.sex) == (50, "M")


def test_it_is_said_that_no_day_is_known(came):
    assert any("only the order of exams is known" in finding.what for finding in came[1].findings)


def test_labels_after_treatment_know_the_cavity_and_before_surgery_not(came):
    root, result = came
    after = read_intake(root / "intake", "BRATS00005").exams[0].outlines[0]
    before = read_intake(root / "intake", "BRATS00100").exams[0].outlines[0]
    assert after.known == (1, 2, 3, 4)
    assert before.known == (1, 2, 3)
    assert (read_native(root / "intake" / "BRATS00005" / after.file).array == 4).any()
    # A cavity in a set from before surgery cannot be: its 4 is refused.
    (refused,) = (finding for finding in result.findings if finding.patient == "BRATS00101")
    assert "the set's labels are 1, 2, 3" in refused.what


def test_names_in_other_sets(came):
    names = {
        one: read_intake(came[0] / "mapped", one).also_known_as for one in ("BRATS00005", "BRATS02000", "BRATS00100")
    }
    assert names == {
        "BRATS00005": ("brats-gli/00005", "ucsf-alptdg/100225"),
        "BRATS02000": ("brats-gli/02000", "mu-glioma-post/0007"),
        "BRATS00100": ("brats-gli/00100", "upenn/00042"),
    }
    assert read_intake(came[0] / "intake", "BRATS00100").also_known_as == ("brats-gli/00100",)


def test_without_a_workbook_it_is_said_who_may_be_elsewhere(trial, tmp_path):
    write_visit(tmp_path / "BraTS-GLI-00001-000", shots(patients(trial, "site-3")[2])[0])
    assert any("no workbook tells" in finding.what for finding in open_set(tmp_path).findings)


def test_no_set_there(tmp_path):
    with pytest.raises(DataError, match="holds no folder of a BraTS glioma"):
        open_set(tmp_path)
