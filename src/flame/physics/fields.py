"""Smooth random fields."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["smooth_field"]

_REACH = 4.0
"""Bumps are cut off at this many standard deviations, where they have fallen to 3e-4."""


def smooth_field(
    generator: np.random.Generator, shape: tuple[int, int, int], length_voxels: float
) -> NDArray[np.float32]:
    """A smooth Gaussian random field with mean 0 and variance 1 at every voxel.

    White noise on a lattice of pitch `length_voxels`, spread by Gaussian bumps of that standard deviation as three
    products with banded matrices: the cost does not grow with the length. The correlation between two points at
    distance r is close to exp(-r^2 / (4 length^2)). The same bytes come out for any number of threads.

    Args:
        shape: (x, y, z).
        length_voxels: standard deviation of the bumps [voxel], > 0.

    Returns: float32, contiguous. Where a field spans few lengths its sample mean and variance vary from draw to draw.
    Raises: ValueError: if `length_voxels` is not > 0.
    """
    if not length_voxels > 0:
        raise ValueError(f"length must be > 0 voxels, got {length_voxels}")
    bands = [_band(size, length_voxels) for size in shape]
    nodes = [int(first[-1]) + weights.shape[1] for first, weights in bands]
    noise = generator.standard_normal(nodes, dtype=np.float32)
    (first_x, x), (first_y, y), (first_z, z) = bands
    return np.asarray(_spread(noise, first_x, x, first_y, y, first_z, z))


def _band(size: int, length: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows of a banded matrix from lattice nodes to voxels: first node (size,) and weights (size, taps), unit norm."""
    position = np.arange(size) / length
    first = np.ceil(position - _REACH).astype(np.int64)
    taps = int(2 * _REACH) + 1
    offset = first[:, None] + np.arange(taps) - position[:, None]
    weights = np.where(np.abs(offset) <= _REACH, np.exp(-0.5 * offset**2), 0.0)
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    return first - first[0], weights.astype(np.float32)


@njit(cache=True, fastmath=True, nogil=True)
def _spread(
    noise: NDArray[np.float32],
    first_x: NDArray[np.int64],
    x: NDArray[np.float32],
    first_y: NDArray[np.int64],
    y: NDArray[np.float32],
    first_z: NDArray[np.int64],
    z: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Three banded products, along z first; the others walk rows of z, which become vector instructions."""
    nx, ny, nz = x.shape[0], y.shape[0], z.shape[0]
    taps = x.shape[1]
    along_z = np.zeros((noise.shape[0], noise.shape[1], nz), np.float32)
    for i in range(noise.shape[0]):
        for j in range(noise.shape[1]):
            for k in range(nz):
                total = np.float32(0.0)
                for t in range(taps):
                    total += z[k, t] * noise[i, j, first_z[k] + t]
                along_z[i, j, k] = total
    along_y = np.zeros((noise.shape[0], ny, nz), np.float32)
    for i in range(noise.shape[0]):
        for j in range(ny):
            out = along_y[i, j]
            for t in range(taps):
                row, weight = along_z[i, first_y[j] + t], y[j, t]
                for k in range(nz):
                    out[k] += weight * row[k]
    field = np.zeros((nx, ny, nz), np.float32)
    for i in range(nx):
        for j in range(ny):
            out = field[i, j]
            for t in range(taps):
                row, weight = along_y[first_x[i] + t, j], x[i, t]
                for k in range(nz):
                    out[k] += weight * row[k]
    return field
