"""Treatment of a virtual tumour: schedule, surviving fraction, oxygen and LET, death."""

from dataclasses import replace

import numpy as np
import pytest

from flame.physics.growth import Biology, empty_state, make_medium, seeded
from flame.virtual.course import FATAL_ML, Irradiation, follow, schedule, surviving_fraction
from flame.virtual.population import Fate, Sensitivity, draw_case_mix, draw_person

PLAIN = Sensitivity(
    alpha=0.06,
    alpha_beta=10.0,
    resistant_fraction=0.0,
    resistant_factor=1.0,
    mosaic=0.0,
    reoxygenation=1.0,
    temozolomide_sensitisation=1.0,
    temozolomide_rate=0.0,
    rho_after=1.0,
)
ONE = np.ones((1, 1, 1), np.float32)


def survival(particle, dose_gy, letd, fractions, hypoxia=0.0, sensitivity=PLAIN, mosaic=1.0):
    part = Irradiation(particle, ONE * np.float32(dose_gy), ONE * np.float32(letd), fractions)
    return float(surviving_fraction(part, sensitivity, ONE * np.float32(hypoxia), ONE * np.float32(mosaic))[0, 0, 0])


@pytest.mark.parametrize(("fractions", "last_day"), [(1, 0), (5, 4), (6, 7), (15, 18), (30, 39), (33, 44)])
def test_five_fractions_a_week(fractions, last_day):
    assert schedule(fractions) == last_day


@pytest.mark.parametrize(("alpha", "expected"), [(0.06, 1.33e-2), (0.1, 7.47e-4)])
def test_photons_without_hypoxia_are_linear_quadratic(alpha, expected):
    """60 Gy in 30: exp(-30 (2 alpha + 4 alpha / 10))."""
    assert survival("photon", 60, 0, 30, sensitivity=replace(PLAIN, alpha=alpha)) == pytest.approx(expected, rel=1e-2)


def test_protons_of_low_let_at_1_1_times_less_dose_match_photons_nearly():
    """Wedenberg at alpha/beta 10 and 2.5 keV/um gives an RBE of 1.08 at 2 Gy, close to the clinical 1.1."""
    photon, proton = survival("photon", 60, 0, 30), survival("proton", 60 / 1.0767, 2.5, 30)
    assert np.log(proton) == pytest.approx(np.log(photon), rel=0.01)


def test_hypoxia_protects_from_photons_more_than_from_carbon():
    def protection(particle, dose, letd):
        hypoxic, oxic = (np.log(survival(particle, dose, letd, 3, hypoxia=h)) for h in (1.0, 0.0))
        return oxic / hypoxic

    assert protection("photon", 6, 0) > 2.5
    assert protection("carbon", 6, 100) < 2.2


def test_resistant_clone_sets_the_floor_for_photons_and_less_so_for_carbon():
    tumour = replace(PLAIN, resistant_fraction=0.05, resistant_factor=0.4)
    assert survival("photon", 60, 0, 30, sensitivity=tumour) == pytest.approx(
        0.95 * np.exp(-4.32) + 0.05 * np.exp(-0.4 * 4.32), rel=1e-4
    )
    low, high = survival("carbon", 9, 12, 3, sensitivity=tumour), survival("carbon", 9, 120, 3, sensitivity=tumour)
    assert high < low


def test_mosaic_multiplies_the_effect():
    assert np.log(survival("photon", 60, 0, 30, mosaic=1.5)) == pytest.approx(-1.5 * 4.32, rel=1e-4)


def simple_tumour(rho, radius_mm=8.0):
    """A uniform tumour in uniform white matter and a person who only dies of its size."""
    shape = (36, 36, 36)
    biology = Biology(diffusion_white=0.15, rho=rho)
    medium = make_medium(np.full(shape, 0.15, np.float32), np.ones(shape, bool), 4.0, biology)
    state = seeded(empty_state(shape), medium, (18, 18, 18), radius_mm)
    draws = np.random.default_rng(0)
    person = replace(
        draw_person(draws, draw_case_mix(draws)),
        biology=biology,
        sensitivity=PLAIN,
        fate=Fate(endurance=np.inf, dropout_day=np.inf),
    )
    return state, medium, person, np.ones(shape, np.float32)


def test_untreated_fast_tumour_is_fatal_and_nothing_is_seen_after_death():
    state, medium, person, mosaic = simple_tumour(rho=0.035, radius_mm=14.0)
    none = Irradiation("photon", np.zeros_like(mosaic), np.zeros_like(mosaic), 30)
    future = follow(state, medium, person, [none], mosaic)
    assert future.death_day is not None
    assert all(39 + horizon < future.death_day for horizon, _ in future.states)
    assert len(future.states) < 5
    assert FATAL_ML == 110.0


def test_treatment_shrinks_and_more_dose_shrinks_more():
    state, medium, person, mosaic = simple_tumour(rho=0.012)
    cells = []
    for dose_gy in (0.0, 40.0, 60.0):
        part = Irradiation("photon", np.full_like(mosaic, dose_gy), np.zeros_like(mosaic), 30)
        future = follow(state, medium, person, [part], mosaic, horizons=(28,))
        cells.append(float(future.states[0][1].viable.sum()))
    assert cells[2] < cells[1] < cells[0]
    assert cells[2] < 0.2 * cells[0]


def test_parts_follow_one_another():
    """Protons and then a carbon boost: end of the course after 33 fractions, exam on the day asked for."""
    state, medium, person, mosaic = simple_tumour(rho=0.012)
    proton = Irradiation("proton", np.full_like(mosaic, 54.0), np.full_like(mosaic, 2.5), 30)
    carbon = Irradiation("carbon", np.full_like(mosaic, 6.0), np.full_like(mosaic, 80.0), 3)
    future = follow(state, medium, person, [proton, carbon], mosaic, horizons=(28, 91))
    assert future.end_day == 44
    assert [round(state.day) for _, state in future.states] == [72, 135]
