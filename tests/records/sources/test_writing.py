"""From drafts to an intake folder: resumed, never stopped by one patient, nothing dropped in silence."""

import gzip

import numpy as np
import pytest

from flame.errors import ConfigError, DataError
from flame.records.finding import Finding
from flame.records.intake import IntakeExam, IntakeImage, intake_patients, read_intake
from flame.records.sources.draft import FLAME_ORDER, Gathering, LabelFile, PublicSet, Rating
from flame.records.sources.writing import bring_in
from flame.records.volume import Grid, Volume, read_native, write_volume

GRID = Grid((8, 8, 8), np.diag([2.0, 2.0, 2.0, 1.0]))
NETC, SNFH, ET = 1, 2, 3


@pytest.fixture
def labels():
    array = np.zeros(GRID.shape, np.uint8)
    array[1:4, 1:5, 1:5], array[4:7, 1:5, 1:5] = ET, NETC
    return array


@pytest.fixture
def files(tmp_path, labels):
    """T1w, T1ce with bright enhancing tumour, and the label map in FLAME's order."""
    random = np.random.default_rng(0)
    folder = tmp_path / "set"
    for name, array in (
        ("t1", random.normal(100, 10, GRID.shape)),
        ("t1c", random.normal(100, 10, GRID.shape) + 80 * (labels == ET)),
    ):
        write_volume(folder / f"{name}.nii.gz", Volume(array.astype(np.float32), GRID))
    write_volume(folder / "seg.nii.gz", Volume(labels, GRID))
    return folder


def draft_of(files, identity="A1", orders=(FLAME_ORDER,), volumes=None, images=("T1w", "T1ce")):
    found = Gathering(identity)
    paths = {"T1w": files / "t1.nii.gz", "T1ce": files / "t1c.nii.gz"}
    exam = IntakeExam(
        day=5,
        images=found.images("e", {name: paths[name] for name in images}, "f"),
        outlines=found.labels("e", LabelFile(files / "seg.nii.gz", orders, volumes), "f", "human"),
    )
    return found.draft([Rating(5, "e", "SD")], source="test", exams=(exam,))


def only(make, identity="A1"):
    return PublicSet("test", {identity: make})


def test_images_are_linked_or_copied(tmp_path, files):
    bring_in(only(lambda: draft_of(files)), tmp_path / "linked")
    bring_in(only(lambda: draft_of(files)), tmp_path / "copied", copy=True)
    linked, copied = (tmp_path / name / "A1" / "e" / "T1ce.nii.gz" for name in ("linked", "copied"))
    assert linked.is_symlink()
    assert not copied.is_symlink()
    assert linked.read_bytes() == copied.read_bytes() == (files / "t1c.nii.gz").read_bytes()


def test_label_maps_are_rewritten_in_flames_order(tmp_path, files, labels):
    swapped = np.choose(labels, [0, ET, SNFH, NETC]).astype(np.uint8)
    write_volume(files / "seg.nii.gz", Volume(swapped, GRID))
    result = bring_in(only(lambda: draft_of(files, orders=({1: ET, 3: NETC},))), tmp_path / "in")
    assert result.findings == ()
    written = read_native(tmp_path / "in" / "A1" / "e" / "labels.nii.gz")
    assert (written.array == labels).all()
    (outline,) = read_intake(tmp_path / "in", "A1").exams[0].outlines
    assert outline.known == (NETC, ET)
    assert outline.author == "human"


def test_swapped_labels_are_refused_and_the_images_stay(tmp_path, files):
    result = bring_in(only(lambda: draft_of(files, orders=({1: ET, 2: SNFH, 3: NETC},))), tmp_path / "in")
    (finding,) = result.findings
    assert finding.severity == "error"
    assert "labels look swapped" in finding.what
    exam = read_intake(tmp_path / "in", "A1").exams[0]
    assert exam.outlines == ()
    assert sorted(exam.images) == ["T1ce", "T1w"]


def test_stated_volumes_outweigh_the_images(tmp_path, files, labels):
    volume = float((labels == ET).sum() * 8)
    wrong = {1: ET, 2: SNFH, 3: NETC}
    stated = {ET: volume, NETC: volume + 16}
    labels[0, 0, :2] = NETC
    write_volume(files / "seg.nii.gz", Volume(labels, GRID))
    # The volumes say 3 is ET, which the documented order does not: the other order is taken, with a word about it.
    result = bring_in(only(lambda: draft_of(files, orders=(wrong, FLAME_ORDER), volumes=stated)), tmp_path / "in")
    assert [finding.severity for finding in result.findings] == ["warning"]
    assert "in another order than documented" in result.findings[0].what
    assert (read_native(tmp_path / "in" / "A1" / "e" / "labels.nii.gz").array == labels).all()
    # Volumes that vouch for what the images doubt: kept, with a warning.
    stated = {NETC: volume, ET: volume + 16}
    doubted = bring_in(only(lambda: draft_of(files, orders=(wrong, FLAME_ORDER), volumes=stated)), tmp_path / "in2")
    assert "not what brightens most" in doubted.findings[0].what
    assert read_intake(tmp_path / "in2", "A1").exams[0].outlines


