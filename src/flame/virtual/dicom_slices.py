"""Many files of one series: what slices share is encoded once, what differs is put between."""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from flame.virtual.dicom_bytes import element, elements, encode, file_meta, text
from flame.virtual.slices import Stack

__all__ = ["encode_slices"]

_META_INSTANCE = 0x00020003
_INSTANCE, _NUMBER, _POSITION, _PIXELS = 0x00080018, 0x00200013, 0x00200032, 0x7FE00010


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
    meta, body = file_meta(str(dataset.SOPClassUID), instances[0]), elements(dataset)
    for index, (frame, instance) in enumerate(zip(stack.frames, instances, strict=True)):
        meta[_META_INSTANCE] = element(_META_INSTANCE, "UI", text(instance, "\0"))
        body[_INSTANCE] = element(_INSTANCE, "UI", text(instance, "\0"))
        body[_NUMBER] = element(_NUMBER, "IS", text(str(first + index)))
        body[_POSITION] = element(_POSITION, "DS", text("\\".join(stack.position(index))))
        body[_PIXELS] = element(_PIXELS, "OW", frame.tobytes())
        yield encode(meta.values(), body.values())
