"""Label maps of the made-up hospital as DICOM SEG, written attribute by attribute.

`dicom.export` writes its segmentations by highdicom; that highdicom reads these back is a check of both.
"""

import struct

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage, SegmentationStorage

from flame.records.patient import LABELS
from flame.records.volume import Volume
from flame.virtual.dicom_bytes import element, item, pointer, raw, sequence, text
from flame.virtual.dicom_file import Chart, Series, begin, code, ds
from flame.virtual.dicom_mr import MrExam, MrSeries
from flame.virtual.head import HEAD_MM
from flame.virtual.slices import Matrix, Stack, cut, pad

__all__ = ["brain_segmentation", "label_segmentation"]

_ABNORMAL = ("49755003", "SCT", "Morphologically Abnormal Structure")
_ANATOMY = ("123037004", "SCT", "Anatomical Structure")
_TYPES = {
    "NETC": ("6574001", "SCT", "Necrosis"),
    "SNFH": ("79654002", "SCT", "Edema"),
    "ET": ("C113842", "NCIt", "Enhancing Lesion"),
    "RC": ("VH0001", "99VIRTUAL", "Resection Cavity"),
    "Brain": ("12738006", "SCT", "Brain"),
}
_SEGMENT_NUMBER, _STACK, _IN_STACK, _INDEX_VALUES, _POSITION = (
    0x0062000B,
    0x00209056,
    0x00209057,
    0x00209157,
    0x00200032,
)
_SEGMENT_SEQUENCE, _CONTENT_SEQUENCE, _POSITION_SEQUENCE = 0x0062000A, 0x00209111, 0x00209113
_FRAME_SEQUENCE, _INSTANCE_SEQUENCE = 0x52009230, 0x0008114A


def label_segmentation(chart: Chart, exam: MrExam, labels: Volume, moved: Matrix) -> Dataset:
    """A label map as four segments (NETC, SNFH, ET, RC), numbered as their labels; an absent one has no frame."""
    masks = {name: _cut(chart, Volume(labels.array == value, labels.grid), moved) for name, value in LABELS.items()}
    return _segmentation(chart, exam, "Tumour", 101, masks)


def brain_segmentation(chart: Chart, exam: MrExam, brain: Volume, moved: Matrix) -> Dataset:
    """The brain mask as one segment."""
    stack = _cut(chart, Volume(brain.array > 0, brain.grid), moved)
    return _segmentation(chart, exam, "Brain", 102, {"Brain": stack})


def _cut(chart: Chart, mask: Volume, moved: Matrix) -> Stack:
    """The mask in the very slices of T1ce."""
    return cut(pad(mask, HEAD_MM - 8.0), chart.department.protocols["T1ce"].plane, moved)


def _segmentation(chart: Chart, exam: MrExam, word: str, number: int, masks: dict[str, Stack]) -> Dataset:
    series = Series(chart.uid(exam.study.uid, "SEG", word), number, "SEG", f"{word} segmentation", 90)
    dataset = begin(chart, exam.study, series, SegmentationStorage, chart.uid(series.uid, 0))
    first = next(iter(masks.values()))
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.InstanceNumber = 1
    dataset.ContentDate, dataset.ContentTime = dataset.SeriesDate, dataset.SeriesTime
    dataset.ContentLabel = word.upper()
    dataset.ContentDescription = f"{word} outlined by hand"
    dataset.ContentCreatorName = chart.identity.physician
    dataset.FrameOfReferenceUID = exam.frame
    dataset.PositionReferenceIndicator = ""
    dataset.SegmentationType = "BINARY"
    dataset.LossyImageCompression = "00"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = dataset.PixelRepresentation = 0
    dataset.Rows, dataset.Columns = first.frames.shape[1:]
    dataset.SegmentSequence = [_segment(at, label) for at, label in enumerate(masks, start=1)]
    dataset.ReferencedSeriesSequence = [_referenced(exam.of("T1ce"))]
    _dimensions(chart, dataset, series)
    _frames(dataset, list(masks.values()))
    return dataset


def _segment(number: int, label: str) -> Dataset:
    found = Dataset()
    found.SegmentNumber = number
    found.SegmentLabel = label
    found.SegmentAlgorithmType = "MANUAL"
    found.SegmentedPropertyCategoryCodeSequence = [code(*(_ANATOMY if label == "Brain" else _ABNORMAL))]
    found.SegmentedPropertyTypeCodeSequence = [code(*_TYPES[label])]
    return found


def _referenced(series: MrSeries) -> Dataset:
    found = Dataset()
    found.SeriesInstanceUID = series.series.uid
    instances = b"".join(pointer(MRImageStorage, one) for one in series.instances)
    found[_INSTANCE_SEQUENCE] = raw(_INSTANCE_SEQUENCE, "SQ", instances)
    return found


def _dimensions(chart: Chart, dataset: Dataset, series: Series) -> None:
    """Frames are ordered by segment, then by slice."""
    organisation = Dataset()
    organisation.DimensionOrganizationUID = chart.uid(series.uid, "dimensions")
    dataset.DimensionOrganizationSequence = [organisation]
    indices = []
    for indexed, group in ((_SEGMENT_NUMBER, _SEGMENT_SEQUENCE), (_IN_STACK, _CONTENT_SEQUENCE)):
        index = Dataset()
        index.DimensionOrganizationUID = organisation.DimensionOrganizationUID
        index.DimensionIndexPointer = indexed
        index.FunctionalGroupPointer = group
        indices.append(index)
    dataset.DimensionIndexSequence = indices


def _frames(dataset: Dataset, stacks: list[Stack]) -> None:
    """The frames that are not empty; a segmentation without any keeps one empty frame."""
    kept = [
        (at, int(index)) for at, stack in enumerate(stacks) for index in np.flatnonzero(stack.frames.any(axis=(1, 2)))
    ]
    kept = kept or [(0, 0)]
    dataset.NumberOfFrames = len(kept)
    across, down, along = stacks[0].spacing_mm
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing = ds(down, along)
    measures.SliceThickness = measures.SpacingBetweenSlices = ds(across)[0]
    orientation.ImageOrientationPatient = stacks[0].orientation
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [orientation]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = b"".join(_frame(at, index, stacks[at]) for at, index in kept)
    dataset[_FRAME_SEQUENCE] = raw(_FRAME_SEQUENCE, "SQ", frames)
    bits: NDArray[np.bool_] = np.stack([stacks[at].frames[index] for at, index in kept])
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    dataset["PixelData"].VR = "OB"


def _frame(at: int, index: int, stack: Stack) -> bytes:
    """The item of a frame: its place in the stack, its position, its segment."""
    content = item(
        element(_STACK, "SH", text("1")),
        element(_IN_STACK, "UL", struct.pack("<I", index + 1)),
        element(_INDEX_VALUES, "UL", struct.pack("<II", at + 1, index + 1)),
    )
    position = item(element(_POSITION, "DS", text("\\".join(stack.position(index)))))
    segment = item(element(_SEGMENT_NUMBER, "US", struct.pack("<H", at + 1)))
    return item(
        sequence(_CONTENT_SEQUENCE, content),
        sequence(_POSITION_SEQUENCE, position),
        sequence(_SEGMENT_SEQUENCE, segment),
    )
