"""The planning study of the made-up hospital: CT, structures, dose and the registration of CT to MR."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, RTDoseStorage, RTStructureSetStorage, SpatialRegistrationStorage

from flame.records.volume import Volume
from flame.virtual.dicom_bytes import element, item, pointer, raw, sequence, text
from flame.virtual.dicom_file import Chart, Series, Study, begin, code, ds, reference
from flame.virtual.dicom_mr import pixels
from flame.virtual.dicom_slices import encode_slices
from flame.virtual.slices import Matrix, Stack, cut

__all__ = ["DOSE_STEP_GY", "Planning", "ct_images", "dose_grid", "registration", "structures"]

DOSE_STEP_GY = 0.01
_DETACHED_STUDY = "1.2.840.10008.3.1.2.3.1"
_CONTOUR_IMAGES, _CONTOURS = 0x30060016, 0x30060040
_CONTOUR_TYPE, _CONTOUR_COUNT, _CONTOUR_DATA = 0x30060042, 0x30060046, 0x30060050
_RIGID = ("125021", "DCM", "Frame of Reference Identity")


@dataclass(frozen=True, eq=False)
class Planning:
    """The planning study: its frame, the map of the head from the trial's positions to the couch (RAS), the CT."""

    study: Study
    frame: str
    moved: Matrix
    stack: Stack
    series: Series
    instances: tuple[str, ...]
    structure_set: str

    @classmethod
    def of(cls, chart: Chart, study: Study, frame: str, moved: Matrix, ct: Volume) -> "Planning":
        """The study around a CT in Hounsfield units on an axis-aligned grid; `moved` may only shift."""
        series = Series(chart.uid(study.uid, "CT"), 2, "CT", "Crane RT 2mm")
        stack = cut(ct, "axial", moved)
        instances = tuple(chart.uid(series.uid, index) for index in range(len(stack.frames)))
        return cls(study, frame, moved, stack, series, instances, chart.uid(study.uid, "RTSTRUCT", 0))


def ct_images(chart: Chart, planning: Planning) -> Iterator[tuple[Series, bytes]]:
    """The files of the planning CT; values are stored from 0 up, as most makers do."""
    dataset = begin(chart, planning.study, planning.series, CTImageStorage, planning.instances[0])
    dataset.FrameOfReferenceUID = planning.frame
    dataset.PositionReferenceIndicator = ""
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.AcquisitionDate = dataset.ContentDate = dataset.StudyDate
    dataset.AcquisitionTime = dataset.ContentTime = dataset.SeriesTime
    dataset.PatientPosition = "HFS"
    dataset.BodyPartExamined = "HEAD"
    dataset.KVP, dataset.AcquisitionNumber = "120", 1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
    pixels(dataset, signed=False)
    stored = Stack((planning.stack.frames.astype(np.int32) + 1024).astype("<u2"), planning.stack.affine)
    for content in encode_slices(dataset, stored, planning.instances):
        yield planning.series, content


def structures(chart: Chart, planning: Planning, masks: Mapping[str, tuple[str, Volume]]) -> Dataset:
    """An RTSTRUCT with contours on the CT's slices that pass half-way between voxels inside and outside.

    Args:
        masks: by name; the interpreted type (GTV, CTV, PTV, ORGAN) and a mask on a grid whose axial slices are among
            the CT's. Inner contours are holes.
    """
    series = Series(chart.uid(planning.study.uid, "RTSTRUCT"), 3, "RTSTRUCT", "RT structures")
    dataset = _planned(chart, planning, series, RTStructureSetStorage, planning.structure_set)
    dataset.StructureSetLabel = "RTstruct"
    dataset.StructureSetDate, dataset.StructureSetTime = dataset.SeriesDate, dataset.SeriesTime
    dataset.ApprovalStatus = "UNAPPROVED"
    dataset.ReferencedFrameOfReferenceSequence = [_ct_reference(planning)]
    rois, contours, observations = [], [], []
    for number, (name, (kind, mask)) in enumerate(masks.items(), start=1):
        roi, drawn, observation = Dataset(), Dataset(), Dataset()
        roi.ROINumber = drawn.ReferencedROINumber = observation.ReferencedROINumber = number
        roi.ReferencedFrameOfReferenceUID = planning.frame
        roi.ROIName = name
        roi.ROIGenerationAlgorithm = "MANUAL"
        drawn.ROIDisplayColor = [255, 40 * number % 256, 0]
        drawn[_CONTOURS] = raw(_CONTOURS, "SQ", b"".join(_contours(planning, cut(mask, "axial", planning.moved))))
        observation.ObservationNumber = number
        observation.RTROIInterpretedType = kind
        observation.ROIInterpreter = chart.identity.physician
        rois.append(roi)
        contours.append(drawn)
        observations.append(observation)
    dataset.StructureSetROISequence = rois
    dataset.ROIContourSequence = contours
    dataset.RTROIObservationsSequence = observations
    return dataset


