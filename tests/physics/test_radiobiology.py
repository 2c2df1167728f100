"""Radiobiology against published values (science.md 3.3), its own inverses and its limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame.physics.radiobiology import (
    CLINICAL_RBE_MODEL,
    bed,
    carbon_rbe,
    carbon_rbe_max,
    clinical_proton_rbe,
    dose_rbe,
    effect,
    eqd2,
    isoeffective_dose,
    lq_rbe,
    mcnamara_rbe,
    oer,
    surviving_fraction,
    wedenberg_rbe,
)

doses = st.floats(0.0, 100.0)
lets = st.floats(0.0, 300.0)


@pytest.mark.parametrize(
    ("dose", "fractions", "expected"),
    [
        (60, 30, 60.0),
        (40.05, 15, 42.29),
        (75, 30, 78.13),
        (18, 6, 19.5),
        (15, 3, 18.75),
        (34, 10, 37.97),
        (25, 5, 31.25),
        (96.6, 56, 94.39),
    ],
)
def test_eqd2_of_common_schedules(dose, fractions, expected):
    assert eqd2(dose, fractions, 10.0) == pytest.approx(expected, abs=0.005)


def test_bed_of_the_standard_and_the_short_course():
    assert bed(60, 30, 10.0) == pytest.approx(72.0)
    assert bed(40.05, 15, 10.0) == pytest.approx(50.74, abs=0.005)


@pytest.mark.parametrize(("alpha", "expected"), [(0.06, 1.3e-2), (0.1, 7.5e-4)])
def test_survival_after_the_standard_course(alpha, expected):
    assert surviving_fraction(60.0, 30, alpha, 10.0) == pytest.approx(expected, rel=0.03)


def test_survival_with_infinite_alpha_beta_is_exponential():
    assert surviving_fraction(20.0, 10, 0.1, np.inf) == pytest.approx(np.exp(-2.0))


@settings(deadline=None, derandomize=True)
@given(dose=doses, fractions=st.integers(1, 40), alpha=st.floats(0.01, 0.5), alpha_beta=st.floats(1.0, 20.0))
def test_isoeffective_dose_inverts_the_effect(dose, fractions, alpha, alpha_beta):
    back = isoeffective_dose(effect(dose, fractions, alpha, alpha_beta), fractions, alpha, alpha_beta)
    assert back == pytest.approx(dose, rel=1e-9, abs=1e-12)


@settings(deadline=None, derandomize=True)
@given(dose=doses, alpha_beta=st.floats(1.0, 20.0), fractions=st.integers(1, 40))
def test_eqd2_in_fractions_of_2_gy_has_the_same_effect(dose, alpha_beta, fractions):
    same = eqd2(dose, fractions, alpha_beta)
    per_gray = 1 + 2 / alpha_beta
    assert 0.1 * same * per_gray == pytest.approx(effect(dose, fractions, 0.1, alpha_beta), rel=1e-9)


@pytest.mark.parametrize(
    ("alpha_beta", "letd", "wedenberg", "mcnamara"),
    [
        (10.0, 2.5, 1.0767, 1.0769),
        (10.0, 10.0, 1.2974, 1.2338),
        (2.0, 2.5, 1.1711, 1.1936),
        (2.0, 10.0, 1.6024, 1.5288),
    ],
)
def test_proton_rbe_at_2_gy(alpha_beta, letd, wedenberg, mcnamara):
    assert wedenberg_rbe(2.0, letd, alpha_beta) == pytest.approx(wedenberg, abs=6e-5)
    assert mcnamara_rbe(2.0, letd, alpha_beta) == pytest.approx(mcnamara, abs=6e-5)


@pytest.mark.parametrize(("dose", "expected"), [(1.0, 2.48), (2.0, 2.22)])
def test_rbe_with_a_maximum_of_3(dose, expected):
    assert lq_rbe(dose, 10.0, 3.0) == pytest.approx(expected, abs=0.005)


def test_rbe_limits_at_low_and_high_dose():
    assert lq_rbe(0.0, 10.0, 3.0, 1.2) == pytest.approx(3.0)
    assert lq_rbe(1e6, 10.0, 3.0, 1.2) == pytest.approx(1.2, rel=1e-4)


def test_rbe_equals_the_published_form():
    dose, alpha_beta, high, low = 1.7, 3.0, 1.6, 1.05
    published = (np.sqrt(alpha_beta**2 + 4 * dose * alpha_beta * high + 4 * dose**2 * low**2) - alpha_beta) / (2 * dose)
    assert lq_rbe(dose, alpha_beta, high, low) == pytest.approx(published, rel=1e-12)


def test_carbon_rises_to_its_maximum_at_100_kev_per_um_and_falls_beyond():
    letd = np.arange(0.0, 400.0)
    ratio = carbon_rbe_max(letd)
    assert ratio[0] == 1.0
    assert letd[ratio.argmax()] == 100.0
    assert ratio.max() == pytest.approx(3.0)
    assert carbon_rbe(2.0, 100.0, 10.0) == pytest.approx(2.22, abs=0.005)


def test_carbon_helps_resistant_tumours_more():
    assert carbon_rbe_max(60.0, alpha=0.03) > carbon_rbe_max(60.0, alpha=0.058) > carbon_rbe_max(60.0, alpha=0.1)


@settings(deadline=None, derandomize=True)
@given(dose=doses, letd=lets, fractions=st.integers(1, 40))
def test_carbon_dose_rbe_is_the_photon_dose_with_the_same_effect(dose, letd, fractions):
    alpha, alpha_beta = 0.058, 10.0
    ion = alpha * carbon_rbe_max(letd) * dose + alpha / alpha_beta * dose**2 / fractions
    photon = effect(dose_rbe(dose, letd, fractions, "carbon-lq-let"), fractions, alpha, alpha_beta)
    assert photon == pytest.approx(float(ion), rel=1e-9, abs=1e-12)


def test_clinical_models():
    dose = np.array([0.0, 30.0, 60.0], np.float32)
    assert (clinical_proton_rbe(dose) == np.float32(1.1)).all()
    assert dose_rbe(dose, 3.0, 30, CLINICAL_RBE_MODEL["photon"]).tolist() == [0.0, 30.0, 60.0]
    assert dose_rbe(dose, 3.0, 30, CLINICAL_RBE_MODEL["proton"]) == pytest.approx([0.0, 33.0, 66.0])
    assert dose_rbe(dose, np.float32(3.0) * dose, 30, CLINICAL_RBE_MODEL["carbon"]).dtype == np.float32


@pytest.mark.parametrize(("letd", "expected"), [(2.5, 2.94), (80.0, 2.20), (100.0, 1.88), (200.0, 1.18)])
def test_oer_without_oxygen(letd, expected):
    assert oer(letd, 0.0) == pytest.approx(expected, abs=0.005)


@settings(deadline=None, derandomize=True)
@given(letd=lets, pressure=st.floats(0.0, 150.0))
def test_oer_lies_between_1_and_its_maximum_and_falls_with_oxygen(letd, pressure):
    assert 1.0 <= oer(letd, pressure) <= oer(letd, 0.0) <= 2.94


def test_refusals_name_the_value():
    with pytest.raises(ValueError, match=r"-1\.0 at \(0, 1\)"):
        eqd2(np.array([[1.0, -1.0]]), 30, 10.0)
    with pytest.raises(ValueError, match="finite"):
        surviving_fraction(np.array([np.nan]), 30, 0.1, 10.0)
    with pytest.raises(ValueError, match="fraction"):
        bed(60.0, 0, 10.0)
    with pytest.raises(ValueError, match="alpha/beta"):
        eqd2(60.0, 30, 0.0)
    with pytest.raises(ValueError, match="'rbe'"):
        dose_rbe(60.0, 1.0, 30, "rbe")
