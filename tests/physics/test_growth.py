"""The growth equation: front speed, conservation, convergence, fixed points, purity."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from flame.physics.growth import Biology, Stepping, advance, diffusivity, empty_state, make_medium, seeded

FINE = Stepping(safety=0.9, refresh_days=50.0, activity=1e-30, margin_mm=100.0, max_step_days=4.0)
"""Nothing is cut off: fronts depend on their exponentially small tails."""


def corridor(length, spacing_mm, biology, width=3):
    """A one-dimensional medium: `length` voxels of white matter with closed walls."""
    shape = (width, width, length + 2)
    white = np.ones(shape, np.float32)
    medium = make_medium(white * np.float32(biology.diffusion_white), np.ones(shape, bool), spacing_mm, biology)
    return medium, empty_state(shape)


def front_mm(state, spacing_mm):
    """Where the density falls through one half [mm], between voxels."""
    u = state.viable[1, 1, 1:-1].astype(float)
    i = int(np.flatnonzero(u > 0.5)[-1])
    return (i + (u[i] - 0.5) / (u[i] - u[i + 1])) * spacing_mm


def scheme_speed(biology, spacing_mm, dt):
    """Linear spreading speed of forward Euler with central differences: min over k of ln(g(k)) / (k dt)."""

    def speed(k):
        gain = 1 + biology.rho * dt + biology.diffusion_white * dt / spacing_mm**2 * (2 * np.cosh(k * spacing_mm) - 2)
        return np.log(gain) / (k * dt)

    found = minimize_scalar(speed, bounds=(1e-3, 3 / spacing_mm), method="bounded", options={"xatol": 1e-10})
    return float(found.fun), float(found.x)


def front_travel(biology, spacing_mm, dt, days, length_mm):
    """How far the front of a one-dimensional tumour moves between two days [mm]."""
    medium, state = corridor(int(length_mm / spacing_mm), spacing_mm, biology)
    start = state.viable.copy()
    start[1, 1, 1 : 1 + int(6 / spacing_mm)] = 1.0
    state = replace(state, viable=start)
    stepping = replace(FINE, max_step_days=dt, refresh_days=50 * dt)
    early = advance(state, medium, biology, days[0], stepping=stepping)
    late = advance(early, medium, biology, days[1] - days[0], stepping=stepping)
    return front_mm(late, spacing_mm) - front_mm(early, spacing_mm)


@pytest.mark.parametrize(("diffusion", "rho"), [(0.1, 0.02), (0.05, 0.012)])
def test_front_moves_at_the_fisher_speed_less_its_logarithmic_lag(diffusion, rho):
    """Ebert & van Saarloos, Physica D 2000;146:1: v = 2 - 3/(2t) + (3 sqrt(pi)/2) t^(-3/2), in 1/rho, sqrt(D/rho)."""
    biology = Biology(diffusion_white=diffusion, rho=rho, necrosis_rate=0.0)
    length, days = np.sqrt(diffusion / rho), (40 / rho, 120 / rho)
    t0, t1 = 40.0, 120.0
    expected = 2 * (t1 - t0) - 1.5 * np.log(t1 / t0) - 3 * np.sqrt(np.pi) * (t1**-0.5 - t0**-0.5)
    spacing_mm, dt = 0.15 * length, 0.002 / rho
    travel = front_travel(biology, spacing_mm, dt, days, 300 * length) / length
    assert travel == pytest.approx(expected, rel=3e-3)
    assert travel < 2 * (t1 - t0) * 0.995, "the lag itself is seen: without it the front would be 1 % further"


def test_front_moves_at_the_speed_of_the_scheme_on_a_coarse_grid():
    """At 2 mm and steps of days the front has the speed that this very scheme has in theory, 2*sqrt(D*rho) or not."""
    biology = Biology(diffusion_white=0.13, rho=0.02, necrosis_rate=0.0)
    spacing_mm, dt = 2.0, 2.0
    speed, decay = scheme_speed(biology, spacing_mm, dt)
    days = (2000.0, 6000.0)
    travel = front_travel(biology, spacing_mm, dt, days, 900)
    expected = speed * (days[1] - days[0]) - 1.5 / decay * np.log(days[1] / days[0])
    assert travel == pytest.approx(expected, rel=4e-3)


def test_speed_of_the_scheme_tends_to_the_fisher_speed():
    biology = Biology(diffusion_white=0.1, rho=0.02)
    exact = 2 * np.sqrt(0.1 * 0.02)
    errors = [abs(scheme_speed(biology, h, h**2)[0] - exact) for h in (0.4, 0.2, 0.1)]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders == pytest.approx([2, 2], abs=0.1)


def test_diffusion_alone_conserves_mass():
    """No-flux walls: 400 days in a patchy medium with an open ventricle lose less than 1e-4 of the cells."""
    draws = np.random.default_rng(3)
    shape = (24, 22, 20)
    white = draws.random(shape, dtype=np.float32)
    ventricle = np.zeros(shape, bool)
    ventricle[10:13, 8:12, 8:12] = True
    biology = Biology(diffusion_white=0.3, rho=1e-12, necrosis_rate=0.0)
    medium = make_medium(diffusivity(white, 1 - white, ventricle, biology), ~ventricle, 2.0, biology)
    before = seeded(empty_state(shape), medium, (8, 8, 8), radius_mm=5.0)
    after = advance(before, medium, biology, 400.0)
    assert after.viable.sum(dtype=float) == pytest.approx(before.viable.sum(dtype=float), rel=1e-4)
    assert after.viable[ventricle].max() == 0.0


def test_second_order_on_a_decaying_mode():
    """A cosine between no-flux walls decays as exp(-D k^2 t); the error falls with h^2 when dt falls with h^2."""
    biology = Biology(diffusion_white=0.4, rho=1e-12, necrosis_rate=0.0)
    errors = []
    for voxels in (8, 16, 32):
        spacing_mm = 32.0 / voxels
        medium, state = corridor(voxels, spacing_mm, biology)
        x = (np.arange(voxels) + 0.5) * spacing_mm
        wave = state.viable.copy()
        wave[1, 1, 1:-1] = 0.5 + 0.4 * np.cos(np.pi * x / 32.0)
        stepping = replace(FINE, max_step_days=0.5 * spacing_mm**2 / 4)
        after = advance(replace(state, viable=wave), medium, biology, 120.0, stepping=stepping)
        exact = 0.5 + 0.4 * np.cos(np.pi * x / 32.0) * np.exp(-0.4 * (np.pi / 32.0) ** 2 * 120.0)
        errors.append(np.abs(after.viable[1, 1, 1:-1] - exact).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders == pytest.approx([2, 2], abs=0.25)


def test_uniform_growth_is_logistic():
    biology = Biology(diffusion_white=0.2, rho=0.02, necrosis_rate=0.0)
    medium, state = corridor(6, 2.0, biology)
    start = state.viable.copy()
    start[1, 1, 1:-1] = 0.1
    stepping = replace(FINE, max_step_days=0.05)
    after = advance(replace(state, viable=start), medium, biology, 100.0, stepping=stepping)
    exact = 1 / (1 + 9 * np.exp(-0.02 * 100.0))
    assert after.viable[1, 1, 1:-1] == pytest.approx(np.full(6, exact), rel=1e-3)


def test_kill_moves_cells_into_debris_that_clears():
    """With rho near 0: u = u0 exp(-k t); after the kill the debris decays with its own time constant."""
    biology = Biology(diffusion_white=1e-6, rho=1e-12, necrosis_rate=0.0, debris_days=50.0)
    medium, state = corridor(6, 2.0, biology)
    start = state.viable.copy()
    start[1, 1, 1:-1] = 0.8
    stepping = replace(FINE, max_step_days=0.05)
    treated = advance(replace(state, viable=start), medium, biology, 20.0, kill_rate=0.1, stepping=stepping)
    assert treated.viable[1, 1, 3] == pytest.approx(0.8 * np.exp(-2.0), rel=1e-3)
    later = advance(treated, medium, biology, 50.0, stepping=stepping)
    assert later.dying[1, 1, 3] / treated.dying[1, 1, 3] == pytest.approx(np.exp(-1), rel=2e-3)


def test_a_large_tumour_is_hypoxic_and_necrotic_inside_only():
    biology = Biology(diffusion_white=0.15, rho=0.02)
    shape = (30, 30, 30)
    medium = make_medium(np.full(shape, 0.15, np.float32), np.ones(shape, bool), 2.0, biology)
    state = advance(seeded(empty_state(shape), medium, (15, 15, 15), 6.0), medium, biology, 250.0)
    assert state.hypoxia[15, 15, 15] > 0.5
    assert state.necrosis[15, 15, 15] > 0.4
    rim = state.viable[:, 15, 15].argmax()
    assert state.necrosis[rim, 15, 15] < 0.2
    assert state.viable[rim, 15, 15] > state.viable[15, 15, 15]


def test_advance_changes_nothing_it_was_given_and_days_add_up():
    biology = Biology(diffusion_white=0.15, rho=0.02)
    shape = (16, 16, 16)
    medium = make_medium(np.full(shape, 0.15, np.float32), np.ones(shape, bool), 2.0, biology)
    start = seeded(empty_state(shape), medium, (8, 8, 8), 3.0)
    copy = start.viable.copy()
    whole = advance(start, medium, biology, 56.0)
    parts = advance(advance(start, medium, biology, 28.0), medium, biology, 28.0)
    assert np.array_equal(start.viable, copy)
    assert np.array_equal(whole.viable, parts.viable), "28 days are two refreshes: the same steps are taken"
    assert whole.day == parts.day == 56.0


def test_refusals():
    biology = Biology(diffusion_white=0.15, rho=0.02)
    with pytest.raises(ValueError, match="one shape"):
        make_medium(np.ones((4, 4, 4), np.float32), np.ones((4, 4, 5), bool), 2.0, biology)
    with pytest.raises(ValueError, match=">= 0"):
        make_medium(np.full((4, 4, 4), -1, np.float32), np.ones((4, 4, 4), bool), 2.0, biology)
    medium, state = corridor(4, 2.0, biology)
    with pytest.raises(ValueError, match="-1"):
        advance(state, medium, biology, -1)
