"""Where the brain is in a head: the site's own mask, what a stripped image leaves, deepbet, or the atlas.

The atlas way fits an affine atlas (`imaging.atlas`), which finds the brain but not its edge. The edge is then found by
what a brain is: tissue of one range of brightness in one piece, cut from skin and dura by an opening, its folds closed,
with the thin layer of fluid around it. The atlas is fitted again to what was found, and the edge found again near it.
"""

import math
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, distance_transform_edt, find_objects, gaussian_filter, label

from flame.errors import DataError
from flame.imaging.atlas import fit_head, fit_mask, head_atlas
from flame.imaging.bias import even
from flame.imaging.itk import Matrix, onto
from flame.records.volume import Grid, Volume

__all__ = ["Brain", "BrainMethod", "brain_of_head", "brain_of_mask", "brain_of_stripped", "has_deepbet"]

BrainMethod = Literal["auto", "deepbet", "atlas"]

_WORK_MM = 2.0
_FIRST_REACH_MM, _SECOND_REACH_MM = 10.0, 5.0
_OPEN_MM, _CLOSE_MM = 3.0, 8.0
_FLUID_MM = 1.5
_CORE_MM = 10.0
_DARKEST, _BRIGHTEST = 3.5, 4.0
"""Range of brightness of brain tissue, in robust deviations from the median of grey and white matter."""

_SMALLEST_ML = 300.0
_FAR_MM = 99.0


@dataclass(frozen=True, eq=False)
class Brain:
    """A brain mask that can be taken onto any grid.

    Attributes:
        depth: float32 [mm], distance to the brain's surface, positive inside.
        source: `outlined`, `stripped`, `deepbet` or `atlas`.
        agreement: Dice of the mask with the fitted atlas; None where no atlas was fitted.
    """

    depth: Volume
    source: Literal["outlined", "stripped", "deepbet", "atlas"]
    agreement: float | None = None

    def on(self, grid: Grid, matrix: Matrix | None = None) -> NDArray[np.bool_]:
        """The mask on a grid, shape of the grid, through a map from the brain's positions to those of the grid."""
        inside: NDArray[np.bool_] = onto(self.depth, grid, matrix, how="linear", outside=-_FAR_MM) > 0
        return inside

    @property
    def volume_ml(self) -> float:
        """Volume of the mask [ml]."""
        voxel = abs(float(np.linalg.det(self.depth.grid.affine[:3, :3])))
        return float((self.depth.array > 0).sum()) * voxel / 1000


def brain_of_mask(mask: Volume) -> Brain:
    """The brain as a site or a public set outlined it. Raises DataError if the mask is empty."""
    return Brain(_depth(_filled(mask.array > 0.5), mask.grid), "outlined")


def brain_of_stripped(images: list[Volume]) -> Brain:
    """The brain in images that were skull-stripped: what differs from the background in any of them, holes filled.

    Args:
        images: on one grid; the background is the most frequent value of each.

    Raises: DataError: if nothing but background is there.
    """
    inside = np.zeros(images[0].grid.shape, bool)
    for image in images:
        values, times = np.unique(image.array, return_counts=True)
        inside |= image.array != values[times.argmax()]
    return Brain(_depth(_filled(inside), images[0].grid), "stripped")


def has_deepbet() -> bool:
    """Whether deepbet and what it needs are installed."""
    return all(find_spec(name) is not None for name in ("deepbet", "cc3d", "fill_voids"))


def brain_of_head(head: Volume, method: BrainMethod = "auto") -> Brain:
    """Find the brain in a head.

    Args:
        head: an MR image with skull, best T1w or T1ce; in any orientation.
        method: `auto` takes deepbet where it is installed, else the atlas.

    Raises: DataError: if no brain was found, or deepbet is asked for and not installed.
    """
    if method == "atlas" or (method == "auto" and not has_deepbet()):
        return _by_atlas(head)
    return _by_deepbet(head)


def _by_atlas(head: Volume) -> Brain:
    grid = _work_grid(head, _WORK_MM)
    image = Volume(onto(head, grid, how="linear"), grid)
    matrix, _ = fit_head(head)
    first = _edge(_evened(image, matrix), matrix, _FIRST_REACH_MM)
    matrix = fit_mask(Volume(first.astype(np.float32), grid), matrix)
    depth = _depth(_edge(_evened(image, matrix), matrix, _SECOND_REACH_MM), grid)
    depth = Volume(depth.array + np.float32(_FLUID_MM), grid)
    brain = Brain(depth, "atlas")
    if brain.volume_ml < _SMALLEST_ML:
        raise DataError(
            "No brain was found in the image", "Add a brain mask of your own as an outline that shows `brain`."
        )
    there, atlas = depth.array > 0, onto(head_atlas().brain, grid, matrix, how="linear") > 0.5
    return Brain(depth, "atlas", float(2 * (there & atlas).sum() / (there.sum() + atlas.sum())))


