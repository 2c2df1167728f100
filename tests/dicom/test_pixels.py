"""Pixel data: cut to size, little endian, compressed ones as they came, none where none belong."""

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from tests.dicom.instances import as_file, instance

from flame.dicom.deidentify import Quarantined, deidentify
from flame.dicom.pseudonym import Key
from flame.dicom.store import as_bytes, read_instance

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


def test_compressed_pixels_pass_as_they_came() -> None:
    one = instance("mr")
    frame = bytes(range(200))
    one.PixelData = encapsulate([frame])
    one["PixelData"].is_undefined_length = True
    one.file_meta.TransferSyntaxUID = uid.RLELossless
    clean = deidentify(one, KEY)
    assert clean.file_meta.TransferSyntaxUID == uid.RLELossless
    content = as_bytes(clean)
    assert content is not None
    assert frame in content
    assert as_bytes(deidentify(read_instance(content), KEY)) == content


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
