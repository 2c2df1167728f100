"""A radiotherapy department in miniature: synthetic RT objects with made-up identities, built in memory."""

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import (
    ExplicitVRLittleEndian,
    RTBeamsTreatmentRecordStorage,
    RTDoseStorage,
    RTIonBeamsTreatmentRecordStorage,
    RTIonPlanStorage,
    RTPlanStorage,
    RTStructureSetStorage,
    SpatialRegistrationStorage,
)

FRAME = "2.25.100"
OTHER_FRAME = "2.25.200"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def rotation(*degrees):
    """Rotation matrix about x, then y, then z."""
    x, y, z = np.deg2rad(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def item(**values):
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def rt_object(kind, modality, uid, **values):
    dataset = item(
        SOPClassUID=kind, SOPInstanceUID=uid, Modality=modality, PatientName="Made^Up", PatientID="0", **values
    )
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = kind
    dataset.file_meta.MediaStorageSOPInstanceUID = uid
    return dataset


def rounded(numbers, digits=6):
    """Numbers as decimal strings of at most 16 letters, as DICOM has them."""
    return [f"{number:.{digits}f}"[:16] for number in np.ravel(numbers)]


def rtdose(
    stored,
    *,
    scaling=0.001,
    position=(0.0, 0.0, 0.0),
    orientation=AXIAL,
    spacing=(2.0, 2.0),
    offsets=None,
    summation="PLAN",
    kind="PHYSICAL",
    units="GY",
    plans=("2.25.1",),
    beams=(),
    group=None,
    frame=FRAME,
):
    """RTDOSE of stored whole numbers (frame, row, column)."""
    stored = np.asarray(stored)
    offsets = 3.0 * np.arange(len(stored)) if offsets is None else offsets
    references = []
    for plan in plans:
        reference = item(ReferencedSOPClassUID=RTPlanStorage, ReferencedSOPInstanceUID=plan)
        if beams or group is not None:
            fractions = item(ReferencedFractionGroupNumber=1 if group is None else group)
            if beams:
                fractions.ReferencedBeamSequence = [item(ReferencedBeamNumber=number) for number in beams]
            reference.ReferencedFractionGroupSequence = [fractions]
        references.append(reference)
    dataset = rt_object(
        RTDoseStorage,
        "RTDOSE",
        "2.25.50",
        FrameOfReferenceUID=frame,
        DoseUnits=units,
        DoseType=kind,
        DoseSummationType=summation,
        DoseGridScaling=scaling,
        ReferencedRTPlanSequence=references,
        ImagePositionPatient=rounded(position),
        ImageOrientationPatient=rounded(orientation, 10),
        PixelSpacing=list(spacing),
        GridFrameOffsetVector=rounded(offsets),
        FrameIncrementPointer=0x3004000C,
        NumberOfFrames=len(stored),
        Rows=stored.shape[1],
        Columns=stored.shape[2],
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=stored.dtype.itemsize * 8,
        BitsStored=stored.dtype.itemsize * 8,
        HighBit=stored.dtype.itemsize * 8 - 1,
        PixelRepresentation=int(stored.dtype.kind == "i"),
    )
    dataset.add_new(0x7FE00010, "OW", stored.astype(stored.dtype.newbyteorder("<")).tobytes())
    return dataset


def contour(points, kind="CLOSED_PLANAR"):
    """One contour of LPS points (n, 3), its numbers as they lie in a file: pydicom takes its time to check each."""
    dataset = item(ContourGeometricType=kind, NumberOfContourPoints=len(points))
    value = "\\".join(rounded(points, 4)).encode()
    value += b" " * (len(value) % 2)
    dataset[0x30060050] = RawDataElement(Tag(0x30060050), "DS", len(value), value, 0, False, True)
    return dataset


def rtstruct(rois: Sequence[tuple[str, Sequence[Dataset]]], frame=FRAME):
    """RTSTRUCT of named lists of contours."""
    named, drawn = [], []
    for number, (name, contours) in enumerate(rois, start=1):
        named.append(item(ROINumber=number, ReferencedFrameOfReferenceUID=frame, ROIName=name))
        drawn.append(item(ReferencedROINumber=number, ContourSequence=list(contours)))
    return rt_object(
        RTStructureSetStorage, "RTSTRUCT", "2.25.60", StructureSetROISequence=named, ROIContourSequence=drawn
    )


def beam(number, radiation="PHOTON", atomic=None, delivery="TREATMENT"):
    one = item(BeamNumber=number, RadiationType=radiation, TreatmentDeliveryType=delivery)
    if atomic is not None:
        one.RadiationAtomicNumber, one.RadiationMassNumber = atomic, 2 * atomic
    return one


def rtplan(
    *,
    uid="2.25.1",
    beams=None,
    fractions=30,
    prescription=60.0,
    targets=None,
    beam_doses=(),
    beam_dose_type=None,
    date="20200106",
    ion=False,
    frame=FRAME,
    **values,
):
    """RTPLAN, or RT Ion Plan; `beam_doses` are for one fraction [Gy]."""
    beams = beams or [beam(1), beam(2)]
    referenced = []
    for place, one in enumerate(beams):
        reference = item(ReferencedBeamNumber=one.BeamNumber)
        if beam_doses:
            reference.BeamDose = beam_doses[place]
        if beam_dose_type:
            reference.BeamDoseType = beam_dose_type
        referenced.append(reference)
    dataset = rt_object(
        RTIonPlanStorage if ion else RTPlanStorage,
        "RTPLAN",
        uid,
        FrameOfReferenceUID=frame,
        RTPlanDate=date,
        FractionGroupSequence=[
            item(
                FractionGroupNumber=1,
                NumberOfFractionsPlanned=fractions,
                NumberOfBeams=len(beams),
                ReferencedBeamSequence=referenced,
            )
        ],
        **values,
    )
    setattr(dataset, "IonBeamSequence" if ion else "BeamSequence", beams)
    targets = ([] if prescription is None else [prescription]) if targets is None else targets
    if targets:
        dataset.DoseReferenceSequence = [
            item(
                DoseReferenceNumber=number,
                DoseReferenceStructureType="SITE",
                DoseReferenceType="TARGET",
                TargetPrescriptionDose=target,
            )
            for number, target in enumerate(targets, start=1)
        ]
    return dataset


def proton_plan(**values):
    return rtplan(**{"ion": True, "beams": [beam(1, "PROTON")], "uid": "2.25.2", **values})


def carbon_plan(**values):
    return rtplan(**{"ion": True, "beams": [beam(1, "ION", 6)], "uid": "2.25.3", **values})


def treatment_record(
    plan, day, fraction, *, beams=(1, 2), ion=False, delivery="TREATMENT", status="NORMAL", meterset=100.0, group=1
):
    """Record of one session: `day` as YYYYMMDD."""
    delivered = [
        item(
            ReferencedBeamNumber=number,
            CurrentFractionNumber=fraction,
            TreatmentDeliveryType=delivery,
            TreatmentTerminationStatus=status,
            DeliveredPrimaryMeterset=meterset,
        )
        for number in beams
    ]
    dataset = rt_object(
        RTIonBeamsTreatmentRecordStorage if ion else RTBeamsTreatmentRecordStorage,
        "RTRECORD",
        f"2.25.7{fraction}",
        TreatmentDate=day,
        ReferencedFractionGroupNumber=group,
        ReferencedRTPlanSequence=[item(ReferencedSOPClassUID=RTPlanStorage, ReferencedSOPInstanceUID=plan)],
    )
    setattr(dataset, "TreatmentSessionIonBeamSequence" if ion else "TreatmentSessionBeamSequence", delivered)
    return dataset


def registration(matrices, *, source=OTHER_FRAME, target=FRAME, kind="RIGID"):
    """Spatial Registration of LPS matrices (4, 4) from `source` into `target`."""
    parts = [
        item(FrameOfReferenceTransformationMatrixType=kind, FrameOfReferenceTransformationMatrix=rounded(matrix, 10))
        for matrix in matrices
    ]
    own = item(
        FrameOfReferenceTransformationMatrixType="RIGID", FrameOfReferenceTransformationMatrix=rounded(np.eye(4), 1)
    )
    return rt_object(
        SpatialRegistrationStorage,
        "REG",
        "2.25.80",
        FrameOfReferenceUID=target,
        RegistrationSequence=[
            item(FrameOfReferenceUID=target, MatrixRegistrationSequence=[item(MatrixSequence=[own])]),
            item(FrameOfReferenceUID=source, MatrixRegistrationSequence=[item(MatrixSequence=parts)]),
        ],
    )
