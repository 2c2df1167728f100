"""Volumes as SimpleITK images and back, rigid maps, and resampling through them. The only place that knows of LPS.

FLAME's positions are RAS [mm]; SimpleITK's are LPS: the first two axes point the other way.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from flame.records.volume import Grid, Volume

__all__ = [
    "Interpolation",
    "Matrix",
    "from_image",
    "matrix_of",
    "one_thread",
    "onto",
    "rigid_error",
    "shrunk",
    "to_image",
    "transform_of",
]

Matrix = NDArray[np.floating[Any]]
"""A rigid map of positions, (4, 4), RAS [mm]."""

Interpolation = Literal["cubic", "linear", "nearest"]

_FLIP = np.diag([-1.0, -1.0, 1.0])
_KINDS = {"cubic": sitk.sitkBSpline3, "linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor}
_FWHM = 2.3548


@contextmanager
def one_thread() -> Iterator[None]:
    """Let SimpleITK compute on one thread inside the block, or the function that this decorates.

    Several threads add up in an order of chance: metrics and fits would differ in their last digits from run to run.
    The number of threads of a single filter does not reach what the filter uses inside.
    """
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def to_image(volume: Volume) -> Any:
    """The volume as a float32 image (uint8 stays uint8) with the same positions."""
    array = volume.array if volume.array.dtype in (np.uint8, np.float32) else volume.array.astype(np.float32)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    _place(image, volume.grid)
    return image


def from_image(image: Any) -> Volume:
    """The image as a volume."""
    affine = np.eye(4)
    affine[:3, :3] = _FLIP @ np.reshape(image.GetDirection(), (3, 3)) @ np.diag(image.GetSpacing())
    affine[:3, 3] = _FLIP @ np.array(image.GetOrigin())
    size = image.GetSize()
    array = np.ascontiguousarray(sitk.GetArrayFromImage(image).T)
    return Volume(array, Grid((size[0], size[1], size[2]), affine))


def transform_of(matrix: Matrix) -> Any:
    """A map of positions as SimpleITK's affine transform."""
    transform = sitk.AffineTransform(3)
    transform.SetMatrix((_FLIP @ matrix[:3, :3] @ _FLIP).ravel().tolist())
    transform.SetTranslation((_FLIP @ matrix[:3, 3]).tolist())
    return transform


def matrix_of(transform: Any) -> Matrix:
    """The (4, 4) matrix of a linear transform, whatever its centre."""
    start = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    columns = [np.array(transform.TransformPoint(tuple(axis))) - start for axis in np.eye(3).tolist()]
    matrix = np.eye(4)
    matrix[:3, :3] = _FLIP @ np.stack(columns, axis=1) @ _FLIP
    matrix[:3, 3] = _FLIP @ start
    return matrix


def rigid_error(matrix: Matrix) -> float:
    """How far a matrix is from a rotation with a shift: the largest deviation of R Rᵀ from 1, or 1 for a mirror."""
    rotation = matrix[:3, :3]
    if np.linalg.det(rotation) <= 0:
        return 1.0
    return float(np.abs(rotation @ rotation.T - np.eye(3)).max())


def onto(
    volume: Volume, grid: Grid, matrix: Matrix | None = None, how: Interpolation = "cubic", outside: float = 0.0
) -> NDArray[Any]:
    """Values of `volume` at the voxels of `grid`, read once through a map of positions.

    Where the grid is much coarser than the volume, the volume is smoothed to the grid's voxel first, so that nothing is
    aliased. Cubic values are kept within the range of the volume: a spline overshoots at edges.

    Args:
        matrix: position in the volume to position in the grid; None where they are the same.
        how: `cubic` for images, `linear` for doses and masks, `nearest` for whole numbers.
        outside: what lies outside the volume.

    Returns: shape of the grid; uint8 for `nearest` of uint8, else float32.
    """
    image = to_image(volume)
    if how != "nearest":
        image = _smoothed(sitk.Cast(image, sitk.sitkFloat32), grid.spacing_mm)
    back = transform_of(np.linalg.inv(np.eye(4) if matrix is None else matrix))
    found = sitk.Resample(image, _reference(grid), back, _KINDS[how], outside, image.GetPixelID())
    array = np.ascontiguousarray(sitk.GetArrayFromImage(found).T)
    if how == "cubic":
        low, high = float(volume.array.min()), float(volume.array.max())
        np.clip(array, min(low, outside), max(high, outside), out=array)
    return array


def shrunk(volume: Volume, spacing_mm: float) -> Volume:
    """The volume on a coarser grid along its own axes, smoothed first; axes that are coarser already stay."""
    shape, affine = [], volume.grid.affine.copy()
    for axis, (size, spacing) in enumerate(zip(volume.grid.shape, volume.grid.spacing_mm)):
        step = max(1.0, spacing_mm / spacing)
        shape.append(max(1, int(np.ceil(size / step - 1e-6))))
        affine[:3, axis] *= step
    inner = (np.array(shape) - 1) * np.linalg.norm(affine[:3, :3], axis=0)
    whole = (np.array(volume.grid.shape) - 1) * np.array(volume.grid.spacing_mm)
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    affine[:3, 3] += directions @ ((whole - inner) / 2)
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    return Volume(onto(volume, grid, how="linear"), grid)


def _place(image: Any, grid: Grid) -> None:
    spacing = np.array(grid.spacing_mm)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((_FLIP @ (grid.affine[:3, :3] / spacing)).ravel().tolist())
    image.SetOrigin((_FLIP @ grid.affine[:3, 3]).tolist())


def _reference(grid: Grid) -> Any:
    image = sitk.Image(list(grid.shape), sitk.sitkUInt8)
    _place(image, grid)
    return image


def _smoothed(image: Any, target_mm: tuple[float, ...]) -> Any:
    """Gaussian smoothing along axes where voxels of `target_mm` are at least half as wide again as the image's."""
    goal = float(min(target_mm))
    for axis, spacing in enumerate(image.GetSpacing()):
        if goal > 1.5 * spacing and image.GetSize()[axis] > 4:
            sigma = np.sqrt(goal**2 - spacing**2) / _FWHM
            image = sitk.RecursiveGaussian(
                image, float(sigma), False, sitk.RecursiveGaussianImageFilter.ZeroOrder, axis
            )
    return image
