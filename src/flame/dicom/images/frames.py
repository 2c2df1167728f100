"""The frames of a series: where each lies, how its numbers are scaled, and what tells it from others at one place."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from flame.dicom.header import items, number, numbers, text, words
from flame.errors import DataError

__all__ = ["SEND_AGAIN", "Frame", "frames_of"]

SEND_AGAIN = "Send the original series again."

_FARTHEST_MM = 1e5
_LARGEST_PIXEL_MM = 1e3
_UNIT = 0.02
_LEVELS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "DiffusionBValue": "MRDiffusionSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "StackID": "FrameContentSequence",
    "FrameType": "MRImageFrameTypeSequence",
}
"""Where an enhanced image keeps per frame what a classic one keeps at the top (PS3.3 C.7.6.16 and C.8.13)."""


@dataclass(frozen=True)
class Frame:
    """One slice as it is stored.

    Attributes:
        position, orientation, spacing: as in DICOM, LPS [mm]; spacing is that between rows, then between columns.
        rows, columns: size in pixels.
        stated_step: distance between slices that the header states [mm]; None if it states none, or less than the slice
            is thick, as where only the gap is written.
        slope, intercept: from stored number to value.
        marks: what tells it from another frame at the same place, by name of the cause, as `{"echo time": "96"}`.
        instance: index of its dataset.
        index: which frame of that dataset; None if it is a classic one, of a single frame.
    """

    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    rows: int
    columns: int
    stated_step: float | None
    slope: float
    intercept: float
    marks: dict[str, str]
    instance: int
    index: int | None


def frames_of(datasets: Sequence[Dataset]) -> list[Frame]:
    """All frames of classic single-frame and of enhanced multi-frame images, in the order given.

    Raises: DataError: no position, a mosaic, several frames that are not described, or no size.
    """
    return [frame for i, dataset in enumerate(datasets) for frame in _frames(dataset, i)]


def _frames(dataset: Dataset, instance: int) -> Iterator[Frame]:
    if "MOSAIC" in words(dataset, "ImageType"):
        raise DataError("The slices lie in a mosaic (Siemens): many slices in one picture", SEND_AGAIN)
    count = number(dataset, "NumberOfFrames")
    described = items(dataset, _LEVELS[0])
    if not described and count not in (None, 1):
        raise DataError(f"A multi-frame image of {count:g} frames does not say where each of them lies", SEND_AGAIN)
    if not described:
        yield _frame(dataset, (dataset,), instance, None)
        return
    if (count or 1) != len(described):
        raise DataError(f"A multi-frame image of {count or 1:g} frames describes {len(described)}", SEND_AGAIN)
    shared = items(dataset, _LEVELS[1])[:1]
    for index, own in enumerate(described):
        levels = (own, *shared)
        yield _frame(dataset, levels, instance, index)


def _frame(dataset: Dataset, levels: Sequence[Dataset], instance: int, index: int | None) -> Frame:
    def look(keyword: str) -> Dataset:
        return _place(levels, keyword) if index is not None else dataset

    position = numbers(look("ImagePositionPatient"), "ImagePositionPatient", 3)
    orientation = numbers(look("ImageOrientationPatient"), "ImageOrientationPatient", 6)
    spacing = numbers(look("PixelSpacing"), "PixelSpacing", 2)
    rows, columns = number(dataset, "Rows"), number(dataset, "Columns")
    if position is None or orientation is None or max(map(abs, position)) > _FARTHEST_MM:
        raise DataError("A slice does not say where it lies (no Image Position or Orientation)", SEND_AGAIN)
    row, column = np.reshape(orientation, (2, 3))
    if max(abs(row @ row - 1), abs(column @ column - 1), abs(row @ column)) > _UNIT:
        raise DataError("The orientation of a slice is not two perpendicular directions of length 1", SEND_AGAIN)
    if spacing is None or not 0 < min(spacing) <= max(spacing) < _LARGEST_PIXEL_MM:
        raise DataError("A slice does not give the size of its pixels (Pixel Spacing)", SEND_AGAIN)
    if not rows or not columns:
        raise DataError("A slice has no rows or columns", SEND_AGAIN)
    slope = number(look("RescaleSlope"), "RescaleSlope")
    if slope == 0:
        raise DataError("The rescale slope of a slice is 0: all its values would be equal", SEND_AGAIN)
    return Frame(
        position,
        orientation,
        spacing,
        int(rows),
        int(columns),
        _stated_step(look),
        1.0 if slope is None else slope,
        number(look("RescaleIntercept"), "RescaleIntercept") or 0.0,
        _marks(dataset, look, index is not None),
        instance,
        index,
    )


def _stated_step(look: Callable[[str], Dataset]) -> float | None:
    step = number(look("SpacingBetweenSlices"), "SpacingBetweenSlices")
    thickness = number(look("SliceThickness"), "SliceThickness")
    return step if step is not None and thickness is not None and step >= thickness > 0 else None


def _place(levels: Sequence[Dataset], keyword: str) -> Dataset:
    """The part of the functional groups that holds a keyword; an empty one if none does."""
    parts: Iterator[Dataset] = (part for level in levels for part in items(level, _GROUPS[keyword]))
    return next((part for part in parts if keyword in part), Dataset())


def _marks(dataset: Dataset, look: Callable[[str], Dataset], enhanced: bool) -> dict[str, str]:
    """What may differ between frames of one place; what is not there is left out."""
    keywords = {
        "stack": "StackID",
        "echo time": "EffectiveEchoTime" if enhanced else "EchoTime",
        "diffusion weighting": "DiffusionBValue",
        "time point": "TemporalPositionIndex" if enhanced else "TemporalPositionIdentifier",
        "kind of image": "FrameType" if enhanced else "ImageType",
        "acquisition": "AcquisitionNumber",
        "trigger time": "TriggerTime",
        "inversion time": "InversionTime",
    }
    places = {name: look(key) if key in _GROUPS else dataset for name, key in keywords.items()}
    marks = {name: text(places[name], key) for name, key in keywords.items()}
    return {name: mark for name, mark in marks.items() if mark}
