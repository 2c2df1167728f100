"""The learning grid: a cube of voxels around the tumour, and bringing volumes onto it."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import affine_transform, gaussian_filter

from flame.records.volume import Grid, Volume
from flame.settings import Settings

__all__ = ["Crop", "cube_around", "resample"]

_ALIGNED = 1e-3
_SPACING_TO_SIGMA = 0.425  # a Gaussian whose full width at half maximum is one voxel


class Crop(Settings):
    """The learning grid: a cube of `size` voxels (a multiple of 8) of `spacing_mm`, centred on the first tumour seen."""

    spacing_mm: float = Field(default=2.0, gt=0.0, allow_inf_nan=False)
    size: int = Field(default=64, ge=8, multiple_of=8)


def cube_around(centre_mm: NDArray[np.float64], crop: Crop) -> Grid:
    """The cube whose middle lies at `centre_mm` (x, y, z), to the nearest multiple of the spacing.

    Grids whose origin is a multiple of the same spacing are cut out without interpolation.
    """
    affine = np.diag([crop.spacing_mm] * 3 + [1.0])
    affine[:3, 3] = np.rint(centre_mm / crop.spacing_mm - crop.size / 2) * crop.spacing_mm
    return Grid((crop.size,) * 3, affine)


def resample(volume: Volume, grid: Grid, nearest: bool = False) -> NDArray[Any]:
    """Values of `volume` at the voxels of `grid`, zero outside it.

    Equal spacing and whole-voxel shifts are cut out exactly. Otherwise values are interpolated linearly, after a
    Gaussian of the coarser voxel's size where the grid is coarser; labels (`nearest`) take the nearest voxel.
    """
    ratio = np.array(grid.spacing_mm) / np.array(volume.grid.spacing_mm)
    offset = (grid.affine[:3, 3] - volume.grid.affine[:3, 3]) / np.array(volume.grid.spacing_mm)
    whole = np.rint(offset)
    if np.abs(ratio - 1).max() < _ALIGNED and (nearest or np.abs(offset - whole).max() < _ALIGNED):
        return _cut(volume.array, whole.astype(int), grid.shape)
    array = volume.array
    if not nearest and ratio.max() > 1 + _ALIGNED:
        sigma = _SPACING_TO_SIGMA * np.sqrt(np.maximum(ratio**2 - 1, 0))
        array = gaussian_filter(array.astype(np.float32), sigma, truncate=3.0)
    order: Literal[0, 1] = 0 if nearest else 1
    values: NDArray[Any] = affine_transform(array, ratio, offset, grid.shape, order=order, mode="constant", cval=0.0)
    return values


def _cut(array: NDArray[Any], start: NDArray[np.int_], shape: tuple[int, int, int]) -> NDArray[Any]:
    found = np.zeros(shape, array.dtype)
    low = np.maximum(start, 0)
    high = np.minimum(start + shape, array.shape)
    if (high > low).all():
        inside = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        found[inside] = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return found
