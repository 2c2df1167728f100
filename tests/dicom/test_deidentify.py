"""De-identification: references and intervals survive, identities do not, and twice is once."""

import copy
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from tests.dicom.instances import KINDS, as_file, instance, item, own_uid

from flame.dicom.arrival.store import as_bytes, read_instance
from flame.dicom.deidentify import DEEPEST, Quarantined, deidentify
from flame.dicom.identity.pseudonym import Key
from flame.dicom.reading import silence

KEY = Key(bytes(range(32)))
PASSING = [kind for kind in KINDS if kind not in ("report", "capture")]


def _reason(dataset: Dataset) -> str:
    with pytest.raises(Quarantined) as caught:
        deidentify(dataset, KEY)
    assert caught.value.__context__ is None
    return caught.value.reason


def test_references_survive() -> None:
    mr, struct, dose, plan, registration = (
        deidentify(instance(kind), KEY) for kind in ("mr", "struct", "dose", "plan", "registration")
    )
    (frame,) = struct.ReferencedFrameOfReferenceSequence
    (study,) = frame.RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    assert series.SeriesInstanceUID == mr.SeriesInstanceUID
    assert series.ContourImageSequence[0].ReferencedSOPInstanceUID == mr.SOPInstanceUID
    contour = struct.ROIContourSequence[0].ContourSequence[0]
    assert contour.ContourImageSequence[0].ReferencedSOPInstanceUID == mr.SOPInstanceUID
    assert study.ReferencedSOPInstanceUID == mr.StudyInstanceUID == plan.StudyInstanceUID
    assert dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID
    assert plan.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID == struct.SOPInstanceUID
    assert frame.FrameOfReferenceUID == mr.FrameOfReferenceUID == dose.FrameOfReferenceUID
    assert registration.FrameOfReferenceUID == mr.FrameOfReferenceUID
    assert mr.SOPInstanceUID == KEY.uid(own_uid("4711 mr 1"))
    assert mr.file_meta.MediaStorageSOPInstanceUID == mr.SOPInstanceUID
    assert mr.SOPClassUID == uid.MRImageStorage  # what the standard registered is nobody's
    assert series.ContourImageSequence[0].ReferencedSOPClassUID == uid.MRImageStorage


def test_intervals_survive_and_dates_do_not() -> None:
    mr, plan, record = (deidentify(instance(kind), KEY) for kind in ("mr", "plan", "record"))

    def day(text: str) -> date:
        return date.fromisoformat(text)

    assert (day(plan.RTPlanDate) - day(mr.StudyDate)).days == 7
    assert (day(record.TreatmentDate) - day(mr.AcquisitionDate)).days == 13
    assert (day(mr.StudyDate) - date(2024, 3, 5)).days == KEY.days_offset("4711") < 0
    assert mr.StudyTime == "101500"
    assert mr.AcquisitionTime == "101612.5"
    other = deidentify(instance("mr", patient="4712"), KEY)
    assert (day(other.StudyDate) - day(mr.StudyDate)).days == KEY.days_offset("4712") - KEY.days_offset("4711") != 0


def test_what_radiotherapy_needs_stays() -> None:
    plan, dose, struct = (deidentify(instance(kind), KEY) for kind in ("ion plan", "dose", "struct"))
    (beam,) = plan.IonBeamSequence
    assert (beam.RadiationType, beam.RadiationMassNumber, beam.RadiationAtomicNumber) == ("ION", 12, 6)
    assert beam.TreatmentMachineName == ""
    (group,) = plan.FractionGroupSequence
    assert (group.NumberOfFractionsPlanned, group.ReferencedBeamSequence[0].BeamDose) == (30, 2.0)
    (goal,) = plan.DoseReferenceSequence
    assert (goal.TargetPrescriptionDose, goal.DoseReferenceDescription) == (60.0, "PTV")
    assert (dose.DoseUnits, dose.DoseType, dose.DoseSummationType) == ("GY", "PHYSICAL", "PLAN")
    assert (dose.DoseGridScaling, list(dose.GridFrameOffsetVector)) == (1e-3, [0.0, 2.5, 5.0])
    assert np.array_equal(dose.pixel_array, np.arange(192).reshape(3, 8, 8))
    assert struct.ROIContourSequence[0].ContourSequence[0].ContourData[:3] == [-90.0, -110.0, 3.0]
    names = [roi.ROIName for roi in struct.StructureSetROISequence]
    assert names == ["GTV", "OpticNrv_L", "structure 1", "structure 2", "GTV 2"]


