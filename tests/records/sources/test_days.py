"""Days from weeks, ages and fractions, with what they leave open."""

import pytest

from flame.records.sources.days import DAYS_PER_YEAR, last_fraction, span


@pytest.mark.parametrize(
    ("text", "day", "tolerance"), [("3", 21, 3.5), ("3.0", 21, 0.35), ("-1", -7, 3.5), ("12.43", 87.01, 0.035)]
)
def test_weeks_are_known_to_half_of_their_last_digit(text, day, tolerance):
    assert span(text) == pytest.approx((day, tolerance))


def test_an_age_in_hundredths_of_a_year_is_known_to_two_days():
    assert span("65.97", DAYS_PER_YEAR)[1] == pytest.approx(1.83, abs=0.01)


@pytest.mark.parametrize("text", ["soon", "", "nan", "Infinity"])
def test_no_number_no_day(text):
    with pytest.raises(ValueError, match=r"is not (a number|finite)"):
        span(text)


@pytest.mark.parametrize(("fractions", "last"), [(1, 0), (5, 4), (6, 7), (15, 18), (30, 39)])
def test_five_fractions_a_week(fractions, last):
    # Monday to Friday: the 30th fraction is the Friday of the sixth week, 5 * 7 + 4.
    assert last_fraction(fractions) == last
    assert last_fraction(fractions, 10) == last + 10
