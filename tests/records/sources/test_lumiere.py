"""LUMIERE from a tree in its layout: weeks with suffixes, two rated twice, labels proven by stated volumes."""

import csv
import json

import numpy as np
import pytest
from tests.records.sources.layouts import patients, put, shots, table, voxels

from flame.errors import DataError
from flame.records.intake import read_intake
from flame.records.patient import LABELS
from flame.records.sources.lumiere import open_set
from flame.records.sources.writing import bring_in
from flame.records.volume import read_native

RATING = "Rating (according to RANO, PD: Progressive disease, SD: Stable disease, PR: Partial response)"
RATIONALE = "Rating rationale (CRET: complete resection of the enhancing tumor)"
RATING_COLUMNS = ("Patient", "Date", "LessThan3Months", "NonMeasurableLesions", RATING, RATIONALE)
PEOPLE_COLUMNS = (
    "Patient", "Survival time (weeks)", "Sex", "Age at surgery (years)", "IDH (WT: wild type)", "MGMT qualitative"
)  # fmt: skip
NETC, SNFH, ET = LABELS["NETC"], LABELS["SNFH"], LABELS["ET"]
PROVEN = {ET: 1, NETC: 2, SNFH: 3}
CONTRARY = {NETC: 1, ET: 2, SNFH: 3}


def write_atlas(place, shot, order, volumes=True):
    """What DeepBraTumIA leaves of an exam, and the native images beside."""
    deep = place / "DeepBraTumIA-segmentation" / "atlas"
    for name, sequence in (("t1", "T1w"), ("ct1", "T1ce"), ("t2", "T2w"), ("flair", "FLAIR")):
        put(deep / "skull_strip" / f"{name}_skull_strip.nii.gz", shot.stripped(sequence))
        put(place / f"{name.upper()}.nii.gz", shot.stripped(sequence))
    put(deep / "skull_strip" / "brain_mask.nii.gz", shot.brain)
    put(deep / "segmentation" / "seg_mask.nii.gz", shot.ordered(order))
    if volumes:
        voxel = float(np.prod(shot.labels.grid.spacing_mm))
        names = {"Enhancing_Core": ET, "Necrotic_NonEnhancing": NETC, "Edema_Compartment": SNFH}
        stated = {name: voxels(shot.labels.array, label) * voxel for name, label in names.items()}
        (deep / "segmentation" / "measured_volumes_in_mm3.json").write_text(json.dumps(stated))


def write_native(place, shot):
    """An exam of which only native images and HD-GLIO's label map are there."""
    for name, sequence in (("T1", "T1w"), ("CT1", "T1ce"), ("T2", "T2w"), ("FLAIR", "FLAIR")):
        put(place / f"{name}.nii.gz", shot.stripped(sequence))
    native = place / "HD-GLIO-AUTO-segmentation" / "native" / "segmentation_CT1_origspace.nii.gz"
    put(native, shot.ordered({SNFH: 1, ET: 2}))


@pytest.fixture(scope="module")
def exams(trial):
    """Two exams of one patient with enough of every label."""
    return shots(patients(trial, "site-3")[2])


@pytest.fixture(scope="module")
def came(exams, tmp_path_factory):
    root = tmp_path_factory.mktemp("lumiere")
    one = root / "Imaging" / "Patient-001"
    write_atlas(one / "week-000-1", exams[0], PROVEN)
    write_atlas(one / "week-000-2", exams[1], PROVEN)
    write_native(one / "week-013", exams[1])
    (one / "week-020").mkdir()
    write_atlas(root / "Imaging" / "Patient-042" / "week-010", exams[0], CONTRARY)
    write_atlas(root / "Imaging" / "Patient-043" / "week-010", exams[0], CONTRARY, volumes=False)
    write_atlas(root / "Imaging" / "Patient-025" / "week-000", exams[0], PROVEN)
    rated = [
        ("Patient-001", "week-000-1", "", "", "Pre-Op", ""),
        ("Patient-001", "week-000-2", "", "", "Post-Op ", ""),
        ("Patient-001", "week-013", "x", "", "PD", "Target L.: 13mm x 26mm"),
        ("Patient-001", "week-026", "", "", "SD", ""),
        ("Patient-042", "week-010", "", "", "Post-Op/PD", ""),
        ("Patient-042", "week-010", "", "", "SD", ""),
    ]
    table(root / "LUMIERE-ExpertRating-v202211.csv", RATING_COLUMNS, rated, ",")
    people = [
        ("Patient-001", 80, "male", 58, "WT", "not methylated"),
        ("Patient-042", "na", "female", "n/a", "N-A", "na"),
    ]
    table(root / "LUMIERE-Demographics_Pathology.csv", PEOPLE_COLUMNS, people, ",")
    result = bring_in(open_set(root), root / "intake")
    return root / "intake", result


