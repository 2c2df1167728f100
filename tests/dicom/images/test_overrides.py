"""Overrides: a person's word is read by line, and a mistake in it is named by line and column."""

import datetime

import numpy as np
import pytest
from tests.dicom.scanner import series

from flame.dicom.images.overrides import read_overrides, short_key
from flame.dicom.series import series_of
from flame.errors import DataError

FOUND = series_of([*series(np.ones((2, 4, 4), int), name="a"), *series(np.ones((2, 4, 4), int), name="b")])
KNOWN = {"P1": FOUND, "P2": ()}
A, B = (one.uid for one in FOUND)


def written(folder, *lines, columns="patient\tseries\tsequence\texam"):
    path = folder / "overrides.tsv"
    path.write_text("\n".join((columns, *lines)) + "\n")
    return path


def test_no_file_is_no_override(tmp_path):
    assert read_overrides(tmp_path / "overrides.tsv", KNOWN) == {}


def test_by_key_or_uid_with_or_without_an_exam(tmp_path):
    path = written(tmp_path, f"P1\t{short_key(A)}\tT1ce\t2", f"P1\t{B}\tnone\tn/a")
    found = read_overrides(path, KNOWN)
    assert {uid: (one.sequence, one.exam) for uid, one in found.items()} == {A: ("T1ce", 2), B: (None, None)}
    assert (
        read_overrides(written(tmp_path, f"P1\t{A}\tT2w", columns="patient\tseries\tsequence"), KNOWN)[A].exam is None
    )


def test_an_exam_that_is_named_by_a_series_stays_the_same_when_an_earlier_one_comes(tmp_path):
    late = datetime.datetime(2020, 3, 1, 10)
    other = series(np.ones((2, 4, 4), int), name="c", moment=late)
    path = written(tmp_path, f"P1\t{short_key(A)}\tT1ce\t{short_key(other[0].SeriesInstanceUID)}")
    found = (*FOUND, *series_of(other))
    assert read_overrides(path, {"P1": found})[A].exam == 2
    early = series(np.ones((2, 4, 4), int), name="d", moment=late - datetime.timedelta(200))
    assert read_overrides(path, {"P1": (*found, *series_of(early))})[A].exam == 3


def test_what_is_said_of_a_patient_who_cannot_be_read_waits(tmp_path):
    path = written(tmp_path, f"P1\t{A}\tT1ce\tn/a", "P3\tffffffff\tT1w\tn/a")
    assert set(read_overrides(path, KNOWN, ["P3"])) == {A}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((f"P1\t{short_key(A)}\tT1\tn/a",), "line 2, column sequence: 'T1' is none of T1w, T1ce, T2w, FLAIR, none"),
        (("P1\tffffffff\tT1w\tn/a",), "line 2, column series: 'ffffffff' is not in the store"),
        ((f"P9\t{A}\tT1w\tn/a",), "line 2, column patient: 'P9' is not in the store"),
        ((f"P2\t{A}\tT1w\tn/a",), "line 2, column series: .* is not in the store"),
        ((f"P1\t{A}\tT1w\tfirst",), "line 2, column exam: 'first' is not a whole number"),
        ((f"P1\t{A}\tT1w\tn/a", f"P1\t{short_key(A)}\tT2w\tn/a"), "line 3, column series: it is on line 2 already"),
        ((f"P1\t{A}\tT1w",), "line 2, column series: 3 cells where the first line has 4"),
    ],
    ids=["word", "series", "patient", "series of another", "exam", "twice", "cells"],
)
def test_a_mistake_is_named_by_line(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        read_overrides(written(tmp_path, *lines), KNOWN)
