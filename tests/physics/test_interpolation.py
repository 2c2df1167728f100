"""Trilinear sampling against scipy, and warps with a known answer."""

import numpy as np
import pytest
from scipy.ndimage import affine_transform

from flame.physics.interpolation import sample_affine, warp_channels


def test_sample_affine_agrees_with_scipy_inside():
    generator = np.random.default_rng(1)
    field = generator.standard_normal((9, 8, 7)).astype(np.float32)
    matrix = (np.eye(3) * 0.6 + generator.normal(0, 0.05, (3, 3))).astype(np.float32)
    offset = np.array([1.3, 1.1, 0.9], np.float32)
    ours = sample_affine(field, matrix, offset, (10, 9, 8))
    theirs = affine_transform(field, matrix, offset, (10, 9, 8), order=1, mode="constant")
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_outside_is_0():
    shifted = sample_affine(
        np.ones((4, 4, 4), np.float32), np.eye(3, dtype=np.float32), np.full(3, 2.0, np.float32), (4, 4, 4)
    )
    assert shifted.sum() == 2**3


def _warp(shape, mass, linear=None, moved=0.0):
    """Warp three channels that hold their own voxel index."""
    channels = np.moveaxis(np.indices(shape), 0, -1).astype(np.float32)
    zero = np.zeros(shape, np.float32)
    return warp_channels(
        channels,
        np.eye(3, dtype=np.float32) if linear is None else linear.astype(np.float32),
        zero + np.float32(moved),
        zero,
        zero,
        np.ones(shape, np.float32),
        np.full(3, 2.0, np.float32),
        np.array(mass, np.float32),
    )


def test_warp_follows_the_linear_map_and_the_displacement():
    source = _warp((9, 9, 9), (0, 0, 0, 0, 0), linear=np.diag([0.5, 1.0, 1.0]), moved=0.25)
    assert source[:, 6, 4, 4] == pytest.approx([4 + 0.5 * 2 + 0.25, 4, 4])


def test_a_mass_keeps_the_volume_of_what_it_displaces():
    radius, share = 12.0, 0.2
    source = _warp((41, 41, 41), (20, 20, 20, radius, share))
    for voxels in (8, 10, 15):
        r = 2.0 * voxels
        undamped = r - np.cbrt(r**3 - share * radius**3)
        expected = r - undamped * np.exp(-((r / (3 * radius)) ** 2))
        assert 2 * (source[0, 20 + voxels, 20, 20] - 20) == pytest.approx(expected, abs=1e-3)
