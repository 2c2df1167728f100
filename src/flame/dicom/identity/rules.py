"""What happens to each DICOM element: PS3.15's basic profile first, then a list of what may stay.

An element stays only if the profile's table (PS3.15 table E.1-1, edition 2026c, as dicom-anonymizer ships it) does not
take it away, and its group is one that images and radiotherapy need, and its kind of value can be checked. Text stays
only where it is named here. Options of the profile that are used: Clean Descriptors, Retain Longitudinal Temporal
Information with Modified Dates, and of the Patient Characteristics sex and age.
"""

from functools import lru_cache
from typing import Literal

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from pydicom.datadict import dictionary_keyword, dictionary_VM, dictionary_VR, tag_for_keyword

__all__ = ["PIXELS", "Rule", "rule", "values_of"]

Rule = Literal[
    "remove",
    "empty",
    "uid",
    "date",
    "time",
    "datetime",
    "age",
    "number",
    "count",
    "term",
    "sequence",
    "pixels",
    "patient",
    "descriptor",
    "structure",
    "maker",
    "model",
    "sequence name",
    "contrast",
    "label",
    "stack",
    "code",
]
"""What is done; the text rules (from `patient` on) are those of `values.py`."""

PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
"""Float, double and integer pixel data."""

_GROUPS = frozenset(
    (0x0008, 0x0018, 0x0020, 0x0028, 0x0062, 0x0070, 0x3004, 0x3006, 0x3008, 0x300A, 0x300C, 0x300E, 0x5200)
)
_BY_KIND: dict[str, Rule] = {
    **dict.fromkeys(("DS", "FL", "FD", "US", "SS", "UL", "SL", "UV", "SV", "AT", "US or SS"), "number"),
    "IS": "count",
    "UI": "uid",
    "CS": "term",
    "SQ": "sequence",
}
_DATES = """
    StudyDate SeriesDate AcquisitionDate ContentDate InstanceCreationDate StructureSetDate RTPlanDate TreatmentDate
    FirstTreatmentDate MostRecentTreatmentDate TreatmentControlPointDate
"""
_TIMES = """
    StudyTime SeriesTime AcquisitionTime ContentTime InstanceCreationTime StructureSetTime RTPlanTime TreatmentTime
    TreatmentControlPointTime
"""
_NAMED: dict[str, Rule] = {
    **dict.fromkeys(_DATES.split(), "date"),
    **dict.fromkeys(_TIMES.split(), "time"),
    **dict.fromkeys(("AcquisitionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime"), "datetime"),
    **dict.fromkeys(("PatientID", "PatientName"), "patient"),
    **dict.fromkeys(
        ("StudyDescription", "SeriesDescription", "ProtocolName", "BeamName", "PulseSequenceName"), "descriptor"
    ),
    **dict.fromkeys(("ROIName", "SegmentLabel", "DoseReferenceDescription"), "structure"),
    **dict.fromkeys(("RTPlanLabel", "StructureSetLabel", "SegmentAlgorithmName"), "label"),
    **dict.fromkeys(("CodeValue", "CodingSchemeDesignator", "CodeMeaning", "LongCodeValue", "URNCodeValue"), "code"),
    **dict.fromkeys(("ReferencedImageSequence", "SourceImageSequence"), "sequence"),
    **dict.fromkeys(("PositionReferenceIndicator", "TreatmentMachineName"), "empty"),
    "PatientAge": "age",
    "PatientSex": "term",
    "PatientBirthDate": "empty",
    "Manufacturer": "maker",
    "ManufacturerModelName": "model",
    "SequenceName": "sequence name",
    "ContrastBolusAgent": "contrast",
    "StackID": "stack",
    # real world values (PS3.3 C.7.6.16.2.11): group 0040 is otherwise about people, orders and rooms
    **dict.fromkeys(
        ("RealWorldValueMappingSequence", "MeasurementUnitsCodeSequence", "PurposeOfReferenceCodeSequence"), "sequence"
    ),
    **dict.fromkeys(
        (
            "RealWorldValueIntercept",
            "RealWorldValueSlope",
            "RealWorldValueFirstValueMapped",
            "RealWorldValueLastValueMapped",
        ),
        "number",
    ),
    # what only makers of scanners and hospitals need; nothing later reads it
    **dict.fromkeys(
        (
            "ProcedureCodeSequence",
            "ContributingEquipmentSequence",
            "SegmentationAlgorithmIdentificationSequence",
            "ReferencedStudySequence",
            "ReferencedPerformedProcedureStepSequence",
            "IssuerOfPatientID",
            "PaletteColorLookupTableUID",
            "SmallestImagePixelValue",
            "LargestImagePixelValue",
            "BeamLimitingDeviceToleranceSequence",
        ),
        "remove",
    ),
}
_NAMED_TAGS = {tag_for_keyword(keyword): rule_ for keyword, rule_ in _NAMED.items()}


def _tags(*lists: list[tuple[int, ...]]) -> frozenset[int]:
    return frozenset((one[0] << 16) + one[1] for tags in lists for one in tags if len(one) == 2)


_EMPTIED = _tags(table.Z_TAGS, table.Z_D_TAGS)
_MAPPED = _tags(table.U_TAGS)
_REMOVED = _tags(table.ALL_TAGS) - _EMPTIED - _MAPPED


@lru_cache(maxsize=8192)
def rule(tag: int) -> Rule:
    """What happens to the element `tag` (group * 65536 + element), at any level of nesting. Unknown means `remove`.

    Overlays, curves and private elements are in no group that stays.
    """
    if tag in PIXELS:
        return "pixels"
    if tag in _NAMED_TAGS:
        return _NAMED_TAGS[tag]
    if tag in _REMOVED:
        return "remove"
    if tag in _EMPTIED:
        return "empty"
    kind = _kind(tag)
    if kind == "UI" and tag in _MAPPED and tag >> 16 in _GROUPS:
        return "uid"
    return _BY_KIND.get(kind, "remove") if tag >> 16 in _GROUPS else "remove"


@lru_cache(maxsize=8192)
def values_of(tag: int) -> int | None:
    """How many values PS3.6 gives a known element; None if that is not one number."""
    many = dictionary_VM(tag)
    return int(many) if many.isdigit() else None


def _kind(tag: int) -> str:
    """The value representation that PS3.6 gives an element; empty for those that it does not know."""
    try:
        return dictionary_VR(tag) if dictionary_keyword(tag) else ""
    except KeyError:
        return ""
