"""DICOM SEG: outlines that were painted voxel by voxel, as masks on a grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from flame.dicom.geometry import affine_of, slice_normal
from flame.dicom.images.frames import Frame, frames_of
from flame.dicom.therapy.contours import resampled
from flame.dicom.therapy.objects import Source, decimal, items, opened, stored, text, whole
from flame.dicom.therapy.outline_names import distinct, shows
from flame.errors import DataError
from flame.records.intake import Shows
from flame.records.volume import Grid, Volume

__all__ = ["Segment", "read_segmentation"]

_TOLERANCE = 0.05
"""Of the step between slices."""

_LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
"""Label Map Segmentation Storage, which pydicom does not list."""

_MOST_VOXELS = 2**29
_EXPORT = "Export the segmentation again."

_CODES: dict[tuple[str, str], Shows] = {
    ("SCT", "6574001"): "NETC",
    ("SRT", "M-54000"): "NETC",
    ("SCT", "79654002"): "SNFH",
    ("SRT", "M-36300"): "SNFH",
    ("NCIt", "C113842"): "ET",
    ("SCT", "228791009"): "GTV",
    ("SCT", "86049000"): "GTV",
    ("SCT", "108369006"): "GTV",
    ("SCT", "12738006"): "brain",
    ("SRT", "T-A0100"): "brain",
}
"""Types of segments: necrosis, oedema, enhancing lesion, gross tumour volume or neoplasm, brain."""


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment: what it shows, by its code or else its label; its mask (x, y, z); the frame of reference."""

    shows: Shows
    mask: NDArray[np.bool_]
    frame: str | None


@dataclass(frozen=True, eq=False)
class _Painted:
    """The slices of a SEG object: their place along the slices, and what is painted on them (row, column)."""

    numbers: tuple[int | None, ...]
    places: NDArray[np.int64]
    pixels: NDArray[np.generic]
    grid: Grid


def read_segmentation(
    source: Source, reference: Volume | Grid, to_reference: NDArray[np.float64] | None = None
) -> dict[str, Segment]:
    """Masks of all segments of a DICOM SEG object on a grid.

    Slices that the object leaves out are empty. Where its voxels are not those of the reference, a voxel is inside if
    half of what is around it is. Of a probability, half and more is inside.

    Args:
        source: a file or its content; binary, fractional or a label map.
        reference: where the masks are wanted; any orientation and spacing.
        to_reference: (4, 4), from the frame of the segments to that of the reference, RAS [mm]; None if they are one.

    Returns: segments by label, in their order; a label that comes twice gets a number.
    Raises: DataError: another kind of object; slices that are not parallel or not on an even lattice; damaged pixels.
    """
    kinds = (SegmentationStorage, _LABEL_MAP)
    dataset = opened(source, kinds, "a DICOM SEG object")
    target = reference.grid if isinstance(reference, Volume) else reference
    painted = _painted(dataset)
    grid = painted.grid
    if to_reference is not None:
        grid = Grid(grid.shape, np.asarray(to_reference @ grid.affine))
    described = [one for one in items(dataset, "SegmentSequence") if whole(one, "SegmentNumber") != 0]
    names = distinct(text(one, "SegmentLabel") or f"segment {place}" for place, one in enumerate(described, start=1))
    frame = text(dataset, "FrameOfReferenceUID") or None
    return {
        name: Segment(_shows(one), _on(target, _mask(dataset, painted, whole(one, "SegmentNumber")), grid), frame)
        for name, one in zip(names, described)
    }


def _shows(segment: Dataset) -> Shows:
    for one in items(segment, "SegmentedPropertyTypeCodeSequence"):
        known = _CODES.get((text(one, "CodingSchemeDesignator"), text(one, "CodeValue")))
        if known is not None:
            return known
    return shows(text(segment, "SegmentLabel"))


