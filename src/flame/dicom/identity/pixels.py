"""Pixel data and file meta information of a de-identified instance."""

import numpy as np
from pydicom import uid
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.utils import decompress

from flame.dicom.identity.quarantine import Quarantined
from flame.dicom.identity.rules import PIXELS
from flame.dicom.reading import MALFORMED

__all__ = ["IMPLEMENTATION", "packed"]

IMPLEMENTATION = "2.25.279408216430811217372208963459148613249"
"""Says in each file that FLAME wrote it (PS3.7 annex D.3.3.2)."""

_UNCOMPRESSED = {uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian}
_COMPRESSED = {
    *uid.JPEGTransferSyntaxes,
    *uid.JPEGLSTransferSyntaxes,
    *uid.JPEG2000TransferSyntaxes,
    *uid.RLETransferSyntaxes,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
}
_LOSSY = {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless}
_DESCRIBING = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PixelRepresentation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
)
_MOST_VOXELS = 2**29
_BITS = {0x7FE00008: 32, 0x7FE00009: 64}
_KINDS = {0x7FE00008: "OF", 0x7FE00009: "OD"}
_UNREADABLE = "compression that cannot be read"


def packed(original: Dataset, clean: Dataset, with_pixels: bool) -> FileMetaDataset:
    """Put the pixel data of `original` into `clean` and return the file meta information that goes with them.

    What lies behind the last pixel is cut off. Compressed data are unpacked: in their segments is room for comments,
    thumbnails and names of cameras, of which nothing is left then.

    Raises: Quarantined: if there are none, too few, or they are compressed in a way that cannot be read here.
    """
    syntax, big_endian = _transfer_syntax(original)
    if with_pixels:
        tags = [tag for tag in sorted(PIXELS) if tag in original]
        if not tags:
            raise Quarantined("pixel data missing")
        content = _bytes(original, tags[0])
        if syntax in _COMPRESSED:
            content = _unpacked(content, syntax, clean)
        bits = _BITS.get(tags[0]) or _whole(clean, "BitsAllocated")
        content = _swapped(content, bits) if big_endian else content
        kind = _KINDS.get(tags[0]) or ("OW" if bits > 8 else "OB")
        clean[tags[0]] = DataElement(tags[0], kind, _trimmed(content, clean, bits))
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = clean.SOPClassUID
    meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian if with_pixels else uid.ImplicitVRLittleEndian
    meta.ImplementationClassUID = uid.UID(IMPLEMENTATION)
    meta.ImplementationVersionName = "FLAME"  # not pydicom's: the same instance is the same file after an upgrade
    return meta


def _unpacked(content: bytes, syntax: uid.UID, clean: Dataset) -> bytes:
    """Compressed pixel data as plain ones; `clean` then describes these."""
    if _whole(clean, "Rows") * _whole(clean, "Columns") * _whole(clean, "NumberOfFrames", 1) > _MOST_VOXELS:
        raise Quarantined(_UNREADABLE)
    image = Dataset()
    for keyword in _DESCRIBING:
        if keyword in clean:
            image[keyword] = clean[keyword]
    image.PixelData = content
    image["PixelData"].is_undefined_length = True
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    try:
        decompress(image, generate_instance_uid=False)
    except MALFORMED:
        raise Quarantined(_UNREADABLE) from None
    for keyword in _DESCRIBING:
        if keyword in image:
            clean[keyword] = image[keyword]
    if syntax in _LOSSY:
        clean.LossyImageCompression = "01"  # the transfer syntax does not tell any longer
    return bytes(image.PixelData)


def _transfer_syntax(original: Dataset) -> tuple[uid.UID, bool]:
    """Transfer syntax, and whether pixels are big endian; explicit little endian where none is named."""
    found = getattr(original, "file_meta", None)
    named = str(found.get("TransferSyntaxUID") or "") if found is not None else ""
    syntax = uid.UID(named.strip(" \0") or uid.ExplicitVRLittleEndian)
    if syntax in _COMPRESSED or syntax in _UNCOMPRESSED:
        return syntax, syntax == uid.ExplicitVRBigEndian or original.original_encoding[1] is False
    raise Quarantined("video" if "MPEG" in syntax.name or "HEVC" in syntax.name else "unknown transfer syntax")


def _bytes(original: Dataset, tag: int) -> bytes:
    content = original.get_item(tag).value
    if not isinstance(content, bytes):
        raise Quarantined("pixel data missing")
    return content


def _whole(clean: Dataset, keyword: str, missing: int | None = None) -> int:
    value = clean.get(keyword)
    value = missing if value is None else value
    if not isinstance(value, int) or value < 1:
        raise Quarantined("pixel data without a size")
    return int(value)


def _trimmed(content: bytes, clean: Dataset, bits: int) -> bytes:
    values = _whole(clean, "Rows") * _whole(clean, "Columns") * _whole(clean, "NumberOfFrames", 1)
    size = (values * bits + 7) // 8
    if len(content) < size:
        raise Quarantined("pixel data cut short")
    return content[:size] + b"\0" * (size % 2)


def _swapped(content: bytes, bits: int) -> bytes:
    if bits <= 8:
        return content
    size = bits // 8
    return np.frombuffer(content[: len(content) // size * size], f">u{size}").astype(f"<u{size}").tobytes()
