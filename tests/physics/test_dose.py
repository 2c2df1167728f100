"""Whole plans in a ball-shaped head: targets, coverage, the arms against each other, refusals."""

import numpy as np
import pytest
from tests.physics.phantoms import SPACING_MM, ball, grid

from flame.errors import DataError
from flame.physics.dose import BOOST_GY, plan, targets
from flame.physics.radiobiology import dose_rbe
from flame.records.volume import Grid

BRAIN, GTV = ball((0, 0, 0), 70), ball((28, 8, 12), 14)


def _plan(arm, prescription=60.0, fractions=30, **errors):
    return plan(BRAIN, GTV, grid(), arm, prescription, fractions, **errors)


@pytest.fixture(scope="module")
def plans():
    return {"photon": _plan("photon"), "proton": _plan("proton"), "carbon": _plan("carbon", 75.0, 33)}


def test_targets_are_margins_clipped_to_the_brain():
    gtv = ball((48, 8, 12), 14)
    ctv, ptv = targets(gtv, BRAIN, grid(), 15.0, 3.0)
    # A ball of 14 mm grows to 29 mm, give or take most of a voxel.
    assert ctv[ball((48, 8, 12), 29 - 0.75 * SPACING_MM) & BRAIN].all()
    assert not ctv[~ball((48, 8, 12), 29 + 0.75 * SPACING_MM)].any()
    assert not ctv[~BRAIN].any()
    assert (ptv >= ctv).all()
    assert (ptv & ~BRAIN).any()


@pytest.mark.parametrize("spacing_mm", [2.0, 3.0, 4.0])
def test_target_volumes_do_not_depend_on_the_grid(spacing_mm):
    size = int(96 / spacing_mm)
    away = (np.indices((size, size, size)) - (size - 1) / 2) * spacing_mm
    gtv = (away**2).sum(axis=0) <= 15**2
    space = Grid(gtv.shape, np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0]))
    ctv, ptv = targets(gtv, np.ones_like(gtv), space, 15.0, 3.0)
    for mask, radius_mm in ((ctv, 30.0), (ptv, 33.0)):
        assert mask.sum() * spacing_mm**3 == pytest.approx(4 / 3 * np.pi * radius_mm**3, rel=0.08)


def test_targets_on_an_anisotropic_grid():
    gtv = np.zeros((21, 21, 11), bool)
    gtv[10, 10, 5] = True
    space = Grid((21, 21, 11), np.diag([1.0, 1.0, 3.0, 1.0]))
    ctv, _ = targets(gtv, np.ones_like(gtv), space, 6.0, 0.0)
    assert np.count_nonzero(ctv[:, 10, 5]) == 13
    assert np.count_nonzero(ctv[10, 10]) == 5


@pytest.mark.parametrize(("arm", "least"), [("photon", 0.93), ("proton", 0.95)])
def test_median_and_coverage_of_the_target(plans, arm, least):
    found = plans[arm]
    dose = found.dose_rbe_gy[found.ptv]
    assert np.median(dose) == pytest.approx(60.0, rel=0.005)
    assert np.percentile(dose, 2) >= least * 60


def test_protons_spare_the_brain(plans):
    outside = BRAIN & ~plans["photon"].ptv
    ratio = plans["photon"].dose_rbe_gy[outside].mean() / plans["proton"].dose_rbe_gy[outside].mean()
    # About 2 for lobar tumours; less for this one, which lies deep, so that every beam crosses much brain.
    assert 1.2 < ratio < 2.6


def test_the_carbon_arm_is_protons_and_a_smaller_boost(plans):
    whole = plans["carbon"]
    protons, boost = whole.parts
    assert (protons.arm, protons.prescription_gy, protons.fractions) == ("proton", 60.0, 30)
    assert (boost.arm, boost.prescription_gy, boost.fractions) == ("carbon", BOOST_GY, 3)
    assert boost.ptv.sum() < 0.5 * protons.ptv.sum()
    assert (whole.ptv >= boost.ptv).all()
    assert whole.rbe_model == "constant-1.1+carbon-lq-let"
    assert whole.dose_gy == pytest.approx(protons.dose_gy + boost.dose_gy, abs=1e-4)
    assert whole.dose_rbe_gy == pytest.approx(protons.dose_rbe_gy + boost.dose_rbe_gy, abs=1e-4)
    mean = (protons.dose_gy * protons.letd + boost.dose_gy * boost.letd)[boost.ptv] / whole.dose_gy[boost.ptv]
    assert whole.letd[boost.ptv] == pytest.approx(mean, rel=1e-4)
    assert protons.dose_gy.tobytes() == plans["proton"].dose_gy.tobytes()


def test_rbe_weighted_dose_follows_from_dose_and_let(plans):
    boost = plans["carbon"].parts[1]
    expected = dose_rbe(boost.dose_gy, boost.letd, boost.fractions, boost.rbe_model)
    assert boost.dose_rbe_gy == pytest.approx(expected, rel=1e-5)
    assert np.median(boost.dose_rbe_gy[boost.ptv]) == pytest.approx(BOOST_GY, rel=0.005)
    # Carbon needs about half the physical dose at an RBE near 2.
    assert 1.5 < (boost.dose_rbe_gy / np.maximum(boost.dose_gy, 1e-3))[boost.ptv].mean() < 3


def test_arrays_are_float32_on_the_grid(plans):
    for found in plans.values():
        for array in (found.dose_gy, found.letd, found.dose_rbe_gy):
            assert array.dtype == np.float32
            assert array.shape == BRAIN.shape
            assert array.flags.c_contiguous
            assert np.isfinite(array).all()
            assert array.min() >= 0


def test_same_input_same_bytes(plans):
    again = _plan("carbon", 75.0, 33)
    assert again.dose_rbe_gy.tobytes() == plans["carbon"].dose_rbe_gy.tobytes()


def test_the_plan_does_not_know_the_errors_of_its_delivery(plans):
    wrong = _plan("proton", range_error=0.05, shift_mm=(0.0, SPACING_MM, 0.0))
    assert np.median(wrong.dose_rbe_gy[wrong.ptv]) != pytest.approx(60.0, rel=1e-5)
    assert np.percentile(wrong.dose_rbe_gy[wrong.ptv], 2) < np.percentile(plans["proton"].dose_rbe_gy[wrong.ptv], 2)
    still = _plan("photon", range_error=0.05)
    assert still.dose_gy.tobytes() == plans["photon"].dose_gy.tobytes()


def test_refusals():
    with pytest.raises(DataError, match="tumour volume is empty"):
        plan(BRAIN, GTV & False, grid(), "photon", 60.0, 30)
    with pytest.raises(DataError, match="brain mask is empty"):
        plan(BRAIN & False, GTV, grid(), "photon", 60.0, 30)
    with pytest.raises(DataError, match="outside the brain"):
        plan(BRAIN & ~GTV, GTV, grid(), "photon", 60.0, 30)
    with pytest.raises(ValueError, match="shape"):
        plan(BRAIN[1:], GTV, grid(), "photon", 60.0, 30)
    with pytest.raises(ValueError, match=r"15\.0 Gy\(RBE\) in 3"):
        plan(BRAIN, GTV, grid(), "carbon", 15.0, 3)
