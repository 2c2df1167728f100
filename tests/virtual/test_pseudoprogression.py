"""Pseudoprogression comes in weeks, goes in months, stays in the high-dose region, and is likelier under ions."""

import numpy as np
import pytest

from flame.records.patient import ARMS
from flame.virtual.observation import ENHANCING
from flame.virtual.pseudoprogression import RATES, Proneness, amplitude, draw_proneness, enhancement_field, happens

TYPICAL = Proneness(threshold=0.2, radius_mm=6.0, peak=1.0, peak_day=60.0)


def test_greatest_at_the_peak_day():
    days = np.arange(1, 300)
    values = [amplitude(TYPICAL, day) for day in days]
    assert days[int(np.argmax(values))] == 60
    assert max(values) == pytest.approx(1.0)
    assert amplitude(TYPICAL, -5) == 0.0


def test_resolves_within_six_months_in_every_patient():
    draws = np.random.default_rng(1)
    for _ in range(300):
        proneness = draw_proneness(draws)
        assert amplitude(proneness, 60) > ENHANCING
        assert amplitude(proneness, 273) < ENHANCING / 2


def test_rates_by_arm_are_what_is_stated():
    draws = np.random.default_rng(2)
    people = [draw_proneness(draws) for _ in range(2000)]
    shares = [np.mean([happens(person, arm, methylated=False) for person in people]) for arm in ARMS]
    assert shares == pytest.approx([RATES[arm] for arm in ARMS], abs=0.035)
    assert all(happens(p, "carbon", methylated=False) for p in people if happens(p, "photon", methylated=False))


def test_patch_lies_where_dose_is_high():
    shape = (30, 30, 30)
    x, y, z = np.indices(shape)
    distance = np.sqrt((x - 15) ** 2 + (y - 15) ** 2 + (z - 15) ** 2) * 2.0
    target = distance < 10
    dose = np.where(distance < 24, 60.0, 10.0).astype(np.float32)
    patch = enhancement_field(
        np.random.default_rng(3), TYPICAL, target, np.ones(shape, np.float32), dose, spacing_mm=2.0
    )
    assert 0.5 < patch.max() < 6
    assert patch[dose < 30].max() == 0.0


def test_no_white_matter_no_patch():
    shape = (12, 12, 12)
    target = np.zeros(shape, bool)
    target[6, 6, 6] = True
    nothing = np.zeros(shape, np.float32)
    patch = enhancement_field(np.random.default_rng(0), TYPICAL, target, nothing, np.ones(shape, np.float32), 2.0)
    assert not patch.any()
