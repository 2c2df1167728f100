"""The choice of an exam: repeats, what the voxels contradict, and what a person decided."""

import dataclasses
import datetime

import numpy as np
import pytest
from tests.dicom.heads import head
from tests.dicom.scanner import FLAIR_2D, MPRAGE, T1_SE, T2_TSE, series

from flame.dicom.images.choice import decide, write_series_table
from flame.dicom.images.overrides import read_overrides, short_key
from flame.dicom.images.preference import choose
from flame.dicom.series import series_of
from flame.errors import DataError
from flame.records.tables import read_table

SLICES = np.ones((10, 4, 4), int)
MORNING = datetime.datetime(2020, 1, 1, 9)


def one(name, header, minute=0, study="study", **change):
    """The summary of a series of 240 x 240 x 150 mm."""
    moment = MORNING + datetime.timedelta(minutes=minute)
    header = {"SeriesDescription": name, "SeriesNumber": minute + 1} | header
    images = series(SLICES, name, spacing=(60, 60, 15), study=study, moment=moment, header=header)
    (found,) = series_of(images)
    return dataclasses.replace(found, **change)


THIN = {"spacing_mm": (1.0, 1.0, 1.0)}
THICK = {"spacing_mm": (0.9, 0.9, 5.5)}
EXAM = (
    one("t1 se", T1_SE, 0, **THICK),
    one("t2 tse", T2_TSE, 5, **THICK),
    one("flair", FLAIR_2D, 10, **THICK),
    one("t1 mprage gd", MPRAGE, 20, **THIN),
)
SHOWS = {"t1 se": "T1w", "t2 tse": "T2w", "flair": "FLAIR", "t1 mprage gd": "T1ce"}


def by_name(shows=SHOWS):
    return lambda found: head(shows[" ".join(found.names)])


def taken(decision, exam=0):
    return {sequence: " ".join(chosen.series.names) for sequence, chosen in decision.exams[exam].chosen.items()}


def why(decision, series):
    return next(row["why"] for row in decision.rows if row["series"] == short_key(series.uid))


def test_a_whole_exam():
    decision = decide("P1", EXAM, {}, by_name())
    assert taken(decision) == {"T1w": "t1 se", "T1ce": "t1 mprage gd", "T2w": "t2 tse", "FLAIR": "flair"}
    assert decision.findings == ()
    assert why(decision, EXAM[2]) == "named FLAIR (flair); timing of FLAIR (TR 9000 ms, TE 95 ms, TI 2500 ms)"


REPEATS = {
    "3-D": ({"three_d": True}, {}, "3-D, the other 2-D"),
    "thin": (THIN, THICK, "thinner slices (1.0 mm against 5.5 mm)"),
    "3-D goes before thin": ({"three_d": True, "spacing_mm": (1, 1, 1.5)}, THIN, "3-D, the other 2-D"),
    "fine": (THICK, {"spacing_mm": (0.5, 0.5, 5.5)}, None),
    "whole head": (
        {"extent_mm": (240.0, 240.0, 150.0)} | THICK,
        {"extent_mm": (240.0, 240.0, 90.0)} | THIN,
        "covers the whole head (150 mm against 90 mm)",
    ),
    "not reformatted": (THICK, THIN | {"derived": True}, "acquired as it is, the other is a reformat"),
    "fat": ({}, {"fat_suppressed": True}, "fat is not suppressed"),
    "distortion": ({"corrected": 2}, {"corrected": 1}, "better corrected for distortion"),
    "later": ({"seconds": 34000.0}, {"seconds": 33000.0}, "the later repeat of the same"),
}


@pytest.mark.parametrize("case", REPEATS)
def test_the_choice_among_repeats_is_told(case):
    better, worse, words = REPEATS[case]
    base = one("t1 a", T1_SE)
    first = dataclasses.replace(base, uid="1", **better)
    second = dataclasses.replace(base, uid="2", **worse)
    if words is None:
        first, second, words = second, first, "finer voxels (1.4 mm³ against 4.5 mm³)"
    for order in ([first, second], [second, first]):
        best, told = choose(order)
        assert best.uid == first.uid
        assert told == {second.uid: words}


def test_a_repeat_that_cannot_be_converted_is_passed_over():
    broken = one("flair", FLAIR_2D, 30, study="again", trouble="1 slice is missing")
    decision = decide("P1", [*EXAM, broken], {}, by_name())
    assert decision.exams[0].chosen["FLAIR"].series is EXAM[2]
    (found,) = decision.findings
    assert f"series {short_key(broken.uid)} (FLAIR) cannot be used: 1 slice is missing" in found.what


def test_pixels_that_cannot_be_read_are_passed_over():
    def unreadable(found):
        if "flair" in found.names:
            raise DataError("Pixel data compressed as X cannot be read here", "Send it again.")
        return by_name()(found)

    decision = decide("P1", EXAM, {}, unreadable)
    assert "FLAIR" not in taken(decision)
    assert "cannot be converted: Pixel data compressed as X" in decision.findings[0].what


def test_bright_fluid_contradicts_a_flair():
    again = one("flair t2", FLAIR_2D, 3, **THICK)
    shows = SHOWS | {"flair": "T2w", "flair t2": "FLAIR"}
    decision = decide("P1", [*EXAM, again], {}, by_name(shows))
    assert taken(decision)["FLAIR"] == "flair t2", "the earlier one, as the later contradicts itself"
    assert "but fluid is bright on it, and dark on FLAIR" in decision.findings[0].what
    assert "unknown" in [row["taken_for"] for row in decision.rows]