def dose_grid(
    chart: Chart, planning: Planning, dose: Volume, kind: str, plans: Mapping[str, str], number: int
) -> Dataset:
    """An RTDOSE [Gy] on the dose's own grid.

    Args:
        kind: PHYSICAL, or EFFECTIVE for RBE-weighted dose.
        plans: SOP class of each plan that the dose belongs to, by instance.
    """
    series = Series(chart.uid(planning.study.uid, "RTDOSE", kind), number, "RTDOSE", f"Dose {kind.lower()}")
    dataset = _planned(chart, planning, series, RTDoseStorage, chart.uid(series.uid, 0))
    stack = cut(dose, "axial", planning.moved)
    stack.describe(dataset)
    dataset.FrameOfReferenceUID = planning.frame
    dataset.PositionReferenceIndicator = ""
    dataset.InstanceNumber = 1
    dataset.ImagePositionPatient = stack.position(0)
    dataset.NumberOfFrames = len(stack.frames)
    dataset.FrameIncrementPointer = (0x3004, 0x000C)
    first = stack.affine[2, 3] if chart.department.absolute_offsets else 0.0
    dataset.GridFrameOffsetVector = ds(*(first + stack.spacing_mm[0] * np.arange(len(stack.frames))))
    dataset.DoseUnits, dataset.DoseType = "GY", kind
    dataset.DoseSummationType = "PLAN" if len(plans) == 1 else "MULTI_PLAN"
    dataset.DoseGridScaling = ds(DOSE_STEP_GY)[0]
    dataset.ReferencedRTPlanSequence = [reference(sop_class, instance) for instance, sop_class in plans.items()]
    pixels(dataset, signed=False)
    dataset.PixelData = np.rint(stack.frames / np.float32(DOSE_STEP_GY)).astype("<u2").tobytes()
    return dataset


def registration(chart: Chart, planning: Planning, mr_frame: str) -> Dataset:
    """A spatial registration that brings positions on the couch to the frame of the first MR."""
    series = Series(chart.uid(planning.study.uid, "REG"), 4, "REG", "CT to MR")
    dataset = _planned(chart, planning, series, SpatialRegistrationStorage, chart.uid(series.uid, 0))
    dataset.ContentDate, dataset.ContentTime = dataset.SeriesDate, dataset.SeriesTime
    dataset.InstanceNumber = 1
    dataset.ContentLabel = "REGISTRATION"
    dataset.ContentDescription = "CT to MR"
    dataset.ContentCreatorName = chart.identity.operator
    dataset.FrameOfReferenceUID = mr_frame
    dataset.PositionReferenceIndicator = ""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    back = lps @ np.linalg.inv(planning.moved) @ lps
    dataset.RegistrationSequence = [_mapped(mr_frame, np.eye(4)), _mapped(planning.frame, back)]
    return dataset


def _planned(chart: Chart, planning: Planning, series: Series, sop_class: str, instance: str) -> Dataset:
    """A data set that the planning system wrote."""
    dataset = begin(chart, planning.study, series, sop_class, instance)
    dataset.Manufacturer = chart.department.planning_maker
    dataset.ManufacturerModelName = chart.department.planning_model
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = dataset.SeriesDate, dataset.SeriesTime
    return dataset


def _mapped(frame: str, matrix: NDArray[np.float64]) -> Dataset:
    step, rigid, item = Dataset(), Dataset(), Dataset()
    step.FrameOfReferenceTransformationMatrix = ds(*matrix.ravel())
    step.FrameOfReferenceTransformationMatrixType = "RIGID"
    rigid.MatrixSequence = [step]
    rigid.RegistrationTypeCodeSequence = [code(*_RIGID)]
    item.FrameOfReferenceUID = frame
    item.MatrixRegistrationSequence = [rigid]
    return item


def _ct_reference(planning: Planning) -> Dataset:
    frame, study, series = Dataset(), reference(_DETACHED_STUDY, planning.study.uid), Dataset()
    series.SeriesInstanceUID = planning.series.uid
    images = b"".join(pointer(CTImageStorage, one) for one in planning.instances)
    series[_CONTOUR_IMAGES] = raw(_CONTOUR_IMAGES, "SQ", images)
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = planning.frame
    frame.RTReferencedStudySequence = [study]
    return frame


def _contours(planning: Planning, mask: Stack) -> Iterator[bytes]:
    """The items of a ROI's contours."""
    from skimage.measure import find_contours

    for index, frame in enumerate(mask.frames):
        if not frame.any():
            continue
        origin = mask.affine[:3, 3] + index * mask.affine[:3, 0]
        image = planning.instances[round((origin[2] - planning.stack.affine[2, 3]) / planning.stack.spacing_mm[0])]
        shown = sequence(_CONTOUR_IMAGES, pointer(CTImageStorage, image))
        for line in find_contours(np.pad(frame, 1).astype(np.float32), 0.5):
            points = origin + (line[:-1] - 1) @ mask.affine[:3, 1:3].T
            yield item(
                shown,
                element(_CONTOUR_TYPE, "CS", text("CLOSED_PLANAR")),
                element(_CONTOUR_COUNT, "IS", text(str(len(points)))),
                element(_CONTOUR_DATA, "DS", _numbers(points)),
            )


def _numbers(values: NDArray[np.float64]) -> bytes:
    """Numbers of eight digits, each different one formatted once."""
    different, which = np.unique(values.ravel(), return_inverse=True)
    words = [f"{value:.8g}" for value in different.tolist()]
    return text("\\".join([words[at] for at in which.tolist()]))
