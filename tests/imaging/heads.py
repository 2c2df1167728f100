"""A head for tests: the brain of the template in fluid, bone and scalp, as a slab of any orientation shows it."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from flame.imaging.itk import onto
from flame.physics.anatomy import template
from flame.records.volume import Grid, Volume

__all__ = ["brain_volume", "head", "moved", "rigid", "scanned", "stretched"]

_LAYERS_MM = (2.0, 7.0, 12.0)
_T1 = (0.35, 0.1, 1.4, 0.0)
_FLAIR = (0.15, 0.1, 0.9, 0.0)


def brain_volume(spacing_mm: float = 2.0) -> Volume:
    """The brain mask of `head`, float32."""
    tissue = template(spacing_mm)
    return _wide(Volume(tissue.brain.astype(np.float32), tissue.grid), round(18 / spacing_mm))


def head(sequence: str = "T1w", seed: int = 1, spacing_mm: float = 2.0) -> Volume:
    """A head as T1w or FLAIR shows it; scanner units near 400, noise of 2 %."""
    tissue = template(spacing_mm)
    signal = tissue.t1 if sequence == "T1w" else 0.75 * tissue.wm + 1.0 * tissue.gm + 0.1 * tissue.csf
    wide = _wide(Volume(signal.astype(np.float32), tissue.grid), round(18 / spacing_mm))
    brain = brain_volume(spacing_mm).array > 0.5
    beyond = distance_transform_edt(~brain, sampling=spacing_mm)
    shells = np.take(np.array(_T1 if sequence == "T1w" else _FLAIR), np.searchsorted(_LAYERS_MM, beyond))
    clean = np.where(brain, wide.array, shells)
    noise = np.random.default_rng(seed).normal(0, 0.02, clean.shape)
    return Volume((400 * np.abs(clean + noise)).astype(np.float32), wide.grid)


def rigid(degrees: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """A rigid map: turns about x, y and z through the middle of the head, then a shift."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        one, two = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[one, one] = step[two, two] = np.cos(angle)
        step[one, two], step[two, one] = -np.sin(angle), np.sin(angle)
        turn = step @ turn
    middle = np.array([0.0, -18.0, 10.0])
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = middle + shift_mm - turn @ middle
    return matrix


def moved(volume: Volume, matrix: NDArray[np.float64]) -> Volume:
    """The head after a move, on the same grid."""
    return Volume(onto(volume, volume.grid, matrix), volume.grid)


def scanned(volume: Volume, spacing_mm: tuple[float, float, float]) -> Volume:
    """The head as slices of other voxels, axes to the left, posterior and superior as scanners store them."""
    size = np.array(volume.grid.shape) * volume.grid.spacing_mm
    shape = np.floor(size / spacing_mm).astype(int)
    affine = np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0])
    affine[:3, 3] = volume.grid.affine[:3, 3] + [size[0] - spacing_mm[0], size[1] - spacing_mm[1], 0]
    grid = Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)
    return Volume(onto(volume, grid, how="linear"), grid)


def stretched(volume: Volume, scales: tuple[float, float, float]) -> Volume:
    """Another person's head: the same voxels, of other size."""
    affine = volume.grid.affine.copy()
    affine[:3] = np.diag(scales) @ affine[:3]
    return Volume(volume.array, Grid(volume.grid.shape, affine))


def _wide(volume: Volume, voxels: int) -> Volume:
    affine = volume.grid.affine.copy()
    affine[:3, 3] -= voxels * np.array(volume.grid.spacing_mm)
    array = np.pad(volume.array, voxels)
    return Volume(array, Grid((array.shape[0], array.shape[1], array.shape[2]), affine))