def test_what_recognition_needs_stays() -> None:
    mr = deidentify(instance("mr"), KEY)
    assert (mr.SeriesDescription, mr.ProtocolName, mr.SequenceName) == ("t1 mprage sag", "t1 mprage", "*tfl3d1_16ns")
    assert (mr.EchoTime, mr.RepetitionTime, mr.InversionTime, mr.FlipAngle) == (2.3, 2300.0, 900.0, 8.0)
    assert list(mr.ScanningSequence) == ["GR", "IR"]
    assert list(mr.ImageType) == ["ORIGINAL", "PRIMARY", "M", "ND"]
    assert (mr.Manufacturer, mr.ManufacturerModelName, mr.ContrastBolusAgent) == (
        "SIEMENS",
        "MAGNETOM Skyra",
        "contrast",
    )
    assert mr.PixelData == instance("mr").PixelData


@pytest.mark.parametrize(
    ("age", "birth", "kept"),
    [
        ("064Y", "19600301", "064Y"),
        ("093Y", "", "090Y"),
        ("", "19600301", "064Y"),
        ("", "19600306", "063Y"),
        ("", "19200101", "090Y"),
        ("007M", "", "007M"),
        ("Weber", "", None),
        ("", "1960", None),
    ],
)
def test_age_stays_up_to_89_and_the_date_of_birth_goes(age: str, birth: str, kept: str | None) -> None:
    one = instance("mr")
    one[0x00101010] = DataElement(0x00101010, "AS", age, validation_mode=0)
    one[0x00100030] = DataElement(0x00100030, "DA", birth, validation_mode=0)
    clean = deidentify(one, KEY)
    assert (clean.get("PatientAge") or None) == kept
    assert clean.PatientBirthDate == ""
    assert clean.PatientSex == "F"


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
def test_twice_is_once_and_the_encoding_does_not_matter(kind: str, syntax: str) -> None:
    in_memory = as_bytes(deidentify(instance(kind), KEY))
    from_file = as_bytes(deidentify(read_instance(as_file(instance(kind), syntax)), KEY))
    assert in_memory is not None
    assert from_file == in_memory
    assert as_bytes(deidentify(read_instance(in_memory), KEY)) == in_memory
    assert b"Weber" not in in_memory
    assert b"TB_KELLER" not in in_memory


TEXTS = st.text(st.characters(codec="latin-1", exclude_characters="\\\0\r\n"), max_size=16)


@settings(deadline=None, max_examples=40)
@given(
    kind=st.sampled_from(PASSING),
    texts=st.lists(TEXTS, min_size=8, max_size=8),
    days=st.lists(st.dates(date(1800, 1, 1), date(2200, 1, 1)), min_size=3, max_size=3),
    uids=st.lists(st.from_regex(r"[0-2](\.[1-9][0-9]{0,8}){2,5}", fullmatch=True), min_size=3, max_size=3),
    patient=TEXTS.filter(lambda text: text.strip(" ")),
)
def test_twice_is_once_whatever_is_in_it(
    kind: str, texts: list[str], days: list[date], uids: list[str], patient: str
) -> None:
    one = instance(kind)
    one.SpecificCharacterSet = "ISO_IR 100"
    one.PatientID, one.StudyDescription, one.ManufacturerModelName, one.SequenceName, *_ = patient, *texts
    one.StudyDate, one.ContentDate, one.PatientBirthDate = (f"{day:%Y%m%d}".zfill(8) for day in days)
    one.FrameOfReferenceUID, one.SynchronizationFrameOfReferenceUID, one.SeriesInstanceUID = uids
    inner = item(ReferencedSOPInstanceUID=uids[0], SeriesDescription=texts[4], Manufacturer=texts[5])
    inner.PurposeOfReferenceCodeSequence = Sequence(
        [item(CodeValue=texts[6], CodingSchemeDesignator="DCM", CodeMeaning=texts[7])]
    )
    one.ReferencedImageSequence = Sequence([inner])
    once = deidentify(one, KEY)
    content = as_bytes(once)
    assert content is not None
    assert as_bytes(deidentify(once, KEY)) == content
    assert as_bytes(deidentify(read_instance(content), KEY)) == content