def test_t1_with_and_without_contrast_that_are_swapped():
    shows = SHOWS | {"t1 se": "T1ce", "t1 mprage gd": "T1w"}
    decision = decide("P1", EXAM, {}, by_name(shows))
    assert taken(decision) == {"T2w": "t2 tse", "FLAIR": "flair"}
    assert all("they may be swapped" in found.what for found in decision.findings)
    assert len(decision.findings) == 2


@pytest.mark.parametrize("enhances", ["t1 fl3d", "t1 se"])
def test_contrast_that_no_header_states_is_found(enhances):
    listed = [EXAM[0], EXAM[1], one("t1 fl3d", MPRAGE, 20, **THIN)]
    plain = ({"t1 fl3d", "t1 se"} - {enhances}).pop()
    decision = decide("P1", listed, {}, by_name(SHOWS | {enhances: "T1ce", plain: "T1w"}))
    assert taken(decision) == {"T1w": plain, "T1ce": enhances, "T2w": "t2 tse"}
    told = " ".join(decision.exams[0].chosen["T1ce"].reasons)
    assert "it enhances over series" in told


def test_two_plain_t1_stay_plain():
    listed = [EXAM[0], one("t1 fl3d", MPRAGE, 20, **THIN)]
    decision = decide("P1", listed, {}, by_name(SHOWS | {"t1 fl3d": "T1w"}))
    assert taken(decision) == {"T1w": "t1 fl3d"}
    assert "was taken: 3-D, the other 2-D" in why(decision, EXAM[0])


def overrides(folder, *lines):
    path = folder / "overrides.tsv"
    path.write_text("\n".join(("patient\tseries\tsequence\texam", *lines)) + "\n")
    return path


def test_a_person_is_believed_and_the_table_says_so(tmp_path):
    shows = SHOWS | {"t1 se": "T1ce", "t1 mprage gd": "T1w", "flair": "T2w"}
    said = {EXAM[0].uid: "T1ce", EXAM[3].uid: "T1w", EXAM[2].uid: "FLAIR", EXAM[1].uid: "none"}
    lines = [f"P1\t{short_key(uid)}\t{word}\tn/a" for uid, word in said.items()]
    decision = decide("P1", EXAM, read_overrides(overrides(tmp_path, *lines), {"P1": EXAM}), by_name(shows))
    assert taken(decision) == {"T1w": "t1 mprage gd", "T1ce": "t1 se", "FLAIR": "flair"}
    assert decision.findings == ()
    write_series_table(tmp_path / "series.tsv", [decision])
    rows = {row.cells["series"]: row.cells for row in read_table(tmp_path / "series.tsv", "series")}
    assert rows[short_key(EXAM[0].uid)]["why"] == "overrides.tsv says T1ce"
    assert rows[short_key(EXAM[1].uid)]["taken_for"] == "not to be used"
    assert {cells["by"] for cells in rows.values()} == {"overrides.tsv"}
    # the table that was written can itself be given back
    again = read_overrides(tmp_path / "series.tsv", {"P1": EXAM})
    assert {uid: one_.sequence for uid, one_ in again.items()} == {
        uid: None if word == "none" else word for uid, word in said.items()
    }


def test_an_override_beats_a_better_repeat(tmp_path):
    plain = one("t1 fl3d native", MPRAGE, 1, **THIN)
    path = overrides(tmp_path, f"P1\t{EXAM[0].uid}\tT1w\tn/a")
    decision = decide("P1", [*EXAM, plain], read_overrides(path, {"P1": EXAM}), by_name())
    assert taken(decision)["T1w"] == "t1 se"
    assert "overrides.tsv says so" in why(decision, plain)


def test_an_override_moves_a_series_to_another_exam(tmp_path):
    later = one("t1 mprage gd", MPRAGE, 24 * 60 + 7, study="next day", **THIN)
    listed = [*EXAM[:3], later]
    assert len(decide("P1", listed, {}, by_name()).exams) == 2
    path = overrides(tmp_path, f"P1\t{later.uid}\tT1ce\t1")
    decision = decide("P1", listed, read_overrides(path, {"P1": listed}), by_name())
    assert len(decision.exams) == 1
    assert taken(decision)["T1ce"] == "t1 mprage gd"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((f"P1\t{EXAM[0].uid}\tT1w\t2",), "line 2, column exam: there is no exam 2, but 1 to 1"),
        (
            (f"P1\t{EXAM[0].uid}\tT1w\tn/a", f"P1\t{EXAM[3].uid}\tT1w\tn/a"),
            "line 3, column sequence: T1w of exam 1 is given on line 2 already",
        ),
    ],
    ids=["exam", "twice"],
)
def test_an_override_that_cannot_be_is_named_by_line(tmp_path, lines, message):
    path = overrides(tmp_path, *lines)
    with pytest.raises(DataError, match=message):
        decide("P1", EXAM, read_overrides(path, {"P1": EXAM}), by_name())


def test_a_long_pause_within_a_day_is_told():
    evening = one("t2 tse", T2_TSE, 9 * 60, study="evening")
    decision = decide("P1", [*EXAM, evening], {}, by_name())
    assert "taken 9 hours apart" in decision.findings[0].what


def test_decision_does_not_depend_on_the_order_of_series():
    listed = [*EXAM, one("flair t2", FLAIR_2D, 10, **THICK), one("t1 fl3d", MPRAGE, 0, **THIN)]
    shows = by_name(SHOWS | {"flair t2": "FLAIR", "t1 fl3d": "T1w"})
    expected = taken(decide("P1", listed, {}, shows))
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(len(listed))
        assert taken(decide("P1", [listed[i] for i in order], {}, shows)) == expected