def _by_deepbet(head: Volume) -> Brain:
    if not has_deepbet():
        raise DataError("deepbet is not installed", "Install flame[brain], or take --brain atlas.")
    import nibabel
    from deepbet.bet import BrainExtraction

    grid = _upright_grid(head, 1.0)
    image = nibabel.Nifti1Image(onto(head, grid, how="linear"), grid.affine)
    with warnings.catch_warnings():
        # deepbet's weights are TorchScript, which newer versions of torch call deprecated
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        found: Any = BrainExtraction(no_gpu=True).run(image)[1]
    mask = Volume(np.asarray(found.dataobj), grid)
    return Brain(_depth(_filled(mask.array > 0), grid), "deepbet")


def _evened(image: Volume, matrix: Matrix) -> Volume:
    atlas = onto(head_atlas().brain, image.grid, matrix, how="linear") > 0.5
    return Volume(even(image, atlas).array, image.grid)


def _edge(image: Volume, matrix: Matrix, reach_mm: float) -> NDArray[np.bool_]:
    """Brain tissue in one piece, at most `reach_mm` outside the atlas brain that `matrix` lays over the image."""
    atlas = head_atlas()
    depth = _depth(onto(atlas.brain, image.grid, matrix, how="linear") > 0.5, image.grid).array
    tissue = onto(atlas.tissue, image.grid, matrix, how="linear") > 0.9
    sample = image.array[(depth > _CORE_MM) & tissue]
    if sample.size < 100:
        return depth > 0
    middle = float(np.median(sample))
    deviation = 1.4826 * float(np.median(np.abs(sample - middle)))
    bright = (image.array > middle - _DARKEST * deviation) & (image.array < middle + _BRIGHTEST * deviation)
    near = depth > -reach_mm
    seed = _largest(_shrink(bright & near, _OPEN_MM) & (depth > _OPEN_MM - reach_mm))
    grown = _grow(seed, _OPEN_MM + _WORK_MM / 2) & bright & near
    width = round(_CLOSE_MM / _WORK_MM) + 1
    closed = _shrink(_grow(np.pad(grown, width), _CLOSE_MM), _CLOSE_MM)
    inner = tuple(slice(width, -width) for _ in range(3))
    whole = binary_fill_holes(closed[inner]) & near
    return _largest(gaussian_filter(whole.astype(np.float32), 1.0) > 0.5)


def _grow(mask: NDArray[np.bool_], by_mm: float) -> NDArray[np.bool_]:
    if not mask.any():
        return mask
    grown = np.zeros_like(mask)
    box = _box(mask, math.ceil(by_mm / _WORK_MM))
    grown[box] = distance_transform_edt(~mask[box], sampling=_WORK_MM) <= by_mm
    return grown


def _shrink(mask: NDArray[np.bool_], by_mm: float) -> NDArray[np.bool_]:
    if not mask.any():
        return mask
    shrunk = np.zeros_like(mask)
    box = _box(mask, 1)
    shrunk[box] = distance_transform_edt(mask[box], sampling=_WORK_MM) > by_mm
    return shrunk


def _box(mask: NDArray[np.bool_], around: int) -> tuple[slice, ...]:
    """The box around a mask, wider by so many voxels: distances cost by the voxel, and no other is needed."""
    (box,) = find_objects(mask.view(np.uint8))
    return tuple(slice(max(0, side.start - around), side.stop + around) for side in box)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, count = label(mask)
    if count < 2:
        return mask
    return np.asarray(parts == 1 + np.bincount(parts.ravel())[1:].argmax())


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest piece of a mask without holes; refused where it is empty."""
    whole = np.asarray(binary_fill_holes(_largest(mask)))
    if not whole.any():
        raise DataError("The brain mask is empty", "Make the mask again.")
    return whole


def _depth(mask: NDArray[np.bool_], grid: Grid) -> Volume:
    """Signed distance to the surface [mm], half a voxel between the two sides."""
    spacing = grid.spacing_mm
    half = min(spacing) / 2
    padded = np.pad(mask, 1)
    inside = distance_transform_edt(padded, sampling=spacing)[1:-1, 1:-1, 1:-1]
    outside = distance_transform_edt(~mask, sampling=spacing) if mask.any() else np.full(mask.shape, _FAR_MM)
    return Volume(np.where(mask, inside - half, half - outside).astype(np.float32), grid)


def _work_grid(head: Volume, spacing_mm: float) -> Grid:
    """Cubic voxels along the axes of the image, over the same field of view."""
    spacing = np.array(head.grid.spacing_mm)
    shape = np.ceil(np.array(head.grid.shape) * spacing / spacing_mm).astype(int)
    affine = head.grid.affine.copy()
    directions = affine[:3, :3] / spacing
    affine[:3, :3] = directions * spacing_mm
    affine[:3, 3] += directions @ ((spacing_mm - spacing) / 2)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def _upright_grid(head: Volume, spacing_mm: float) -> Grid:
    """Cubic voxels along RAS over the box around the image."""
    ends = np.array(np.meshgrid(*[[0, size - 1] for size in head.grid.shape])).reshape(3, -1).T
    points = ends @ head.grid.affine[:3, :3].T + head.grid.affine[:3, 3]
    low, high = points.min(0), points.max(0)
    shape = np.ceil((high - low) / spacing_mm).astype(int) + 1
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = low
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)
