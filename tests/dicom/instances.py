"""What a radiotherapy department holds of one patient, one instance of each kind; who is in it is made up."""

from io import BytesIO

import numpy as np
from pydicom import dcmwrite, uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

__all__ = ["KINDS", "as_file", "instance", "own_uid"]

KINDS = (
    "mr",
    "ct",
    "struct",
    "dose",
    "plan",
    "ion plan",
    "record",
    "registration",
    "segmentation",
    "report",
    "capture",
)
"""What `instance` can make, the last two of which may not pass."""

_CLASSES = {
    "mr": uid.MRImageStorage,
    "ct": uid.CTImageStorage,
    "struct": uid.RTStructureSetStorage,
    "dose": uid.RTDoseStorage,
    "plan": uid.RTPlanStorage,
    "ion plan": uid.RTIonPlanStorage,
    "record": uid.RTBeamsTreatmentRecordStorage,
    "registration": uid.SpatialRegistrationStorage,
    "segmentation": uid.SegmentationStorage,
    "report": uid.ComprehensiveSRStorage,
    "capture": uid.SecondaryCaptureImageStorage,
}
_MODALITIES = dict(
    zip(KINDS, ("MR", "CT", "RTSTRUCT", "RTDOSE", "RTPLAN", "RTPLAN", "RTRECORD", "REG", "SEG", "SR", "OT"))
)


def own_uid(what: str) -> str:
    """The hospital's UID of something, the same for the same name."""
    return generate_uid(prefix="1.3.12.2.1107.5.2.", entropy_srcs=[what])


def instance(kind: str, number: int = 1, size: int = 8, patient: str = "4711") -> Dataset:
    """One instance; equal arguments give equal ones. All of one patient refer to each other.

    Its MR have an unsigned 12 bit ramp as pixels, `size` by `size`; doses have three planes of it.
    """
    one = Dataset()
    one.SOPClassUID = _CLASSES[kind]
    one.SOPInstanceUID = own_uid(f"{patient} {kind} {number}")
    one.StudyInstanceUID = own_uid(f"{patient} study")
    one.SeriesInstanceUID = own_uid(f"{patient} series {kind}")
    one.PatientName, one.PatientID, one.PatientBirthDate, one.PatientSex = "Weber^Ilse", patient, "19600301", "F"
    one.StudyDate, one.StudyTime, one.SeriesDate = "20240305", "101500", "20240305"
    one.AccessionNumber, one.StudyID, one.ReferringPhysicianName = "", "", ""
    one.Modality, one.Manufacturer, one.SeriesNumber, one.InstanceNumber = _MODALITIES[kind], "SIEMENS", 3, number
    _FILLED[kind](one, patient, size)
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    return one