def _painted(dataset: Dataset) -> _Painted:
    frames = frames_of([dataset])
    first = frames[0]
    if any(
        not np.allclose(one.orientation + one.spacing, first.orientation + first.spacing, atol=1e-3) for one in frames
    ):
        raise DataError("Slices of the segmentation are not parallel or not of one size", _EXPORT)
    normal = slice_normal(first.orientation)
    heights = np.array([np.dot(normal, one.position) for one in frames])
    step = _step(dataset, heights)
    places = (heights - heights.min()) / step
    shifts = [np.subtract(one.position, first.position) for one in frames]
    beside = max(float(np.linalg.norm(shift - normal * (normal @ shift))) for shift in shifts)
    if np.abs(places - np.rint(places)).max() > _TOLERANCE or beside > _TOLERANCE * step:
        raise DataError("Slices of the segmentation do not lie on an even lattice", _EXPORT)
    lowest = frames[int(np.argmin(heights))]
    shape = (first.columns, first.rows, int(np.rint(places.max())) + 1)
    if shape[0] * shape[1] * max(shape[2], len(frames)) > _MOST_VOXELS:
        raise DataError(f"The segmentation claims {' x '.join(map(str, shape))} voxels", _EXPORT)
    grid = Grid(shape, affine_of(lowest.position, lowest.orientation, lowest.spacing, normal * step))
    return _Painted(_numbers(dataset, frames), np.rint(places).astype(np.int64), stored(dataset), grid)


def _step(dataset: Dataset, heights: NDArray[np.float64]) -> float:
    """Distance between neighbouring slices [mm]: what the object says, else the smallest that is found."""
    shared = [
        measures
        for level in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
        for group in items(dataset, level)[:1]
        for measures in items(group, "PixelMeasuresSequence")
    ]
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        for measures in shared:
            stated = decimal(measures, keyword)
            lattice = 0.0 if not stated else (heights - heights.min()) / abs(stated)
            if stated and np.abs(lattice - np.rint(lattice)).max() <= _TOLERANCE:
                return abs(stated)
    gaps = np.diff(np.unique(np.round(heights, 3)))
    if gaps.size == 0:
        raise DataError("The segmentation does not say how thick its slices are", _EXPORT)
    return float(gaps.min())


def _numbers(dataset: Dataset, frames: Sequence[Frame]) -> tuple[int | None, ...]:
    """Which segment each frame belongs to; None in a label map, whose frames hold all."""
    if text(dataset, "SegmentationType") == "LABELMAP":
        return (None,) * len(frames)
    shared = [one for group in items(dataset, "SharedFunctionalGroupsSequence") for one in _identified(group)]
    own = [(*_identified(group), *shared) for group in items(dataset, "PerFrameFunctionalGroupsSequence")]
    if len(own) != len(frames) or not all(own):
        raise DataError("The segmentation does not say which segment its frames show", _EXPORT)
    return tuple(numbers[0] for numbers in own)


def _identified(group: Dataset) -> tuple[int, ...]:
    found = (whole(one, "ReferencedSegmentNumber") for one in items(group, "SegmentIdentificationSequence"))
    return tuple(number for number in found if number is not None)


def _mask(dataset: Dataset, painted: _Painted, number: int | None) -> NDArray[np.bool_]:
    """One segment on the segmentation's own grid (column, row, slice)."""
    half = (decimal(dataset, "MaximumFractionalValue") or 1.0) / 2
    mask = np.zeros(painted.grid.shape, np.bool_)
    for place, owner, pixels in zip(painted.places, painted.numbers, painted.pixels):
        if owner is None:
            mask[:, :, place] |= (pixels == number).T
        elif owner == number:
            mask[:, :, place] |= (pixels >= half).T
    return mask


def _on(target: Grid, mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """The mask on another grid; a margin of nothing lets the outermost voxels keep their full size."""
    inside = np.argwhere(mask)
    if inside.size == 0:
        return np.zeros(target.shape, np.bool_)
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    padded = np.pad(mask[tuple(slice(a, b) for a, b in zip(low, high))], 1)
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ (low - 1)
    x, y, z = padded.shape
    return resampled(padded, Grid((x, y, z), affine), target)
