"""Compiled loops: adjoints, blurring against scipy, sampling."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from flame.physics.rays import blur_slices, fluence_at, fluence_gain, layer_dose, layer_gain, sample_points


def _rays(generator):
    wepl = np.cumsum(generator.uniform(0.5, 1.5, (12, 5, 6)), axis=0).astype(np.float32)
    rays = np.argwhere(np.ones((5, 6), bool))[::2]
    table = generator.random((40, 7)).astype(np.float32)
    return wepl, rays, table


def test_layer_gain_is_the_adjoint_of_layer_dose():
    generator = np.random.default_rng(1)
    wepl, rays, table = _rays(generator)
    weights = generator.random((len(rays), 7)).astype(np.float32)
    field = generator.random(wepl.shape).astype(np.float32)
    dose = layer_dose(weights, rays, wepl, table, 2.0, (2, 11))
    gain = layer_gain(field, rays, wepl, table, 2.0, (2, 11))
    assert float((dose * field).sum()) == pytest.approx(float((gain * weights).sum()), rel=1e-5)


def test_layer_dose_interpolates_the_table():
    wepl = np.full((1, 1, 1), 3.25, np.float32)
    table = np.arange(20, dtype=np.float32)[:, None] ** 2
    found = layer_dose(np.ones((1, 1), np.float32), np.zeros((1, 2), np.int64), wepl, table, 2.0, (0, 1))
    assert found[0, 0, 0] == pytest.approx(0.5 * 6**2 + 0.5 * 7**2)


def test_blur_agrees_with_scipy_slice_by_slice():
    field = np.random.default_rng(2).random((3, 14, 11)).astype(np.float32)
    sigma = np.array([0.7, 1.5, 2.2], np.float32)
    blurred = blur_slices(field, sigma, (0, 2))
    for z in (0, 1):
        expected = gaussian_filter(field[z], sigma[z], truncate=3.0, mode="constant")
        assert blurred[z] == pytest.approx(expected, abs=1e-5)
    assert blurred[2].max() == 0


def test_fluence_gain_is_the_adjoint_of_fluence_at():
    generator = np.random.default_rng(3)
    points = generator.uniform(0, 8, (50, 3)).astype(np.float32)
    matrix = generator.normal(0, 0.5, (2, 3)).astype(np.float32)
    offset, factor = np.array([3.0, 3.0], np.float32), generator.random(50).astype(np.float32)
    fluence, field = generator.random((9, 8)).astype(np.float32), generator.random(50).astype(np.float32)
    dose = np.zeros(50, np.float32)
    fluence_at(fluence, matrix, offset, points, factor, dose)
    gain = fluence_gain(field, 2 * field, matrix, offset, points, factor, (9, 8))
    assert 0 < float((dose * field).sum()) == pytest.approx(float((gain[0] * fluence).sum()), rel=1e-5)
    assert gain[1] == pytest.approx(2 * gain[0], rel=1e-5)


def test_points_of_a_linear_field():
    x, y, z = np.indices((6, 5, 4)).astype(np.float32)
    points = np.array([[1.5, 2.25, 0.75], [9.0, 0.0, 0.0]], np.float32)
    found = sample_points(x + 2 * y - z, np.eye(3, dtype=np.float32), np.zeros(3, np.float32), points)
    assert found == pytest.approx([1.5 + 4.5 - 0.75, 0.0])
