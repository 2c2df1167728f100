"""What happens to each element, against PS3.15's own table and the sentences of the standard."""

import pytest
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from pydicom.datadict import DicomDictionary, tag_for_keyword

from flame.dicom.identity.rules import rule

TEXT = {"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UN", "UR", "UT", "OB", "OW"}
RULES_OF_TEXT = {
    "PatientID": "patient",
    "PatientName": "patient",
    "SeriesDescription": "descriptor",
    "StudyDescription": "descriptor",
    "ProtocolName": "descriptor",
    "PulseSequenceName": "descriptor",
    "BeamName": "descriptor",
    "ROIName": "structure",
    "SegmentLabel": "structure",
    "DoseReferenceDescription": "structure",
    "RTPlanLabel": "label",
    "StructureSetLabel": "label",
    "SegmentAlgorithmName": "label",
    "CodeValue": "code",
    "CodingSchemeDesignator": "code",
    "CodeMeaning": "code",
    "LongCodeValue": "code",
    "URNCodeValue": "code",
    "Manufacturer": "maker",
    "ManufacturerModelName": "model",
    "SequenceName": "sequence name",
    "ContrastBolusAgent": "contrast",
    "StackID": "stack",
}


def test_text_stays_only_where_it_is_named() -> None:
    kept = {
        keyword: rule(tag)
        for tag, (vr, _, _, _, keyword) in DicomDictionary.items()
        if vr in TEXT and rule(tag) not in ("remove", "empty")
    }
    assert kept == RULES_OF_TEXT


def test_what_the_profile_takes_away_goes_apart_from_the_options_that_are_used() -> None:
    kept = {tag: rule((tag[0] << 16) + tag[1]) for tag in table.ALL_TAGS if len(tag) == 2}
    assert len(kept) > 600
    others = {
        tag: one
        for tag, one in kept.items()
        if one
        not in ("remove", "empty", "uid", "date", "time", "datetime", "patient", "descriptor", "structure", "label")
    }
    assert set(others) == {(tag_for_keyword(word) >> 16, tag_for_keyword(word) & 0xFFFF) for word in (
        "PatientAge", "PatientSex", "ContrastBolusAgent", "ReferencedImageSequence", "SourceImageSequence"
    )}  # fmt: skip


def test_every_uid_that_the_profile_maps_and_a_kept_group_holds_is_mapped() -> None:
    mapped = {tag for tag in table.U_TAGS if rule((tag[0] << 16) + tag[1]) == "uid"}
    assert {(0x0008, 0x0018), (0x0020, 0x000D), (0x0020, 0x0052), (0x3006, 0x0024), (0x0008, 0x1155)} <= mapped
    assert {rule((tag[0] << 16) + tag[1]) for tag in table.U_TAGS} == {"uid", "remove"}


@pytest.mark.parametrize(
    "tag", [0x00091001, 0x60003000, 0x60020010, 0x50003000, 0xFFFCFFFC, 0x00020100, 0x7FE00020, 0x12345678]
)
def test_private_unknown_overlay_and_curve_elements_go(tag: int) -> None:
    assert rule(tag) == "remove"


@pytest.mark.parametrize(
    "keyword",
    [
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "RescaleSlope",
        "EchoTime",
        "GridFrameOffsetVector",
        "DoseGridScaling",
        "ContourData",
        "TargetPrescriptionDose",
        "BeamDose",
        "FrameOfReferenceTransformationMatrix",
        "DimensionIndexValues",
        "Rows",
        "MagneticFieldStrength",
        "DiffusionBValue",
        "RealWorldValueSlope",
    ],
)
def test_numbers_that_images_and_doses_need_stay(keyword: str) -> None:
    assert rule(tag_for_keyword(keyword) or 0) == "number"


@pytest.mark.parametrize(
    ("keyword", "what"),
    [
        ("RadiationAtomicNumber", "count"),
        ("NumberOfFractionsPlanned", "count"),
        ("CurrentFractionNumber", "count"),
        ("RadiationType", "term"),
        ("DoseType", "term"),
        ("TreatmentDate", "date"),
        ("RTPlanDate", "date"),
        ("PatientBirthDate", "empty"),
        ("PatientWeight", "remove"),
        ("OperatorsName", "remove"),
        ("ReferringPhysicianName", "empty"),
        ("DeviceSerialNumber", "remove"),
        ("RequestAttributesSequence", "remove"),
        ("ContentSequence", "remove"),
        ("SharedFunctionalGroupsSequence", "sequence"),
        ("StructureSetROISequence", "sequence"),
        ("PixelData", "pixels"),
    ],
)
def test_single_rules(keyword: str, what: str) -> None:
    assert rule(tag_for_keyword(keyword) or 0) == what
