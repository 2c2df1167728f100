"""What may not pass at all, and why."""

import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from tests.dicom.instances import KINDS, instance

from flame.dicom.identity.quarantine import Quarantined, reason_to_refuse


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("report", "capture")])
def test_what_images_and_radiotherapy_need_passes(kind: str) -> None:
    assert reason_to_refuse(instance(kind)) is None


@pytest.mark.parametrize(
    ("sop_class", "reason"),
    [
        (uid.SecondaryCaptureImageStorage, "secondary capture"),
        (uid.MultiFrameTrueColorSecondaryCaptureImageStorage, "secondary capture"),
        (uid.EncapsulatedPDFStorage, "document"),
        (uid.BasicTextSRStorage, "structured report"),
        (uid.XRayRadiationDoseSRStorage, "structured report"),
        (uid.KeyObjectSelectionDocumentStorage, "structured report"),
        (uid.GrayscaleSoftcopyPresentationStateStorage, "presentation state"),
        (uid.VideoPhotographicImageStorage, "video"),
        (uid.UltrasoundImageStorage, "other kind of object"),
        (uid.RawDataStorage, "other kind of object"),
        (uid.VLPhotographicImageStorage, "other kind of object"),
        ("1.2.3.4", "other kind of object"),
        ("", "other kind of object"),
    ],
)
def test_other_classes_do_not(sop_class: str, reason: str) -> None:
    one = instance("mr")
    one.SOPClassUID = sop_class
    assert reason_to_refuse(one) == reason


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("BurnedInAnnotation", "YES", "burned-in annotation"),
        ("BurnedInAnnotation", "NO", None),
        ("ConversionType", "WSD", "secondary capture"),
        ("ImageType", ["DERIVED", "SECONDARY", "SCREEN SAVE"], "secondary capture"),
        ("ImageType", ["DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"], "secondary capture"),
        ("ImageType", ["DERIVED", "SECONDARY", "DOSE_INFO"], "secondary capture"),
        ("ImageType", ["DERIVED", "SECONDARY", "MPR"], None),
        ("ImageType", ["ORIGINAL", "PRIMARY", "PROTON_DENSITY", "NONE"], None),
        ("SamplesPerPixel", 3, "colour picture"),
        ("PatientID", "", "identifier missing"),
        ("PatientID", None, "identifier missing"),
        ("SOPInstanceUID", ["1.2", "1.3"], "identifier missing"),
    ],
)
def test_pictures_of_screens_and_what_nobody_can_place_do_not(keyword: str, value: object, reason: str | None) -> None:
    one = instance("mr")
    setattr(one, keyword, value)
    assert reason_to_refuse(one) == reason


def test_a_drawing_in_the_spare_bits_of_pixels_does_not_pass_and_one_of_its_own_is_no_reason() -> None:
    one = instance("mr")
    one.add_new(0x60000102, "US", 12)
    assert reason_to_refuse(one) == "overlay in pixel data"
    one.add_new(0x60003000, "OW", bytes(8))
    assert reason_to_refuse(one) is None


def test_nothing_at_all_does_not_pass_and_the_error_has_a_word_for_it() -> None:
    assert reason_to_refuse(Dataset()) == "identifier missing"
    error = Quarantined("document")
    assert (error.reason, str(error)) == ("document", "An instance was refused: document")
