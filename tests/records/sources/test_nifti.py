"""A user's own files by a table: every mistake is told by line and column, and is its patient's alone."""

import re

import numpy as np
import pytest
from tests.records.sources.layouts import put, table

from flame.errors import DataError
from flame.records.intake import read_intake
from flame.records.sources.nifti import open_set
from flame.records.sources.writing import bring_in
from flame.records.volume import Grid, Volume

OBLIQUE = Grid((6, 5, 4), np.array([[0.0, -0.9, 0.1, 5], [0.9, 0, 0, -3], [0, 0.1, 5.5, 2], [0, 0, 0, 1]]))
COLUMNS = ("patient", "day", "kind", "path", "author", "frame", "prepared")
PEOPLE = ("patient", "age", "sex", "idh", "death_day", "arm", "prescription_gy", "fractions", "start_day", "rbe_model")


@pytest.fixture
def folder(tmp_path):
    """Files that lines can name, of values that a label map may hold."""
    for name in ("t1", "t1c", "flair", "gtv", "labels", "dose", "letd"):
        put(tmp_path / "mine" / f"{name}.nii.gz", Volume(np.ones(OBLIQUE.shape, np.uint8), OBLIQUE))
    return tmp_path


def come(folder, rows, people=()):
    path = table(folder / "files.tsv", COLUMNS, [(*row, *["n/a"] * (7 - len(row))) for row in rows])
    if people:
        table(folder / "patients.tsv", PEOPLE, people)
    return bring_in(open_set(path), folder / "in")


def test_images_outlines_and_a_course(folder):
    rows = [
        ("P1", 20, "T1ce", "mine/t1c.nii.gz", "n/a", "f1", "aligned skull_stripped"),
        ("P1", 20, "GTV", "mine/gtv.nii.gz", "rough", "f1"),
        ("P1", 100, "FLAIR", "mine/flair.nii.gz"),
        ("P1", "n/a", "dose_rbe", "mine/dose.nii.gz"),
        ("P1", "n/a", "letd", "mine/letd.nii.gz"),
        ("P2", -3, "T1w", "mine/t1.nii.gz"),
        ("P2", -3, "labels", "mine/labels.nii.gz", "human"),
    ]
    people = [
        ("P1", 61, "F", "no", 300, "carbon", 66, 24, 30, "LEM-I"),
        ("P3", 1, "F", "no", "n/a", "n/a", "n/a", "n/a", "n/a", "n/a"),
    ]
    result = come(folder, rows, people)
    first, second = read_intake(folder / "in", "P1"), read_intake(folder / "in", "P2")
    assert [exam.day for exam in first.exams] == [-10, 70]
    assert first.exams[0].already_prepared == {"aligned", "skull_stripped"}
    assert first.exams[0].outlines[0].author == "rough"
    assert first.exams[0].images["T1ce"].frame == first.exams[0].outlines[0].frame == "f1"
    assert first.exams[1].images["FLAIR"].frame is None
    (course,) = first.courses
    assert (course.arm, course.start_day, course.end_day, course.rbe_model) == ("carbon", 0, 31, "LEM-I")
    assert course.dose is None
    assert course.dose_rbe is not None
    assert course.letd is not None
    assert (first.age, first.sex, first.idh_mutant, first.death_day) == (61, "F", False, 270)
    assert [exam.day for exam in second.exams] == [0]  # no course: from the first exam
    assert second.exams[0].outlines[0].known == (1, 2, 3, 4)
    assert [(one.severity, one.patient) for one in result.findings] == [("warning", "P3")]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (("P1", "soon", "T1w", "mine/t1.nii.gz"), r"files\.tsv, line 2, column day: 'soon' is not a whole number"),
        (("P1", 0, "T1", "mine/t1.nii.gz"), "line 2, column kind: 'T1' is none of T1w, T1ce, T2w, FLAIR, labels"),
        (("P1", 0, "T1w", "mine/t3.nii.gz"), "line 2, column path: 'mine/t3.nii.gz' is not there"),
        (("P1", "n/a", "T1w", "mine/t1.nii.gz"), "line 2, column day: an image or outline needs its day"),
        (("P1", 0, "T1w", "mine/t1.nii.gz", "me"), "line 2, column author: 'me' is none of human, machine, rough"),
        (("P1", 0, "T1w", "mine/t1.nii.gz", "n/a", "n/a", "warped"), "line 2, column prepared: 'warped' is none of"),
        (("P1", "n/a", "dose", "mine/dose.nii.gz"), "line 2, column kind: a dose belongs to a course"),
    ],
    ids=["day", "kind", "path", "no day", "author", "prepared", "dose"],
)
def test_a_mistake_is_named_and_is_its_patients_alone(folder, line, says):
    result = come(folder, [line, ("P2", 0, "T1ce", "mine/t1c.nii.gz")])
    assert result.patients == ("P2",)
    (finding,) = result.findings
    assert (finding.severity, finding.patient) == ("error", "P1")
    assert re.search(says, finding.what)


def test_two_images_of_one_kind_in_one_exam(folder):
    result = come(folder, [("P1", 0, "T1w", "mine/t1.nii.gz"), ("P1", 0, "T1w", "mine/t1c.nii.gz")])
    assert "line 3, column kind: the exam of day 0 has a T1w already" in result.findings[0].what


@pytest.mark.parametrize(
    ("header", "row", "says"),
    [
        (("patient", "day", "kind", "path", "who"), ("P1", 0, "T1w", "a", "x"), "there is no column 'who'"),
        (("patient", "day", "kind"), ("P1", 0, "T1w"), "there is no column path"),
        (COLUMNS[:4], ("P 1", 0, "T1w", "a"), "'P 1' is not made of letters and digits"),
    ],
    ids=["unknown column", "missing column", "id"],
)
def test_a_table_of_another_kind_is_refused_as_a_whole(folder, header, row, says):
    path = table(folder / "files.tsv", header, [row])
    with pytest.raises(DataError, match=says):
        open_set(path)


def test_an_empty_table(folder):
    with pytest.raises(DataError, match="names no file"):
        open_set(table(folder / "files.tsv", COLUMNS, []))
