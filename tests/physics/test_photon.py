"""Photon beams: depth dose against published values, plans in a ball."""

import numpy as np
import pytest
from tests.physics.phantoms import SPACING_MM, ball

from flame.physics.beams import make_head
from flame.physics.photon import PhotonSettings, irradiate, tissue_maximum_ratio


@pytest.mark.parametrize(("depth_mm", "published"), [(15.0, 1.0), (100.0, 0.67), (200.0, 0.385)])
def test_percentage_depth_dose_of_6_mv(depth_mm, published):
    square = ((1000 + 15) / (1000 + depth_mm)) ** 2
    found = float(tissue_maximum_ratio(np.array([depth_mm], np.float32))[0]) * square
    assert found == pytest.approx(published, abs=0.015)


def test_skin_is_spared():
    assert tissue_maximum_ratio(np.zeros(1, np.float32))[0] < 0.4


def test_plan_covers_the_target_and_falls_off():
    brain, target = ball((0, 0, 0), 70), ball((20, 0, 0), 24)
    head = make_head(brain, np.full(3, SPACING_MM))
    plan = irradiate(head, target, np.full(3, SPACING_MM), 60.0)
    dose = plan.dose_gy
    assert np.median(dose[target]) == pytest.approx(60.0, rel=0.01)
    assert np.percentile(dose[target], 2) > 0.93 * 60
    assert np.percentile(dose[target], 98) < 1.05 * 60
    # ICRU 83 conformity: the volume of the 95 % isodose is near that of the target.
    assert 0.8 < np.count_nonzero(dose >= 57) / target.sum() < 1.2
    assert len(plan.beams) == PhotonSettings().beams


def test_a_set_up_error_moves_the_dose():
    brain, target = ball((0, 0, 0), 70), ball((0, 0, 0), 20)
    head, spacing = make_head(brain, np.full(3, SPACING_MM)), np.full(3, SPACING_MM)
    few = PhotonSettings(beams=5, iterations=2)
    planned = irradiate(head, target, spacing, 60.0, settings=few).dose_gy
    moved = irradiate(head, target, spacing, 60.0, settings=few, shift_mm=(0.0, 0.0, 8.0)).dose_gy
    assert moved[:, :, 2:] == pytest.approx(planned[:, :, :-2], abs=1e-3)
