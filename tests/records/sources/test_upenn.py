"""UPENN-GBM from a tree in its layout: labels 1 2 4, baseline and follow-up, days from ages."""

import pytest
from tests.records.sources.layouts import patients, put, shots, table

from flame.errors import DataError
from flame.records.intake import read_intake
from flame.records.patient import LABELS
from flame.records.sources.days import ORDER_ONLY
from flame.records.sources.upenn import open_set
from flame.records.sources.writing import bring_in
from flame.records.volume import read_native

COLUMNS = (
    "ID", "Gender", "Age_at_scan_years", "Survival_from_surgery_days_UPDATED", "Survival_Status", "IDH1", "MGMT"
)  # fmt: skip
ORDER = {LABELS["NETC"]: 1, LABELS["SNFH"]: 2, LABELS["ET"]: 4}


@pytest.fixture(scope="module")
def came(trial, tmp_path_factory):
    root = tmp_path_factory.mktemp("upenn")
    two = shots(patients(trial, "site-3")[2])[:2]
    for number, visits in (("00001", ("11", "21")), ("00002", ("11", "21")), ("00003", ("11",))):
        for visit, shot in zip(visits, two):
            stem = f"UPENN-GBM-{number}_{visit}"
            for file, sequence in (("T1", "T1w"), ("T1GD", "T1ce"), ("T2", "T2w"), ("FLAIR", "FLAIR")):
                put(root / "images_structural" / stem / f"{stem}_{file}.nii.gz", shot.stripped(sequence))
        put(root / "automated_segm" / f"UPENN-GBM-{number}_11_automated_approx_segm.nii.gz", two[0].ordered(ORDER))
    put(root / "images_segm" / "UPENN-GBM-00001_11_segm.nii.gz", two[0].ordered(ORDER))
    rows = [
        ("UPENN-GBM-00001_11", "F", 61.50, 400, "Deceased", "Wildtype", "Methylated"),
        ("UPENN-GBM-00001_21", "F", "62.00", 400, "Deceased", "Wildtype", "Methylated"),
        ("UPENN-GBM-00002_11", "M", 50.10, "Not Available", "Alive", "NOS/NEC", "Indeterminate"),
    ]
    table(root / "UPENN-GBM_clinical_info_v2.1.csv", COLUMNS, rows, ",")
    result = bring_in(open_set(root), root / "intake")
    return root / "intake", result, two


def test_the_later_exam_has_its_day_from_ages(came):
    patient = read_intake(came[0], "UPENN00001")
    assert [exam.day for exam in patient.exams] == [0, 183]  # half a year of 365.25 days
    # 61.5 is known to a twentieth of a year, 62.00 to half a hundredth.
    assert patient.exams[1].day_tolerance == pytest.approx(365.25 * 0.055)
    assert patient.death_day == 400


def test_without_an_age_the_order_alone_is_known(came):
    patient = read_intake(came[0], "UPENN00002")
    assert [exam.day for exam in patient.exams] == [0, 1]
    assert patient.exams[1].day_tolerance == ORDER_ONLY
    assert (patient.death_day, patient.last_contact_day) == (None, None)
    assert any("the day of exam 21 is unknown" in finding.what for finding in came[1].findings)


def test_label_four_is_enhancing_and_hands_come_before_machines(came):
    intake, _, two = came
    (by_hand,) = read_intake(intake, "UPENN00001").exams[0].outlines
    (machine,) = read_intake(intake, "UPENN00002").exams[0].outlines
    assert (by_hand.author, machine.author) == ("human", "machine")
    assert by_hand.known == (1, 2, 3)
    assert (read_native(intake / "UPENN00001" / by_hand.file).array == two[0].labels.array).all()


def test_who_the_patient_is(came):
    known, unknown = read_intake(came[0], "UPENN00001"), read_intake(came[0], "UPENN00002")
    assert (known.age, known.sex, known.idh_mutant, known.mgmt_methylated) == (61.5, "F", False, True)
    assert (unknown.idh_mutant, unknown.mgmt_methylated) == (None, None)
    assert known.also_known_as == ("upenn/00001",)
    assert read_intake(came[0], "UPENN00003").age is None


def test_no_set_there(tmp_path):
    with pytest.raises(DataError, match="holds no image of UPENN-GBM"):
        open_set(tmp_path)
