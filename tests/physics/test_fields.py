"""Smooth random fields: variance, correlation, reproducibility."""

import numpy as np
import pytest

from flame.physics.fields import smooth_field


def test_mean_0_and_variance_1_at_every_voxel():
    generator = np.random.default_rng(1)
    draws = np.stack([smooth_field(generator, (8, 5, 6), 2.7) for _ in range(600)])
    # The variance of 600 normal draws has a standard error of sqrt(2 / 600) = 0.058; 240 voxels, few independent.
    assert np.abs(draws.mean(axis=0)).max() < 4.5 / 600**0.5
    assert np.abs(draws.var(axis=0) - 1).max() < 4.5 * (2 / 600) ** 0.5


def test_correlation_falls_as_a_gaussian_of_the_distance():
    length = 3.0
    field = smooth_field(np.random.default_rng(2), (60, 60, 60), length).astype(float)
    for distance in (2, 4, 6):
        found = (field[:-distance] * field[distance:]).mean() / field.var()
        assert found == pytest.approx(np.exp(-(distance**2) / (4 * length**2)), abs=0.06)


def test_same_seed_same_bytes_float32_contiguous():
    first, second = (smooth_field(np.random.default_rng(3), (7, 9, 11), 1.5) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert first.dtype == np.float32
    assert first.flags.c_contiguous


def test_a_length_of_0_is_refused():
    with pytest.raises(ValueError, match=r"0\.0"):
        smooth_field(np.random.default_rng(4), (4, 4, 4), 0.0)
