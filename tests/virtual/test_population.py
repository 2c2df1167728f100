"""Virtual patients: ranges, couplings, repeatability."""

import numpy as np
import pytest

from flame.virtual.population import draw_case_mix, draw_person


@pytest.fixture(scope="module")
def people():
    draws = np.random.default_rng(5)
    mix = draw_case_mix(draws)
    return [draw_person(draws, mix) for _ in range(1500)]


def test_same_stream_same_person():
    mix = draw_case_mix(np.random.default_rng(1))
    assert draw_person(np.random.default_rng(2), mix) == draw_person(np.random.default_rng(2), mix)


def test_plausible_ranges(people):
    assert all(22 <= p.age <= 88 and p.performance_status in (0, 1, 2, 3) for p in people)
    assert np.mean([p.age for p in people]) == pytest.approx(62, abs=6)
    assert np.mean([p.mgmt_methylated for p in people]) == pytest.approx(0.42, abs=0.04)
    widths = [np.sqrt(p.biology.diffusion_white / p.biology.rho) for p in people]
    assert min(widths) >= 1.6
    assert max(widths) <= 5.01
    assert 0.05 < np.mean([p.is_frail for p in people]) < 0.25


def test_the_chart_says_little_about_the_latents(people):
    """Age and proliferation correlate weakly: clinical data alone must not solve the task."""
    age, rho = np.array([[p.age, np.log(p.biology.rho)] for p in people]).T
    assert 0.1 < np.corrcoef(age, rho)[0, 1] < 0.5
    alpha = np.log([p.sensitivity.alpha for p in people])
    methylated = np.array([p.mgmt_methylated for p in people])
    gap = alpha[methylated].mean() - alpha[~methylated].mean()
    assert 0 < gap < 1.3 * alpha.std()


def test_sites_differ_in_case_mix():
    mixes = [draw_case_mix(np.random.default_rng(seed)) for seed in range(5)]
    assert len({mix.core_ml for mix in mixes}) == 5
    assert all(sum(mix.resected) == pytest.approx(1.0) for mix in mixes)
