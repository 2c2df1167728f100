"""Many files of one series: what slices share is encoded once, what differs is put between.

pydicom takes 5 ms for a slice's header; a virtual patient has thousands.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from flame.virtual.dicom_file import encode
from flame.virtual.slices import Stack

__all__ = ["encode_slices"]

_META_LENGTH, _META_INSTANCE = 0x00020000, 0x00020003
_INSTANCE, _NUMBER, _POSITION, _PIXELS = 0x00080018, 0x00200013, 0x00200032, 0x7FE00010
_PREAMBLE = b"\0" * 128 + b"DICM"


def encode_slices(dataset: Dataset, stack: Stack, instances: tuple[str, ...], first: int = 1) -> Iterator[bytes]:
    """The file of each slice of a stack, in order.

    Args:
        dataset: all that the slices share; it is changed.
        stack: little-endian pixels of 16 bits, with positions.
        instances: SOP instance UID of each slice.
        first: instance number of the first.
    """
    stack.describe(dataset)
    dataset.InstanceNumber, dataset.ImagePositionPatient, dataset.PixelData = first, stack.position(0), b"\0\0"
    meta, body = _elements(dataset)
    for index, (frame, instance) in enumerate(zip(stack.frames, instances, strict=True)):
        meta[_META_INSTANCE] = _short(_META_INSTANCE, "UI", _even(instance, "\0"))
        meta.pop(_META_LENGTH, None)
        length = sum(map(len, meta.values()))
        meta[_META_LENGTH] = _short(_META_LENGTH, "UL", length.to_bytes(4, "little"))
        body[_INSTANCE] = _short(_INSTANCE, "UI", _even(instance, "\0"))
        body[_NUMBER] = _short(_NUMBER, "IS", _even(str(first + index), " "))
        body[_POSITION] = _short(_POSITION, "DS", _even("\\".join(stack.position(index)), " "))
        body[_PIXELS] = _pixels(frame)
        yield b"".join([_PREAMBLE, *(part[tag] for part in (meta, body) for tag in sorted(part))])


def _elements(dataset: Dataset) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """The encoded elements of the file meta information and of the data set, by tag."""
    whole = encode(dataset)
    found = dcmread(BytesIO(whole))
    meta: dict[int, bytes] = {}
    body: dict[int, bytes] = {}
    for part, elements in ((found.file_meta, meta), (found, body)):
        for tag in tuple(part.keys()):
            single = Dataset()
            single[tag] = part.get_item(tag)
            elements[int(tag)] = _alone(single)
    return meta, body


def _alone(single: Dataset) -> bytes:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, single)
    return buffer.getvalue()


def _short(tag: int, representation: str, value: bytes) -> bytes:
    return _tag(tag) + representation.encode() + len(value).to_bytes(2, "little") + value


def _pixels(frame: NDArray[Any]) -> bytes:
    value = frame.tobytes()
    return _tag(_PIXELS) + b"OW\0\0" + len(value).to_bytes(4, "little") + value


def _tag(tag: int) -> bytes:
    group, element = Tag(tag).group, Tag(tag).element
    return group.to_bytes(2, "little") + element.to_bytes(2, "little")


def _even(text: str, filler: str) -> bytes:
    return (text + filler * (len(text) % 2)).encode("ascii")
