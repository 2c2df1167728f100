"""Days from what public sets give instead of them: weeks, ages, months, a number of fractions."""

from decimal import Decimal, InvalidOperation

__all__ = ["DAYS_PER_MONTH", "DAYS_PER_YEAR", "ORDER_ONLY", "Span", "last_fraction", "span"]

DAYS_PER_MONTH = 30.4375
DAYS_PER_YEAR = 365.25
FRACTIONS_A_WEEK = 5

ORDER_ONLY = 3650.0
"""Tolerance of days [days] where a set tells the order of exams and nothing else: no analysis of days may use them."""

Span = tuple[float, float]
"""A time [days], and how far it may be off [days]."""


def span(text: str, days: float = 7.0) -> Span:
    """A time as a set writes it, with half of its last digit as the tolerance: whole weeks are known to 3.5 days.

    Args:
        text: a number, in units of `days`.
        days: the unit [days].

    Raises: ValueError: if it is not a finite number; the message ends a sentence.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError("is not a number") from None
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError("is not finite")
    return float(value) * days, 0.5 * 10.0 ** min(exponent, 0) * days


def last_fraction(fractions: int, start_day: int = 0) -> int:
    """Day of the last fraction, five a week from a Monday on: 30 fractions from day 0 end on day 39."""
    weeks, rest = divmod(fractions - 1, FRACTIONS_A_WEEK)
    return start_day + 7 * weeks + rest
