"""Smooth random fields."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["smooth_field"]


def smooth_field(
    generator: np.random.Generator, shape: tuple[int, int, int], length_voxels: float
) -> NDArray[np.float32]:
    """A smooth Gaussian random field of zero mean and unit variance.

    White noise on a lattice of pitch `length_voxels`, spread by Gaussian bumps of that standard deviation: three small
    matrix products instead of a convolution of the whole volume.

    Args:
        generator: source of the draws.
        shape: (x, y, z).
        length_voxels: correlation length (standard deviation of a bump), > 0.

    Returns: float32, `shape`, contiguous.
    Raises: ValueError: if the length is not positive.
    """
    if not length_voxels > 0:
        raise ValueError(f"the correlation length must be > 0 voxels, got {length_voxels}")
    bumps = []
    for size in shape:
        centres = np.arange(-1.5 * length_voxels, size + 1.5 * length_voxels, length_voxels)
        offsets = (np.arange(size)[:, None] - centres) / length_voxels
        bumps.append(np.exp(-0.5 * offsets**2).astype(np.float32))
    field = generator.standard_normal([bump.shape[1] for bump in bumps], dtype=np.float32)
    for axis, bump in enumerate(bumps):
        field = np.moveaxis(np.tensordot(bump, field, (1, axis)), 0, axis)
    field = np.ascontiguousarray(field)
    field -= field.mean()
    return field / max(float(field.std()), 1e-6)
