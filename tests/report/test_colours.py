"""Colours that can be read (WCAG 2: contrast of text 4.5, of graphical objects 3)."""

import pytest

from flame.report.colours import THEME, colour, heat


def luminance(css: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [int(css[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("share", [-1.0, 0.0, 0.25, 0.5, 0.55, 0.56, 0.75, 1.0, 2.0])
def test_text_in_a_heat_map_can_be_read(share: float) -> None:
    assert contrast(*heat(share)) >= 4.5


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("name", sorted(set(THEME) - {"paper", "line"}))
def test_colours_stand_out_from_the_paper(name: str, mode: int) -> None:
    needed = 4.5 if name in ("ink", "muted", "federated", "local") else 3.0
    assert contrast(THEME[name][mode], THEME["paper"][mode]) >= needed


def test_ways_of_training_have_different_colours_and_unknown_ones_a_stable_one() -> None:
    assert len({colour(way) for way in ("none", "volume_trend", "local", "federated", "pooled")}) == 5
    assert colour("a way of tomorrow") == colour("a way of tomorrow")
