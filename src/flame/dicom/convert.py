"""From the files of one DICOM series to a volume on its native grid: all slices where they lie, or a refusal by name.

Nothing is interpolated, filled or guessed. Values are stored numbers times rescale slope plus intercept, slice by
slice; real-world value maps and the private scaling of Philips are left aside: they only set the unit of an MR signal.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID

from flame.dicom.geometry import affine_of
from flame.dicom.header import datasets_of, text, value, words
from flame.dicom.images.frames import SEND_AGAIN, Frame, frames_of
from flame.dicom.images.stack import stacked
from flame.dicom.reading import MALFORMED
from flame.errors import DataError
from flame.records.volume import Grid, Volume

__all__ = ["Converted", "convert", "to_volume"]

_UNREADABLE = "Send the series uncompressed (Explicit VR Little Endian); a PACS does so on request."


@dataclass(frozen=True, eq=False)
class Converted:
    """A volume, and what was done to get it, in words that tell of nobody."""

    volume: Volume
    notes: tuple[str, ...]


def to_volume(files: Sequence[Path] | Sequence[Dataset]) -> Volume:
    """The volume of a series; see `convert`."""
    return convert(files).volume


def convert(files: Sequence[Path] | Sequence[Dataset]) -> Converted:
    """Put the slices of one series together, classic or enhanced multi-frame, in any order.

    Localiser slices among others are left out when they are marked as such, and a note says so.

    Returns: float32, shape (columns, rows, slices), finite, with its affine to RAS [mm]. Slices are in the order of the
        normal (direction of columns times that of rows), so the affine may point anywhere, as the scanner did.
    Raises: DataError: if a file is not readable; the pixel data are missing, damaged, coloured or compressed in a way
        that cannot be read; or the slices are no regular stack: one alone, one missing, uneven, two at one place
        (several echoes, diffusion weightings, time points), of several orientations, sizes or frames of reference, or
        sheared by a tilted gantry. The message tells which, and no identifier.
    """
    datasets = datasets_of(files)
    if not datasets:
        raise DataError("The series holds no file", "Check the path.")
    kept, notes = _without_localisers(datasets)
    for dataset in kept:
        _refuse_other_pixels(dataset)
    _refuse_several_frames_of_reference(kept)
    stack = stacked(frames_of(kept))
    first = stack.frames[0]
    affine = affine_of(first.position, first.orientation, first.spacing, stack.step)
    array = _voxels(kept, stack.frames)
    if any(text(dataset, "LossyImageCompression") == "01" for dataset in kept):
        notes = (*notes, "was compressed with loss before it came here")
    shape = (first.columns, first.rows, len(stack.frames))
    return Converted(Volume(array.transpose(2, 1, 0), Grid(shape, affine)), notes)


def _without_localisers(datasets: list[Dataset]) -> tuple[list[Dataset], tuple[str, ...]]:
    kept = [dataset for dataset in datasets if "LOCALIZER" not in words(dataset, "ImageType")]
    out = len(datasets) - len(kept)
    if not kept or not out:
        return datasets, ()
    return kept, (f"{out} localiser slice{'s' if out > 1 else ''} of the series left out",)


def _refuse_other_pixels(dataset: Dataset) -> None:
    """Refuse what is not a grey-value image whose numbers mean what they say."""
    grey = text(dataset, "PhotometricInterpretation")
    if grey in ("RGB", "PALETTE COLOR") or grey.startswith("YBR"):
        raise DataError(
            f"The series holds colour images ({grey})", "Colour is no measurement: send the original series."
        )
    if grey == "MONOCHROME1":
        raise DataError("The series is stored with white as its lowest value (MONOCHROME1)", SEND_AGAIN)
    if value(dataset, "ModalityLUTSequence") is not None:
        raise DataError("The values of the series are given by a table (Modality LUT), not by a scale", SEND_AGAIN)
    if not any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise DataError("A file of the series holds no pixel data", SEND_AGAIN)


def _refuse_several_frames_of_reference(datasets: Sequence[Dataset]) -> None:
    count = len({text(dataset, "FrameOfReferenceUID") for dataset in datasets})
    if count > 1:
        raise DataError(
            f"The slices belong to {count} frames of reference: nothing says how they lie to each other", SEND_AGAIN
        )


def _voxels(datasets: Sequence[Dataset], frames: Sequence[Frame]) -> NDArray[np.float32]:
    """Values of all frames in order, (slices, rows, columns)."""
    first = frames[0]
    pixels, last = _pixels(datasets[first.instance]), first.instance
    array: NDArray[np.float32] | None = None
    for place, frame in enumerate(frames):
        if frame.instance != last:
            pixels, last = _pixels(datasets[frame.instance]), frame.instance
        stored = pixels if frame.index is None or pixels.ndim == 2 else pixels[frame.index]
        if stored.shape != (first.rows, first.columns):
            raise DataError(
                f"A slice holds an array of shape {stored.shape}, not {first.rows} rows of {first.columns}", SEND_AGAIN
            )
        if array is None:
            array = np.empty((len(frames), first.rows, first.columns), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            array[place] = stored
            if frame.slope != 1:
                array[place] *= np.float32(frame.slope)
            if frame.intercept != 0:
                array[place] += np.float32(frame.intercept)
    assert array is not None
    if not np.isfinite(array).all():
        raise DataError("The series holds NaN or infinite voxels", "Export the image again.")
    return array


def _pixels(dataset: Dataset) -> NDArray[np.generic]:
    """The stored numbers of a file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(dataset.pixel_array)
    except MALFORMED:
        compressed = _compression(dataset)
        if compressed:
            raise DataError(f"Pixel data compressed as {compressed} cannot be read here", _UNREADABLE) from None
        raise DataError("The pixel data of a file are truncated or damaged", "Send the series again.") from None


def _compression(dataset: Dataset) -> str | None:
    """The name of the standard's transfer syntax, if it is a compressed one."""
    syntax = value(getattr(dataset, "file_meta", Dataset()), "TransferSyntaxUID")
    if not isinstance(syntax, UID) or syntax.is_private or not syntax.is_transfer_syntax:
        return None
    return syntax.name if syntax.is_compressed else None
