"""Values of a DICOM header, read so that a malformed one is unknown and never an exception."""

import datetime
import math
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from flame.dicom.reading import MALFORMED
from flame.errors import DataError

__all__ = ["datasets_of", "items", "moment", "number", "numbers", "text", "value", "words"]


def value(dataset: Dataset, keyword: str) -> Any:
    """The value of an attribute, or None if it is absent, empty or malformed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = dataset.get(keyword)
    except MALFORMED:
        return None
    return None if found is None or (isinstance(found, str | Sequence) and len(found) == 0) else found


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence attribute; none if it is absent or malformed."""
    found = value(dataset, keyword)
    if not isinstance(found, Sequence) or isinstance(found, str | bytes):
        return []
    return [item for item in found if isinstance(item, Dataset)]


def number(dataset: Dataset, keyword: str) -> float | None:
    """The (first) number of an attribute, or None if there is none or it is not finite."""
    found = value(dataset, keyword)
    if isinstance(found, Sequence) and not isinstance(found, str | bytes):
        found = found[0]
    try:
        result = float(found)
    except MALFORMED:
        return None
    return result if math.isfinite(result) else None


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Exactly `count` finite numbers of an attribute, or None."""
    found = value(dataset, keyword)
    try:
        result = tuple(float(one) for one in found)
    except MALFORMED:
        return None
    return result if len(result) == count and all(map(math.isfinite, result)) else None


def text(dataset: Dataset, keyword: str) -> str:
    """The text of an attribute, stripped; empty if there is none. Several values are joined by blanks."""
    found = value(dataset, keyword)
    if found is None:
        return ""
    if isinstance(found, Sequence) and not isinstance(found, str | bytes):
        return " ".join(str(one).strip() for one in found)
    return str(found).strip()


def words(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """The values of an attribute of several words, as Image Type, in capitals."""
    found = value(dataset, keyword)
    if found is None:
        return ()
    parts = [found] if isinstance(found, str) else found
    try:
        return tuple(str(part).strip().upper() for part in parts)
    except MALFORMED:
        return ()


def moment(dataset: Dataset, *kinds: str) -> tuple[datetime.date | None, float | None]:
    """Date, and time of day [s], by the first of these kinds of event that has a date; None where unknown.

    An enhanced image writes both of its acquisition as one (Acquisition DateTime).

    Args:
        kinds: `Acquisition`, `Series`, `Content` or `Study`, in order of preference.
    """
    for kind in kinds:
        day, clock = text(dataset, f"{kind}Date"), text(dataset, f"{kind}Time")
        if kind == "Acquisition" and not day:
            both = text(dataset, "AcquisitionDateTime")
            day, clock = both[:8], re.split(r"[+-]", both[8:])[0]
        try:
            date = datetime.datetime.strptime(day[:8], "%Y%m%d").date()
        except ValueError:
            continue
        return date, _seconds(clock)
    return None, None


def _seconds(clock: str) -> float | None:
    """Seconds since midnight of HHMMSS.FFFFFF; None if it cannot be read."""
    try:
        seconds = 3600 * int(clock[:2]) + 60 * int(clock[2:4] or 0) + float(clock[4:] or 0)
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86400 + 1 else None


def datasets_of(files: Iterable[Path | Dataset], pixels: bool = True) -> list[Dataset]:
    """Read files; datasets pass as they are.

    Args:
        pixels: False leaves the pixel data unread, for a look at headers.

    Raises: DataError: if a file is missing or not readable as DICOM. It is not named: its name may be an identifier.
    """
    read = []
    for number_, file in enumerate(files, start=1):
        if isinstance(file, Dataset):
            read.append(file)
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read.append(pydicom.dcmread(file, stop_before_pixels=not pixels))
        except MALFORMED as error:
            raise DataError(
                f"File {number_} of the series is missing or not readable as DICOM ({type(error).__name__})",
                "Send the series again.",
            ) from None
    return read