def as_file(dataset: Dataset, syntax: str = uid.ExplicitVRLittleEndian) -> bytes:
    """The bytes of an instance's file, in the transfer syntax that is asked for (one without compression)."""
    file = BytesIO()
    dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def item(**values: object) -> Dataset:
    """An item of a sequence."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def _image(one: Dataset, patient: str, size: int, frames: int = 1) -> None:
    one.FrameOfReferenceUID = own_uid(f"{patient} frame")
    one.ImageOrientationPatient, one.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-100.0, -120.0, 3.0]
    one.PixelSpacing, one.SliceThickness = [0.9, 0.9], 3.0
    one.Rows = one.Columns = size
    one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 0
    one.BitsAllocated, one.BitsStored, one.HighBit = 16, 12, 11
    one.PixelData = (np.arange(size * size * frames, dtype="<u2") % 4096).tobytes()


def _mr(one: Dataset, patient: str, size: int) -> None:
    _image(one, patient, size)
    one.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    one.AcquisitionDate, one.AcquisitionTime, one.ContentDate = "20240305", "101612.5", "20240305"
    one.SeriesDescription, one.ProtocolName, one.SequenceName = "t1_mprage_sag Weber", "T1 MPRAGE", "*tfl3d1_16ns"
    one.ScanningSequence, one.SequenceVariant, one.MRAcquisitionType = ["GR", "IR"], ["SP", "MP"], "3D"
    one.EchoTime, one.RepetitionTime, one.InversionTime, one.FlipAngle = 2.3, 2300.0, 900.0, 8.0
    one.ManufacturerModelName, one.MagneticFieldStrength = "MAGNETOM Skyra", 3.0
    one.ContrastBolusAgent, one.PatientPosition = "Dotarem 15 ml", "HFS"
    one.add_new(0x00280120, "US", 0)


def _ct(one: Dataset, patient: str, size: int) -> None:
    _image(one, patient, size)
    one.ImageType, one.KVP, one.RescaleIntercept, one.RescaleSlope = ["ORIGINAL", "PRIMARY", "AXIAL"], 120, -1024, 1
    one.SeriesDescription, one.PatientPosition = "RT planning head", "HFS"


def _reference(sop_class: str, what: str) -> Dataset:
    return item(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=own_uid(what))


def _struct(one: Dataset, patient: str, size: int) -> None:  # noqa: ARG001
    one.StructureSetLabel, one.StructureSetDate, one.StructureSetTime = "RS Weber", "20240310", "120000"
    image = _reference(uid.MRImageStorage, f"{patient} mr 1")
    series = item(SeriesInstanceUID=own_uid(f"{patient} series mr"), ContourImageSequence=Sequence([image]))
    study = _reference("1.2.840.10008.3.1.2.3.1", f"{patient} study")
    study.RTReferencedSeriesSequence = Sequence([series])
    frame = own_uid(f"{patient} frame")
    one.ReferencedFrameOfReferenceSequence = Sequence(
        [item(FrameOfReferenceUID=frame, RTReferencedStudySequence=Sequence([study]))]
    )
    names = ("GTV_60 Weber", "Nerf optique G", "z Ilse", "PTV-GTV", "gtv mr")
    one.StructureSetROISequence = Sequence(
        item(ROINumber=n, ReferencedFrameOfReferenceUID=frame, ROIName=name, ROIGenerationAlgorithm="MANUAL")
        for n, name in enumerate(names, 1)
    )
    contour = item(
        ContourImageSequence=Sequence([_reference(uid.MRImageStorage, f"{patient} mr 1")]),
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=3,
        ContourData=[-90.0, -110.0, 3.0, -80.0, -110.0, 3.0, -85.0, -100.5, 3.0],
    )
    one.ROIContourSequence = Sequence(
        [item(ReferencedROINumber=1, ROIDisplayColor=[255, 0, 0], ContourSequence=Sequence([contour]))]
    )
    one.RTROIObservationsSequence = Sequence(
        [item(ObservationNumber=1, ReferencedROINumber=1, RTROIInterpretedType="GTV", ROIInterpreter="Weber")]
    )
    one.ApprovalStatus = "UNAPPROVED"


def _dose(one: Dataset, patient: str, size: int) -> None:
    _image(one, patient, size, frames=3)
    one.NumberOfFrames, one.FrameIncrementPointer, one.GridFrameOffsetVector = 3, 0x3004000C, [0.0, 2.5, 5.0]
    one.DoseUnits, one.DoseType, one.DoseSummationType, one.DoseGridScaling = "GY", "PHYSICAL", "PLAN", 1e-3
    one.ReferencedRTPlanSequence = Sequence([_reference(uid.RTPlanStorage, f"{patient} plan 1")])


def _plan(one: Dataset, patient: str, size: int, ions: bool = False) -> None:  # noqa: ARG001
    one.RTPlanLabel, one.RTPlanName, one.RTPlanDate, one.RTPlanTime = "Weber1", "Ilse", "20240312", "080000"
    one.RTPlanGeometry, one.PlanIntent, one.FrameOfReferenceUID = "PATIENT", "CURATIVE", own_uid(f"{patient} frame")
    one.ReferencedStructureSetSequence = Sequence([_reference(uid.RTStructureSetStorage, f"{patient} struct 1")])
    one.DoseReferenceSequence = Sequence(
        [
            item(
                DoseReferenceNumber=1,
                DoseReferenceUID=own_uid(f"{patient} goal"),
                DoseReferenceStructureType="SITE",
                DoseReferenceDescription="PTV 60 Weber",
                DoseReferenceType="TARGET",
                TargetPrescriptionDose=60.0,
            )
        ]
    )
    beam = item(ReferencedBeamNumber=1, BeamDose=2.0, BeamMeterset=112.5)
    one.FractionGroupSequence = Sequence(
        [
            item(
                FractionGroupNumber=1,
                NumberOfFractionsPlanned=30,
                NumberOfBeams=1,
                ReferencedBeamSequence=Sequence([beam]),
            )
        ]
    )
    made = item(BeamNumber=1, BeamName="Weber links", TreatmentMachineName="TB_KELLER_2", RadiationType="PHOTON")
    made.BeamType, made.TreatmentDeliveryType, made.Manufacturer = "STATIC", "TREATMENT", "Varian Medical Systems"
    if ions:
        made.RadiationType, made.RadiationMassNumber, made.RadiationAtomicNumber = "ION", 12, 6
        made.RadiationChargeState, made.ScanMode = 6, "MODULATED"
        one.IonBeamSequence = Sequence([made])
    else:
        one.BeamSequence = Sequence([made])


def _record(one: Dataset, patient: str, size: int) -> None:  # noqa: ARG001
    one.TreatmentDate, one.TreatmentTime, one.OperatorsName = "20240318", "090000", "Keller^Uwe"
    one.ReferencedRTPlanSequence = Sequence([_reference(uid.RTPlanStorage, f"{patient} plan 1")])
    one.TreatmentSessionBeamSequence = Sequence(
        [
            item(
                ReferencedBeamNumber=1,
                CurrentFractionNumber=1,
                TreatmentTerminationStatus="NORMAL",
                RadiationType="PHOTON",
            )
        ]
    )
    one.PrimaryDosimeterUnit = "MU"


def _registration(one: Dataset, patient: str, size: int) -> None:  # noqa: ARG001
    one.FrameOfReferenceUID, one.ContentDate, one.ContentTime = own_uid(f"{patient} frame"), "20240311", "101010"
    one.ContentLabel, one.ContentCreatorName = "WEBER", "Keller^Uwe"
    matrix = item(
        FrameOfReferenceTransformationMatrix=np.eye(4).ravel().tolist(),
        FrameOfReferenceTransformationMatrixType="RIGID",
    )
    one.RegistrationSequence = Sequence(
        [
            item(
                FrameOfReferenceUID=own_uid(f"{patient} other frame"),
                MatrixRegistrationSequence=Sequence([item(MatrixSequence=Sequence([matrix]))]),
            )
        ]
    )


def _segmentation(one: Dataset, patient: str, size: int) -> None:
    _image(one, patient, size)
    one.BitsAllocated, one.BitsStored, one.HighBit, one.SegmentationType = 1, 1, 0, "BINARY"
    one.PixelData = np.packbits(np.arange(size * size) % 2).tobytes()
    one.NumberOfFrames = 1
    tumour = item(CodeValue="4147007", CodingSchemeDesignator="SCT", CodeMeaning="Mass of Weber")
    one.SegmentSequence = Sequence(
        [
            item(
                SegmentNumber=1,
                SegmentLabel="Tumor Weber",
                SegmentAlgorithmType="MANUAL",
                SegmentedPropertyTypeCodeSequence=Sequence([tumour]),
            )
        ]
    )


def _report(one: Dataset, patient: str, size: int) -> None:  # noqa: ARG001
    one.ContentSequence = Sequence([item(ValueType="TEXT", TextValue="Frau Weber geht es gut")])


def _capture(one: Dataset, patient: str, size: int) -> None:
    _image(one, patient, size)
    one.ConversionType, one.BurnedInAnnotation = "WSD", "YES"


_FILLED = {
    "mr": _mr,
    "ct": _ct,
    "struct": _struct,
    "dose": _dose,
    "plan": _plan,
    "ion plan": lambda one, patient, size: _plan(one, patient, size, ions=True),
    "record": _record,
    "registration": _registration,
    "segmentation": _segmentation,
    "report": _report,
    "capture": _capture,
}
