"""What may not pass, whatever is taken out of it: pictures with text in them, documents, and what is no image."""

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from flame.errors import DataError

__all__ = ["IMAGES", "Quarantined", "reason_to_refuse", "text_of"]

IMAGES = frozenset(
    (uid.MRImageStorage, uid.EnhancedMRImageStorage, uid.CTImageStorage, uid.RTDoseStorage, uid.SegmentationStorage)
)
"""Classes whose pixel data pass."""

_PASSING = IMAGES | {
    uid.RTStructureSetStorage,
    uid.RTPlanStorage,
    uid.RTIonPlanStorage,
    uid.RTBeamsTreatmentRecordStorage,
    uid.RTIonBeamsTreatmentRecordStorage,
    uid.RTTreatmentSummaryRecordStorage,
    uid.SpatialRegistrationStorage,
}
_KINDS = (
    ("Secondary Capture", "secondary capture"),
    ("Encapsulated", "document"),
    ("SR Storage", "structured report"),
    ("Report", "structured report"),
    ("Key Object", "structured report"),
    ("Presentation State", "presentation state"),
    ("Video", "video"),
    ("Ultrasound", "other kind of object"),
)
_CAPTURED = ("SCREEN", "CAPTURE", " PROT", "REPORT", "DOSE_INFO")
"""Parts of image types of pictures of pages, as the patient protocol of a CT (`CT_SOM5 PROT`), which bears a name."""
_IDENTIFIERS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID")


class Quarantined(DataError):
    """An instance that may not be kept. `reason` is one of a few fixed phrases and tells nothing of the instance."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"An instance was refused: {reason}",
            "It was left out. See `What may not pass` in docs/hospital.md.",
        )
        self.reason = reason


def reason_to_refuse(dataset: Dataset) -> str | None:
    """Why an instance may not pass, in a fixed phrase; None if it may.

    Text that somebody burned into the pixels of an ordinary MR or CT image, and did not declare, cannot be found
    reliably and is not looked for: those images leave this house only as skull-stripped grids, without their corners.
    """
    if not all(_is_single(text_of(dataset, keyword)) for keyword in _IDENTIFIERS):
        return "identifier missing"
    sop_class = text_of(dataset, "SOPClassUID")
    if sop_class not in _PASSING:
        name = uid.UID(sop_class).name
        return next((kind for part, kind in _KINDS if part in name), "other kind of object")
    if text_of(dataset, "BurnedInAnnotation") not in ("", "NO"):
        return "burned-in annotation"
    image_type = text_of(dataset, "ImageType")
    if "ConversionType" in dataset or any(word in image_type for word in _CAPTURED):
        return "secondary capture"
    if sop_class in IMAGES and text_of(dataset, "SamplesPerPixel") not in ("", "1"):
        return "colour picture"
    if any(0x6000 <= tag >> 16 <= 0x60FF and tag & 0xFFFF == 0x0102 for tag in dataset.keys()):  # noqa: SIM118
        return _overlay(dataset)
    return None


def _is_single(identifier: str) -> bool:
    return bool(identifier) and "\\" not in identifier


def _overlay(dataset: Dataset) -> str | None:
    """Old scanners hide drawings in spare bits of the pixels; they have a position but no data of their own."""
    groups = {tag >> 16 for tag in dataset.keys() if 0x6000 <= tag >> 16 <= 0x60FF}  # noqa: SIM118
    return "overlay in pixel data" if any((group, 0x3000) not in dataset for group in groups) else None


def text_of(dataset: Dataset, keyword: str) -> str:
    """A value as text without blanks around it, several joined by a backslash; empty if there is none."""
    value = dataset.get(keyword)
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, MultiValue | list) else str(value).strip(" \0")
