"""The one grid of a patient."""

import numpy as np

from flame.imaging.brain import Brain
from flame.records.volume import Grid

__all__ = ["tight_grid"]


def tight_grid(brain: Brain, spacing_mm: float, margin_mm: float) -> Grid:
    """Cubic voxels along RAS in the box around the brain; the origin lies at whole voxels from 0 mm.

    Args:
        spacing_mm: voxel size.
        margin_mm: width of the rim around the brain.
    """
    where = brain.depth.grid
    inside = np.argwhere(brain.depth.array > 0)
    points = inside @ where.affine[:3, :3].T + where.affine[:3, 3]
    half = np.abs(where.affine[:3, :3]).sum(1) / 2
    low = np.floor((points.min(0) - half - margin_mm) / spacing_mm)
    high = np.ceil((points.max(0) + half + margin_mm) / spacing_mm)
    shape = (high - low).astype(int) + 1
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = low * spacing_mm
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)
