"""RHUH-GBM from a tree in its layout: z-scored images, labels 1 2 3 or 1 2 4, days from survival."""

import numpy as np
import pytest
from tests.records.sources.layouts import patients, put, shots, table

from flame.errors import DataError
from flame.records.intake import read_intake
from flame.records.patient import LABELS
from flame.records.sources.rhuh import open_set
from flame.records.sources.writing import bring_in
from flame.records.volume import Volume, read_native

COLUMNS = (
    "Patient ID",
    "Days from earliest imaging to surgery ",
    "Age",
    "Sex",
    "IDH status = (mutant [mut], wild type [wt], NOS)",
    "EOR = (Gross total resection [GTR : 100%], Near total resection [NTR : > 95%], Partial resection [PR : < 90 %]",
    "Progression free survival [PFS] (days)",
    "Overall survival [OS] (days)",
    "Right Censored",
)
NETC, SNFH, ET = LABELS["NETC"], LABELS["SNFH"], LABELS["ET"]
THREE, FOUR = {NETC: 1, SNFH: 2, ET: 3}, {NETC: 1, SNFH: 2, ET: 4}
SWAPPED = {NETC: 3, SNFH: 2, ET: 1}


def scored(shot, sequence):
    """An image z-scored as a whole, so that background is below 0."""
    image = shot.stripped(sequence)
    return Volume(((image.array - image.array.mean()) / image.array.std()).astype(np.float32), image.grid)


@pytest.fixture(scope="module")
def came(trial, tmp_path_factory):
    root = tmp_path_factory.mktemp("rhuh")
    three = shots(patients(trial, "site-3")[2])[:3]
    for one, order in (("RHUH-0001", THREE), ("RHUH-0002", FOUR), ("RHUH-0003", SWAPPED), ("RHUH-0004", THREE)):
        for name, shot in zip("012", three):
            for file, sequence in (("t1", "T1w"), ("t1ce", "T1ce"), ("t2", "T2w"), ("flair", "FLAIR")):
                put(root / one / name / f"{one}_{name}_{file}.nii.gz", scored(shot, sequence))
            put(root / one / name / f"{one}_{name}_segmentations.nii.gz", shot.ordered(order))
    rows = [
        ("RHUH-0001", 3, 61, "male", "wt", "GTR", 200, 400, "no"),
        ("RHUH-0002", 0, 50, "female", "mut", "NTR", "NA", 300, "yes"),
        ("RHUH-0003", 3, 61, "male", "NOS/NEC", "PR", 200, 400, "no"),
    ]
    table(root / "clinical_data_TCIA_RHUH-GBM.csv", COLUMNS, rows, ",")
    result = bring_in(open_set(root), root / "intake")
    return root / "intake", result, three


def told(result, patient):
    return "\n".join(finding.what for finding in result.findings if finding.patient == patient)


def test_days_before_surgery_after_it_and_at_recurrence(came):
    patient = read_intake(came[0], "RHUH0001")
    # Surgery on day 3; within 72 hours of it; progression 200 days after it.
    assert [(exam.day, exam.day_tolerance) for exam in patient.exams] == [(0, 0), (5, 1), (203, 14)]
    assert [exam.surgery for exam in patient.exams] == [False, True, None]
    assert (patient.death_day, patient.last_contact_day) == (403, None)


def test_the_living_have_a_last_contact_and_no_recurrence_no_day(came):
    patient = read_intake(came[0], "RHUH0002")
    assert (patient.death_day, patient.last_contact_day) == (None, 300)
    assert [exam.day for exam in patient.exams] == [0, 2]
    assert "exam 2 is left out: its day is unknown" in told(came[1], "RHUH0002")


@pytest.mark.parametrize("one", ["RHUH0001", "RHUH0002"])
def test_each_file_tells_whether_enhancement_is_three_or_four(came, one):
    intake, _, three = came
    labels = read_native(intake / one / "0" / "labels.nii.gz").array
    assert (labels == three[0].labels.array).all()


def test_swapped_labels_are_seen_on_scored_images_too(came):
    assert told(came[1], "RHUH0003").count("labels look swapped") >= 1
    assert read_intake(came[0], "RHUH0003").exams[0].outlines == ()


def test_it_is_said_that_images_are_scored(came):
    patient = read_intake(came[0], "RHUH0001")
    assert {exam.already_prepared for exam in patient.exams} == {frozenset({"skull_stripped", "aligned", "zscored"})}
    image = read_native(came[0] / "RHUH0001" / patient.exams[0].images["T1ce"].file).array
    assert image.flat[0] < 0


def test_who_the_patient_is(came):
    first, second = read_intake(came[0], "RHUH0001"), read_intake(came[0], "RHUH0002")
    assert (first.age, first.sex, first.idh_mutant, first.resection) == (61, "M", False, "gross_total")
    assert (second.idh_mutant, second.resection, second.mgmt_methylated) == (True, "partial", None)


def test_no_line_no_patient(came):
    assert came[1].patients == ("RHUH0001", "RHUH0002", "RHUH0003")
    assert "no line of this patient" in told(came[1], "RHUH0004")


def test_no_set_and_no_table(tmp_path):
    with pytest.raises(DataError, match="holds no folder of an RHUH-GBM patient"):
        open_set(tmp_path)
    (tmp_path / "set" / "RHUH-0001").mkdir(parents=True)
    with pytest.raises(DataError, match="has no clinical_data_TCIA_RHUH-GBM"):
        open_set(tmp_path / "set")
