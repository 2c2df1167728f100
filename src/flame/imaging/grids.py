"""The one grid of a patient."""

import numpy as np
from numpy.typing import NDArray

from flame.imaging.brain import Brain
from flame.records.volume import Grid

__all__ = ["tight_grid"]

_EQUAL = 1e-4


def tight_grid(brain: Brain, spacing_mm: float, margin_mm: float, reference: Grid | None = None) -> Grid:
    """Cubic voxels along RAS in the box around the brain.

    Where the reference image is upright and has these voxels, the grid takes them as they are, so that nothing of it
    is interpolated and no small label is lost between voxels. Else the origin lies at whole voxels from 0 mm.

    Args:
        spacing_mm: voxel size.
        margin_mm: width of the rim around the brain.
        reference: the grid of the reference image, in whose frame the brain lies.
    """
    where = brain.depth.grid
    inside = np.argwhere(brain.depth.array > 0)
    points = inside @ where.affine[:3, :3].T + where.affine[:3, 3]
    half = np.abs(where.affine[:3, :3]).sum(1) / 2
    start = np.zeros(3) if reference is None else _start(reference, spacing_mm)
    low = np.floor((points.min(0) - half - margin_mm - start) / spacing_mm)
    high = np.ceil((points.max(0) + half + margin_mm - start) / spacing_mm)
    shape = (high - low).astype(int) + 1
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = start + low * spacing_mm
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def _start(reference: Grid, spacing_mm: float) -> NDArray[np.float64]:
    """Where a voxel of an upright image of this spacing lies, in [0, spacing) [mm]; 0 mm for any other image."""
    steps = np.abs(reference.affine[:3, :3]) / spacing_mm
    upright = np.abs(np.sort(steps, axis=0) - [[0], [0], [1]]).max() < _EQUAL
    found: NDArray[np.float64] = np.round(reference.affine[:3, 3], 4) % spacing_mm if upright else np.zeros(3)
    return found