def test_without_both_t1_images_labels_are_taken_as_they_say(tmp_path, files):
    draft = draft_of(files, orders=({1: ET, 2: SNFH, 3: NETC},), images=("T1ce",))
    assert bring_in(only(lambda: draft), tmp_path / "in").findings == ()


def broken(kind):
    def make(files):
        path = files / "t1c.nii.gz"
        path.unlink()
        path.write_bytes(
            {"text": b"no image", "cut": gzip.compress(b"x" * 4000)[:20], "short": gzip.compress(b"12")}[kind]
        )
        return path

    return make


@pytest.mark.parametrize("kind", ["text", "cut", "short"])
def test_a_file_that_is_no_image_is_left_out_by_name(tmp_path, files, kind):
    broken(kind)(files)
    result = bring_in(only(lambda: draft_of(files)), tmp_path / "in")
    assert any("e/T1ce.nii.gz is left out" in finding.what for finding in result.findings)
    assert sorted(read_intake(tmp_path / "in", "A1").exams[0].images) == ["T1w"]


def refuse():
    raise DataError("its table is torn", "Mend it.")


def test_one_bad_patient_stops_nobody(tmp_path, files):
    public = PublicSet(
        "test",
        {
            "A0": refuse,
            "A1": lambda: draft_of(files),
            "A2": lambda: IntakeImage(file="/x"),
            "A3": lambda: draft_of(files, "A3"),
        },
        (Finding("note", None, "about the set", "Nothing."),),
    )
    seen = []
    result = bring_in(public, tmp_path / "in", on_patient=seen.append)
    assert result.patients == intake_patients(tmp_path / "in") == ("A1", "A3")
    assert seen == ["A0", "A1", "A2", "A3"]
    assert [(finding.severity, finding.patient) for finding in result.findings] == [
        ("note", None),
        ("error", "A0"),
        ("error", "A2"),
    ]
    assert "left out: its table is torn" in result.findings[1].what


def test_a_patient_without_images_is_left_out_and_told(tmp_path):
    result = bring_in(only(lambda: Gathering("A1").draft(source="test")), tmp_path / "in")
    assert result.patients == ()
    assert result.findings[0].severity == "error"
    assert not (tmp_path / "in" / "A1" / "patient.json").exists()


def test_nothing_of_an_exam_that_is_left_out_is_written(tmp_path, files):
    found = Gathering("A1")
    found.labels("gone", LabelFile(files / "seg.nii.gz", (FLAME_ORDER,)), "f")
    exam = IntakeExam(day=0, images=found.images("e", {"T1ce": files / "t1c.nii.gz"}, "f"))
    bring_in(only(lambda: found.draft(source="test", exams=(exam,))), tmp_path / "in")
    assert sorted(path.name for path in (tmp_path / "in" / "A1").iterdir()) == ["e", "findings.json", "patient.json"]


def test_started_again_it_goes_on_and_says_the_same(tmp_path, files):
    swapped = ({1: ET, 2: SNFH, 3: NETC},)
    first = bring_in(only(lambda: draft_of(files, orders=swapped)), tmp_path / "in")
    record = tmp_path / "in" / "A1" / "patient.json"
    written = record.stat().st_mtime_ns
    public = PublicSet("test", {"A1": lambda: draft_of(files, orders=swapped), "A2": lambda: draft_of(files, "A2")})
    second = bring_in(public, tmp_path / "in")
    assert second.patients == ("A1", "A2")
    assert second.findings == first.findings
    assert record.stat().st_mtime_ns == written
    assert (tmp_path / "in" / "rano.tsv").read_text().count("SD") == 2


def test_what_a_cut_off_import_left_is_replaced(tmp_path, files):
    left = tmp_path / "in" / "A1" / "e" / "T1ce.nii.gz"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    bring_in(only(lambda: draft_of(files)), tmp_path / "in")
    assert left.resolve() == (files / "t1c.nii.gz").resolve()


def test_two_sets_do_not_share_a_folder(tmp_path, files):
    bring_in(only(lambda: draft_of(files)), tmp_path / "in")
    with pytest.raises(ConfigError, match="holds patients of test"):
        bring_in(PublicSet("other", {}), tmp_path / "in")
