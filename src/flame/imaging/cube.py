"""The learning grid: a cube of voxels around the tumour, and bringing volumes onto it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from flame.records.volume import Grid, Volume
from flame.settings import Settings

__all__ = ["Crop", "cube_around", "resample"]

_ALIGNED = 1e-3


class Crop(Settings):
    """The learning grid: a cube of `size` voxels (a multiple of 8) of `spacing_mm`, around the first tumour seen."""

    spacing_mm: float = Field(default=2.0, gt=0.0, allow_inf_nan=False)
    size: int = Field(default=64, ge=8, multiple_of=8)


def cube_around(centre_mm: NDArray[np.float64], reference: Grid, crop: Crop) -> Grid:
    """The cube whose middle lies at `centre_mm` (x, y, z), moved to whole voxels from the origin of `reference`.

    Where the spacings are equal, the voxels of the cube are voxels of `reference`, and nothing is interpolated.
    """
    origin = reference.affine[:3, 3]
    affine = np.diag([crop.spacing_mm] * 3 + [1.0])
    affine[:3, 3] = origin + np.rint((centre_mm - origin) / crop.spacing_mm - crop.size / 2) * crop.spacing_mm
    return Grid((crop.size,) * 3, affine)


def resample(volume: Volume, grid: Grid, nearest: bool = False) -> NDArray[Any]:
    """Values of `volume` at the voxels of `grid`, zero outside it.

    Equal spacing and whole-voxel shifts are cut out exactly. Otherwise each value is a mean, weighted by a triangle
    along each axis: linear interpolation where the grid is finer, and as wide as two of its voxels where it is coarser,
    so that nothing is aliased. Labels (`nearest`) take the nearest voxel.

    Returns: the type of the volume where voxels are taken as they are, else float32; shape of `grid`.
    """
    ratio = np.array(grid.spacing_mm) / np.array(volume.grid.spacing_mm)
    offset = (grid.affine[:3, 3] - volume.grid.affine[:3, 3]) / np.array(volume.grid.spacing_mm)
    aligned = np.abs(ratio - 1).max() < _ALIGNED and np.abs(offset - np.rint(offset)).max() < _ALIGNED
    places = [start + step * np.arange(size) for start, step, size in zip(offset, ratio, grid.shape)]
    if nearest or aligned:
        return _nearest(volume.array, places)
    array = volume.array
    weights = [_weights(place, max(float(step), 1.0), size) for place, step, size in zip(places, ratio, array.shape)]
    used = [np.flatnonzero(one.any(0)) for one in weights]
    if any(one.size == 0 for one in used):
        return np.zeros(grid.shape, np.float32)
    spans = tuple(slice(int(one[0]), int(one[-1]) + 1) for one in used)
    found = array[spans].astype(np.float32)
    for one, span in zip(weights, spans):
        found = np.tensordot(found, one[:, span], axes=(0, 1))
    return found


def _nearest(array: NDArray[Any], places: list[NDArray[np.float64]]) -> NDArray[Any]:
    """Voxels nearest to `places` (in voxels along each axis)."""
    found = np.zeros([len(place) for place in places], array.dtype)
    target, source = [], []
    for place, size in zip(places, array.shape):
        index = np.rint(place).astype(int)
        inside = np.flatnonzero((index >= 0) & (index < size))
        if inside.size == 0:
            return found
        target.append(slice(int(inside[0]), int(inside[-1]) + 1))
        source.append(index[inside])
    if all(np.ptp(index) == index.size - 1 for index in source):
        found[tuple(target)] = array[tuple(slice(int(index[0]), int(index[-1]) + 1) for index in source)]
    else:
        found[tuple(target)] = array[np.ix_(*source)]
    return found


def _weights(place: NDArray[np.float64], reach: float, size: int) -> NDArray[np.float32]:
    """Weights (places, voxels) of triangles around `place` [voxels] that fall to zero at `reach` voxels.

    Each row sums to one over all voxels, those outside the image counting as zeros.
    """
    voxels = np.arange(int(np.floor(place[0] - reach)), int(np.ceil(place[-1] + reach)) + 1)
    weights = np.maximum(1 - np.abs(place[:, None] - voxels) / reach, 0)
    weights /= weights.sum(1, keepdims=True)
    inside = (voxels >= 0) & (voxels < size)
    found = np.zeros((place.size, size), np.float32)
    found[:, voxels[inside]] = weights[:, inside]
    return found
