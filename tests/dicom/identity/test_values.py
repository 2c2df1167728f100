"""Single values: dates move, ages end at 90, codes and terms are known or gone."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import uid

from flame.dicom.identity import values
from flame.dicom.identity.terms import TERMS


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(-3650, -1))
def test_dates_move_by_whole_days(day: date, days: int) -> None:
    moved = f"{day + timedelta(days):%Y%m%d}"
    assert values.shift_date(f"{day:%Y%m%d}", days) == moved
    assert values.shift_date(f"{day:%Y.%m.%d}", days) == moved
    assert values.shift_datetime(f"{day:%Y%m%d}101530.25+0100", days) == moved + "101530.25"
    assert values.shift_datetime(f"{day:%Y%m%d}", days) == moved


@pytest.mark.parametrize(
    "text", ["", "2024", "20241301", "00010101", "Weber", "20240305Weber", "20240305\n", "٢٠٢٤٠٣٠٥"]
)
def test_what_is_no_date_goes(text: str) -> None:
    assert values.shift_date(text, -5) is None
    assert values.shift_datetime(text, -5) is None


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("101500", "101500"),
        ("10:15:00", "101500"),
        ("1015", "1015"),
        ("101500.123456", "101500.123456"),
        ("Weber", None),
    ],
)
def test_times_stay(text: str, kept: str | None) -> None:
    assert values.clean_time(text) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [("064Y", "064Y"), ("089Y", "089Y"), ("090Y", "090Y"), ("104Y", "090Y"), ("003M", "003M"), ("64", None)],
)
def test_ages_end_at_ninety(text: str, kept: str | None) -> None:
    assert values.clean_age(text) == kept


def test_an_age_is_full_years() -> None:
    assert values.age_on("19600301", "20240229") == "063Y"
    assert values.age_on("19600301", "20240301") == "064Y"
    assert values.age_on("20240302", "20240301") is None


def test_terms_are_known_or_gone_and_keep_their_places() -> None:
    assert values.clean_terms(["ORIGINAL", "PRIMARY", "WEBER", "M"]) == ["ORIGINAL", "PRIMARY", "OTHER", "M"]
    assert values.clean_terms(["WEBER"]) is None
    assert values.clean_terms([""]) == [""]
    assert all(len(term) <= 25 and term == term.upper() for term in TERMS)


def test_uids_of_the_standard_are_told_from_a_hospitals() -> None:
    assert values.is_standard_uid(uid.MRImageStorage)
    assert values.is_standard_uid(uid.ExplicitVRLittleEndian)
    assert not values.is_standard_uid("1.2.840.10008.5.1.4.1.1.4.77")
    assert not values.is_standard_uid("1.3.12.2.1107.5.2.30")
    # pydicom takes these for the same UID without what is around it, which is not what they were
    for around in ("\t{}", "{}\n", " {}", "\n/../{}", "{}\xa0"):
        assert not values.is_standard_uid(around.format("1.3.12.2.1107.5.2.30")), around
        assert not values.is_standard_uid(around.format(uid.MRImageStorage)), around


def test_codes_are_in_a_dictionary_or_unknown() -> None:
    assert values.clean_code("SCT", "4147007") == ("4147007", "SCT", "Mass")
    assert values.clean_code("UCUM", "mm") == ("mm", "UCUM", "mm")
    assert values.clean_code("99HOSPITAL", "4711") == ("unknown", "99FLAME", "unknown")
    assert values.clean_code("SCT", "0612345678") == ("unknown", "99FLAME", "unknown")
    assert values.clean_code("99FLAME", "unknown") == ("unknown", "99FLAME", "unknown")
