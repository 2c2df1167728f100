"""The compiled loops against plain numpy and scipy."""

import numpy as np
from scipy.ndimage import correlate1d, gaussian_filter

from flame.physics.growth_step import explicit_step, gaussian_smooth, smooth


def test_smooth_is_a_separable_convolution():
    draws = np.random.default_rng(0)
    field = draws.random((9, 7, 11), dtype=np.float32)
    taps = np.array([0.5, 0.2, 0.05], np.float32)
    whole = np.concatenate([taps[:0:-1], taps])
    expected = field
    for axis in range(3):
        expected = correlate1d(expected, whole, axis, mode="constant")
    assert np.abs(smooth(field, taps) - expected).max() < 1e-6


def test_gaussian_smooth_equals_scipy():
    field = np.random.default_rng(2).random((12, 14, 9), dtype=np.float32)
    expected = gaussian_filter(field, 1.7, mode="constant", truncate=3.0)
    assert np.abs(gaussian_smooth(field, 1.7) - expected).max() < 1e-6


def test_smooth_reaches_over_a_short_axis():
    field = np.ones((2, 2, 2), np.float32)
    taps = np.array([0.4, 0.2, 0.1], np.float32)
    assert np.allclose(smooth(field, taps), 0.6**3)


def test_step_equals_the_equation_in_numpy():
    draws = np.random.default_rng(1)
    shape = (6, 5, 8)
    u, n, d, face_x, face_y, face_z, necrotic, killed, growth = (
        draws.random(shape, dtype=np.float32) for _ in range(9)
    )
    face_x, face_y, face_z, necrotic, killed = (0.1 * f for f in (face_x, face_y, face_z, necrotic, killed))
    flow = np.zeros(shape)
    for axis, face in enumerate((face_x, face_y, face_z)):
        flux = face * (np.roll(u, -1, axis) - u)
        flow += flux - np.roll(flux, 1, axis)
    room = np.maximum(1 - u - n - 0.3 * d, 0)
    inner = (slice(1, -1),) * 3
    expected = np.maximum(u + flow + u * (growth * room - necrotic - killed), 0)[inner]
    expected_n, expected_d = (n * 0.99 + necrotic * u)[inner], (d * 0.98 + killed * u)[inner]
    after = np.zeros_like(u)
    f = np.float32
    explicit_step(u, after, n, d, face_x, face_y, face_z, necrotic, killed, growth, f(0.3), f(0.99), f(0.98))
    assert np.abs(after[inner] - expected).max() < 1e-6
    assert np.abs(n[inner] - expected_n).max() < 1e-6
    assert np.abs(d[inner] - expected_d).max() < 1e-6
