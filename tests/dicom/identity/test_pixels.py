"""Pixel data: cut to size, little endian, unpacked, none where none belong."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from tests.dicom.instances import as_file, instance

from flame.dicom.arrival.store import as_bytes, read_instance
from flame.dicom.deidentify import Quarantined, deidentify
from flame.dicom.identity.pseudonym import Key

KEY = Key(bytes(range(32)))


def _reason(dataset: Dataset) -> str:
    with pytest.raises(Quarantined) as caught:
        deidentify(dataset, KEY)
    return caught.value.reason


def test_what_lies_behind_the_last_pixel_is_cut_off() -> None:
    one = instance("mr")
    before = one.PixelData
    one.PixelData = before + b"Weber^Ilse"
    assert deidentify(one, KEY).PixelData == before


def test_pixels_that_do_not_fill_the_image_are_refused() -> None:
    one = instance("mr")
    one.PixelData = one.PixelData[:-2]
    assert _reason(one) == "pixel data cut short"
    del one.PixelData
    assert _reason(one) == "pixel data missing"
    one = instance("mr")
    del one.Rows
    assert _reason(one) == "pixel data without a size"


def test_big_endian_becomes_little_endian() -> None:
    one = instance("mr", size=16)
    pixels = np.frombuffer(one.PixelData, "<u2")
    one.PixelData = pixels.astype(">u2").tobytes()
    clean = deidentify(read_instance(as_file(one, uid.ExplicitVRBigEndian)), KEY)
    assert clean.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
    assert np.array_equal(clean.pixel_array.ravel(), pixels)
    assert clean.EchoTime == 2.3
    assert clean.Rows == 16


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLSLossless])
def test_compressed_pixels_are_unpacked(syntax: uid.UID) -> None:
    one = instance("mr", size=32)
    pixels = one.pixel_array
    one.compress(syntax, generate_instance_uid=False)
    assert one.file_meta.TransferSyntaxUID == syntax
    clean = deidentify(read_instance(as_file(one, syntax)), KEY)
    assert clean.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
    assert clean.PixelData == pixels.astype("<u2").tobytes()
    content = as_bytes(clean)
    assert content is not None
    assert as_bytes(deidentify(read_instance(content), KEY)) == content


def _packed(kind: str, **words: object) -> Dataset:
    """An instance whose frame another program compressed; its pixels are a ramp of 8 bits."""
    one = instance("mr", size=64)
    ramp = (np.arange(64 * 64) // 16).reshape(64, 64).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(ramp).save(file, kind, **words)
    one.BitsAllocated, one.BitsStored, one.HighBit = 8, 8, 7
    one.PixelData = encapsulate([file.getvalue()])
    one["PixelData"].VR = "OB"
    one["PixelData"].is_undefined_length = True
    return one


@pytest.mark.parametrize(
    ("kind", "syntax", "words"),
    [
        ("JPEG", uid.JPEGBaseline8Bit, {"quality": 95, "comment": b"Weber^Ilse"}),
        ("JPEG2000", uid.JPEG2000Lossless, {"irreversible": False, "no_jp2": True, "comment": b"Weber^Ilse"}),
    ],
    ids=["jpeg", "jpeg 2000"],
)
def test_what_a_compressed_frame_says_about_itself_goes(kind: str, syntax: uid.UID, words: dict[str, object]) -> None:
    content = as_file(_packed(kind, **words), syntax)
    assert b"Weber^Ilse" in content.partition(b"\xe0\x7f\x10\x00")[2]
    clean = deidentify(read_instance(content), KEY)
    written = as_bytes(clean)
    assert written is not None
    assert b"Weber" not in written
    assert np.abs(clean.pixel_array.ravel().astype(int) - np.arange(64 * 64) // 16).max() <= 4 * (kind == "JPEG")
    assert clean.get("LossyImageCompression") == ("01" if kind == "JPEG" else None)


def test_frames_that_cannot_be_unpacked_are_refused() -> None:
    one = _packed("JPEG", quality=95)
    one.file_meta.TransferSyntaxUID = uid.JPEGLosslessSV1  # a kind of JPEG for which no decoder is here
    assert _reason(one) == "compression that cannot be read"
    one.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    one.PixelData = encapsulate([bytes(range(200))])
    assert _reason(one) == "compression that cannot be read"
    one.Rows = one.Columns = 60_000
    assert _reason(one) == "compression that cannot be read"


@pytest.mark.parametrize(
    ("syntax", "reason"), [(uid.MPEG2MPML, "video"), (uid.HEVCMP51, "video"), ("1.2.3", "unknown transfer syntax")]
)
def test_films_and_unknown_encodings_are_refused(syntax: str, reason: str) -> None:
    one = instance("mr")
    one.file_meta.TransferSyntaxUID = syntax
    assert _reason(one) == reason


def test_a_plan_has_no_pixels() -> None:
    one = instance("plan")
    one.add_new(0x7FE00010, "OW", b"Weber^Ilse")
    assert "PixelData" not in deidentify(one, KEY)
