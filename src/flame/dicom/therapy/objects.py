"""Opening a radiotherapy object and taking values out of it that it cannot do without.

Where `header` says that a malformed value is unknown, here it is refused: a dose or a contour must not be guessed. No
message quotes a value or a file's name; it names the attribute by its keyword.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from flame.dicom.header import text, value
from flame.dicom.reading import MALFORMED, read_instance, silence
from flame.errors import DataError

__all__ = ["Source", "decimal", "decimals", "items", "opened", "stored", "text", "whole"]

Source = Path | Dataset
"""A DICOM file, or its content."""

_MOST_VOXELS = 2**29
_HINT = "Export the object again from the system that made it."


def opened(source: Source, kinds: Sequence[str], what: str) -> Dataset:
    """The content of a DICOM object of one of the SOP classes `kinds`.

    Args:
        what: the object in words, as `an RTDOSE object`, for the refusal.

    Raises: DataError: if the file is missing, not DICOM, damaged, or another kind of object.
    """
    dataset = source if isinstance(source, Dataset) else read_instance(source)
    if text(dataset, "SOPClassUID") not in kinds:
        raise DataError(f"The object given is not {what}", "Give one of that kind.")
    return dataset


def items(dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """The items of a sequence; none if it is absent or unreadable."""
    found = value(dataset, keyword)
    if not isinstance(found, Iterable) or isinstance(found, str | bytes):
        return ()
    try:
        return tuple(item for item in found if isinstance(item, Dataset))
    except MALFORMED:
        return ()


def decimals(dataset: Dataset, keyword: str, count: int | None = None) -> tuple[float, ...]:
    """All values of a numeric attribute.

    Args:
        count: how many there must be; None for any number from one.

    Raises: DataError: if it is absent, not numeric, not finite, or has another number of values.
    """
    found = value(dataset, keyword)
    several = isinstance(found, Sequence) and not isinstance(found, str | bytes)
    try:
        numbers = tuple(float(one) for one in (found if several else () if found is None else (found,)))
    except MALFORMED:
        raise DataError(f"{keyword} of {_kind(dataset)} is not a number", _HINT) from None
    if not numbers or (count is not None and len(numbers) != count):
        expected = "at least one" if count is None else count
        raise DataError(f"{keyword} of {_kind(dataset)} has {len(numbers)} values, expected {expected}", _HINT)
    if not all(map(math.isfinite, numbers)):
        raise DataError(f"{keyword} of {_kind(dataset)} is not finite", _HINT)
    return numbers


def decimal(dataset: Dataset, keyword: str) -> float | None:
    """The one value of a numeric attribute, None if it is absent, empty or unreadable.

    Raises: DataError: if it is not a number, not finite, or more than one.
    """
    return None if value(dataset, keyword) is None else decimals(dataset, keyword, 1)[0]


def whole(dataset: Dataset, keyword: str) -> int | None:
    """The one whole number of an attribute, None if it is absent, empty or unreadable.

    Raises: DataError: as `decimal`, or if it is not whole.
    """
    found = decimal(dataset, keyword)
    if found is not None and found != int(found):
        raise DataError(f"{keyword} of {_kind(dataset)} is not a whole number", _HINT)
    return None if found is None else int(found)


def stored(dataset: Dataset) -> NDArray[Any]:
    """The pixel data as they are stored, shape (frames, rows, columns).

    Raises: DataError: if they are missing, truncated, in a compression that is not known, or not of the size that the
        object gives, which is looked at first.
    """
    shape = tuple(whole(dataset, keyword) or 1 for keyword in ("NumberOfFrames", "Rows", "Columns"))
    if min(shape) < 1 or math.prod(shape) > _MOST_VOXELS:
        raise DataError(f"By its header {_kind(dataset)} claims {' x '.join(map(str, shape))} voxels", _HINT)
    try:
        with silence():
            pixels = np.asarray(dataset.pixel_array)
    except MALFORMED:
        raise DataError(f"The pixel data of {_kind(dataset)} cannot be read", _HINT) from None
    if pixels.size != math.prod(shape):
        raise DataError(f"The pixel data of {_kind(dataset)} are not of the size that it gives", _HINT)
    return pixels.reshape(shape)


def _kind(dataset: Dataset) -> str:
    modality = text(dataset, "Modality")
    return f"the {modality}" if modality in ("RTDOSE", "RTPLAN", "RTSTRUCT", "RTRECORD", "REG", "SEG") else "the object"
