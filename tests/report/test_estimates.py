"""Numbers as text."""

import pytest

from flame.report.estimates import MISSING, Estimate, bytes_text, number, signed


def test_an_interval_is_read_from_json_and_unknown_stays_unknown() -> None:
    assert Estimate.of({"estimate": 0.7, "low": 0.6, "high": 0.8}) == Estimate(0.7, 0.6, 0.8)
    assert Estimate.of(None) == Estimate.of({}) == Estimate(None, None, None)


@pytest.mark.parametrize(
    ("estimate", "text", "difference"),
    [
        (Estimate(0.714, 0.62, 0.79), "0.71 (0.62–0.79)", "+0.714 (+0.620 to +0.790)"),
        (Estimate(-0.1, -0.2, 0.05), "−0.10 (−0.20 to 0.05)", "−0.100 (−0.200 to +0.050)"),
        (Estimate(0.5, None, None), "0.50 (no interval)", "+0.500 (no interval)"),
        (Estimate(None, None, None), MISSING, MISSING),
    ],
)
def test_estimates_are_written_with_their_intervals(estimate: Estimate, text: str, difference: str) -> None:
    assert estimate.text() == text
    assert estimate.difference_text() == difference


def test_one_patient_has_no_interval() -> None:
    raw = {"estimate": 1.0, "low": 1.0, "high": 1.0}
    assert Estimate.of(raw, patients=1).text() == "1.00 (no interval)"
    assert Estimate.of(raw, patients=2).text() == "1.00 (1.00–1.00)"


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.0186, 0.00042, 0.044), "+0.0186 (+0.0004 to +0.0440)"),
        (Estimate(-0.004, -0.009, -0.00002), "−0.00400 (−0.00900 to −0.00002)"),
        (Estimate(0.001, -0.0002, 0.003), "+0.001 (0.000 to +0.003)"),
        (Estimate(1e-9, 1e-9, 1e-9), "0.000000 (0.000000 to 0.000000)"),
    ],
)
def test_a_bound_that_decides_never_looks_like_zero(estimate: Estimate, text: str) -> None:
    assert estimate.difference_text() == text


@pytest.mark.parametrize(
    ("value", "text"), [(-0.0001, "0.000"), (0.0001, "0.000"), (0.01, "+0.010"), (-0.01, "−0.010")]
)
def test_a_sign_is_shown_unless_nothing_is_left(value: float, text: str) -> None:
    assert signed(value) == text


def test_negative_zero_has_no_sign() -> None:
    assert number(-0.004) == "0.00"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_440_000, "1.4 MB"), (2.5e9, "2.5 GB")]
)
def test_bytes_are_written_in_decimal_units(count: float, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.001, 0.2, "better"), (-0.2, -0.001, "worse"), (0.0, 0.2, "undecided"), (None, None, "unknown")],
)
def test_only_an_interval_on_one_side_of_zero_decides(low: float | None, high: float | None, verdict: str) -> None:
    assert Estimate(0.1, low, high).verdict == verdict