def test_what_is_added_to_an_instance_of_ours_goes_and_another_key_starts_anew() -> None:
    ours = deidentify(instance("mr"), KEY)
    touched = copy.deepcopy(ours)
    touched.OperatorsName, touched.StudyDescription, touched.RelatedFrameOfReferenceUID = (
        "Keller",
        "brain Keller",
        "1.2.3",
    )
    again = deidentify(touched, KEY)
    assert "OperatorsName" not in again
    assert again.StudyDescription == "brain"
    assert again.RelatedFrameOfReferenceUID == KEY.uid("1.2.3")
    assert again.StudyDate == ours.StudyDate
    touched.PatientID = "4711"  # the mark no longer fits: it is taken as a hospital's own
    assert deidentify(touched, KEY).SOPInstanceUID != ours.SOPInstanceUID
    theirs = deidentify(ours, Key(bytes(32)))
    assert theirs.SOPInstanceUID != ours.SOPInstanceUID
    assert theirs.StudyDate != ours.StudyDate


def test_the_original_is_left_as_it_was() -> None:
    for kind in PASSING:
        one = instance(kind)
        before = as_file(instance(kind))
        deidentify(one, KEY)
        assert as_file(one) == before


@pytest.mark.parametrize(
    ("keyword", "value", "kept"),
    [
        ("BodyPartExamined", "BRAIN", "BRAIN"),
        ("BodyPartExamined", "MARTIN", None),
        ("SeriesNumber", 501, 501),
        ("SeriesNumber", 19530417, None),
        ("SeriesDate", "March", None),
        ("SeriesTime", "10:15:00", "101500"),
        ("SeriesTime", "Weber", None),
        ("Rows", "Weber", None),
        ("StackID", "7", "7"),
        ("ContrastBolusAgent", "none", ""),
    ],
)
def test_a_value_stays_if_it_is_what_its_element_is_for(keyword: str, value: object, kept: object) -> None:
    one = instance("plan")
    tag = tag_for_keyword(keyword) or 0
    one[tag] = DataElement(tag, dictionary_VR(tag), value, validation_mode=0)
    assert deidentify(one, KEY).get(keyword) == kept


def test_codes_stay_if_a_dictionary_has_them_with_the_meaning_of_the_dictionary() -> None:
    segmentation = instance("segmentation")
    (segment,) = segmentation.SegmentSequence
    (code,) = deidentify(segmentation, KEY).SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("4147007", "SCT", "Mass")
    segment.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator = "99WEBER"
    (code,) = deidentify(segmentation, KEY).SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("unknown", "99FLAME", "unknown")


def test_contours_of_any_length_pass_as_bytes_and_text_among_them_does_not() -> None:
    struct = instance("struct")
    contour = struct.ROIContourSequence[0].ContourSequence[0]
    contour.ContourData = [round(number * 0.1, 1) for number in range(30_000)]
    content = as_bytes(deidentify(read_instance(as_file(struct, uid.ImplicitVRLittleEndian)), KEY))
    assert content is not None
    kept = read_instance(content).ROIContourSequence[0].ContourSequence[0].ContourData
    assert len(kept) == 30_000
    assert kept[29_999] == 2999.9
    with silence():  # pydicom warns that there is no room in explicit VR, and writes UN
        explicit = as_file(struct)
    assert deidentify(read_instance(explicit), KEY).ROIContourSequence[0].ContourSequence[0].ContourData == kept
    broken = as_file(instance("struct")).replace(b"-90.0\\-110.0", b"Weber\\-110.0")
    assert "ContourData" not in deidentify(read_instance(broken), KEY).ROIContourSequence[0].ContourSequence[0]


def test_nesting_without_end_is_refused() -> None:
    one = instance("mr")
    deepest = item(ReferencedSOPInstanceUID="1.2")
    for _ in range(DEEPEST + 1):
        deepest = item(ReferencedImageSequence=Sequence([deepest]))
    one.ReferencedImageSequence = Sequence([deepest])
    assert _reason(one) == "nested too deep"
