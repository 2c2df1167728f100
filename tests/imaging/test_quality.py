import math

import pytest

from flame.imaging.quality import GAUGES, judge, worst


@pytest.mark.parametrize("name", sorted(GAUGES))
def test_amber_is_wider_than_green_and_every_range_has_its_reason(name):
    gauge = GAUGES[name]
    assert gauge.amber[0] <= gauge.green[0] < gauge.green[1] <= gauge.amber[1]
    assert gauge.reason


@pytest.mark.parametrize(
    ("gauge", "value", "light"),
    [
        ("inverse_mm", 1.5, "green"),
        ("inverse_mm", 1.6, "amber"),
        ("inverse_mm", 4.1, "red"),
        ("brain_ml", 1000.0, "amber"),
        ("brain_ml", 3000.0, "red"),
        ("coverage", math.nan, "red"),
    ],
    ids=["at the limit", "beyond", "far beyond", "small head", "no head", "not a number"],
)
def test_lights(gauge, value, light):
    assert judge("T1w", gauge, value).light == light


def test_the_worst_light_counts():
    assert worst(["green", "red", "amber"]) == "red"
    assert worst([]) == "green"