def told(result, patient):
    return "\n".join(finding.what for finding in result.findings if finding.patient == patient)


def test_misdated_patient_is_excluded_by_name(came):
    _, result = came
    assert result.patients == ("LUM001", "LUM042", "LUM043")
    assert "Patient-025 is left out: its dates do not belong to its exams" in told(result, None)


def test_two_exams_of_one_week_keep_their_order(came):
    patient = read_intake(came[0], "LUM001")
    assert [exam.day for exam in patient.exams] == [0, 1, 91]
    assert {exam.day_tolerance for exam in patient.exams} == {3.5}
    assert patient.death_day == 560
    assert patient.courses == ()


def test_only_a_rating_tells_what_is_before_surgery(came):
    assert [exam.surgery for exam in read_intake(came[0], "LUM001").exams] == [False, True, None]
    # The earliest exam of this patient is no exam before surgery: its rating says nothing of the kind.
    assert read_intake(came[0], "LUM042").exams[0].surgery is None


def test_label_one_is_enhancing_as_the_volumes_prove(came, exams):
    intake, result = came
    labels = read_native(intake / "LUM001" / "week-000-1" / "labels.nii.gz").array
    for label in (NETC, SNFH, ET):
        assert voxels(labels, label) == voxels(exams[0].labels.array, label)
    assert "labels" not in told(result, "LUM001")


def test_the_contrary_order_is_corrected_where_the_volumes_say_so(came, exams):
    intake, result = came
    labels = read_native(intake / "LUM042" / "week-010" / "labels.nii.gz").array
    assert voxels(labels, ET) == voxels(exams[0].labels.array, ET)
    assert "in another order than documented; the volumes that the set states decided" in told(result, "LUM042")


def test_the_contrary_order_is_refused_where_the_images_alone_say_so(came):
    intake, result = came
    assert "labels look swapped" in told(result, "LUM043")
    assert [outline.shows for outline in read_intake(intake, "LUM043").exams[0].outlines] == ["brain"]


def test_native_images_where_the_atlas_is_missing(came, exams):
    exam = read_intake(came[0], "LUM001").exams[2]
    assert len({image.frame for image in exam.images.values()}) == 4
    (outline,) = exam.outlines
    assert outline.frame == exam.images["T1ce"].frame
    assert outline.known == (SNFH, ET)
    labels = read_native(came[0] / "LUM001" / outline.file).array
    assert voxels(labels, SNFH) == voxels(exams[1].labels.array, SNFH)
    assert voxels(labels, ET) == voxels(exams[1].labels.array, ET)


def test_missing_exams_are_told(came):
    said = told(came[1], "LUM001")
    assert "exam week-020 is left out: no image" in said
    assert "exam week-026 is rated but has no folder" in said


def test_of_two_ratings_of_one_exam_the_last_counts(came):
    with (came[0] / "rano.tsv").open() as file:
        rows = [(row["patient"], row["exam"], row["rano"]) for row in csv.DictReader(file, delimiter="\t")]
    assert rows == [
        ("LUM001", "week-000-1", "Pre-Op"),
        ("LUM001", "week-000-2", "Post-Op"),
        ("LUM001", "week-013", "PD"),
        ("LUM042", "week-010", "SD"),
    ]
    assert "rated twice" in told(came[1], "LUM042")


def test_words_for_unknown(came):
    known, unknown = read_intake(came[0], "LUM001"), read_intake(came[0], "LUM042")
    assert (known.age, known.sex, known.idh_mutant, known.mgmt_methylated) == (58, "M", False, False)
    assert (unknown.age, unknown.idh_mutant, unknown.mgmt_methylated, unknown.death_day) == (None, None, None, None)


def test_no_set_there(tmp_path):
    with pytest.raises(DataError, match="holds no folder of a LUMIERE patient"):
        open_set(tmp_path)
