"""An exam of the made-up hospital as MR series: what a scanner's maker writes, in the order of acquisition."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from flame.records.patient import SEQUENCES, Sequence
from flame.records.volume import Volume
from flame.virtual.dicom_file import Chart, Series, Study, begin, ds
from flame.virtual.dicom_slices import encode_slices
from flame.virtual.head import Head, dressed
from flame.virtual.slices import Matrix, Stack, cut
from flame.virtual.vendors import ADC, LOCALISER, Protocol

__all__ = ["MrExam", "MrSeries", "mr_exam"]


@dataclass(frozen=True, eq=False)
class MrSeries:
    """One series: its slices and the UIDs of their instances, in order."""

    sequence: Sequence | None
    series: Series
    stacks: tuple[Stack, ...]
    instances: tuple[str, ...]
    protocol: Protocol
    slope: float


@dataclass(frozen=True, eq=False)
class MrExam:
    """One MR study in one frame of reference."""

    study: Study
    frame: str
    series: tuple[MrSeries, ...]

    def of(self, sequence: Sequence) -> MrSeries:
        """The series of a sequence that was acquired."""
        return next(one for one in self.series if one.sequence == sequence)


def mr_exam(
    chart: Chart,
    study: Study,
    head: Head,
    images: Mapping[Sequence, Volume],
    moved: Matrix,
    field_t: float,
    generator: np.random.Generator,
) -> tuple[MrExam, Iterator[tuple[Series, bytes]]]:
    """The exam, and its files one by one, each with its series.

    A localiser comes first, the sequences before contrast and an ADC map in any order, T1ce last.

    Args:
        images: the sequences that were acquired, on the trial's grid, with T1ce.
        moved: rigid map of the head from the trial's positions to the scanner's, RAS.
        field_t: field strength [T].
    """
    frame = chart.uid("frame", study.uid)
    early = [name for name in SEQUENCES if name in images and name != "T1ce"]
    order = generator.permutation(len(early) + 1)
    queue: list[Sequence | None] = [*[early[at] if at < len(early) else None for at in order], "T1ce"]
    series = [_localiser(chart, study, head, images["T1ce"], moved, generator)]
    for number, name in enumerate(queue, start=2):
        if name is None:
            series.append(_adc(chart, study, number, images, moved))
            continue
        protocol = chart.department.protocols[name]
        array = dressed(generator, head, images[name], name)
        stack = cut(Volume(array, head.grid), protocol.plane, moved)
        slope = float(np.float32(images[name].array.max() / 30000)) if chart.department.rescaled else 1.0
        series.append(_series(chart, study, name, number, name, (stack,), protocol, slope))
    exam = MrExam(study, frame, tuple(series))
    return exam, _files(chart, exam, field_t)


def _series(
    chart: Chart,
    study: Study,
    word: str,
    number: int,
    name: Sequence | None,
    stacks: tuple[Stack, ...],
    protocol: Protocol,
    slope: float = 1.0,
) -> MrSeries:
    series = Series(chart.uid(study.uid, word), number, "MR", protocol.description, 5 * number)
    count = sum(len(stack.frames) for stack in stacks)
    instances = tuple(chart.uid(series.uid, index) for index in range(count))
    return MrSeries(name, series, stacks, instances, protocol, slope)


def _localiser(
    chart: Chart, study: Study, head: Head, image: Volume, moved: Matrix, generator: np.random.Generator
) -> MrSeries:
    """One slice in each plane."""
    volume = Volume(dressed(generator, head, image, "T1w"), head.grid)
    stacks = []
    for plane in ("axial", "coronal", "sagittal"):
        whole = cut(volume, plane, moved)
        middle = len(whole.frames) // 2
        affine = whole.affine.copy()
        affine[:3, 3] += middle * affine[:3, 0]
        stacks.append(Stack(whole.frames[middle : middle + 1], affine))
    return _series(chart, study, "localiser", 1, None, tuple(stacks), LOCALISER)


def _adc(chart: Chart, study: Study, number: int, images: Mapping[Sequence, Volume], moved: Matrix) -> MrSeries:
    """A map that looks like diffusion [1e-6 mm2/s]: fluid is high; every third slice."""
    source = images.get("T2w", images["T1ce"])
    array: NDArray[np.int16] = np.rint(source.array / source.array.max() * 2800).astype(np.int16)
    stack = cut(Volume(array, source.grid), "axial", moved).thinned(3)
    return _series(chart, study, "ADC", number, None, (stack,), ADC)


def _files(chart: Chart, exam: MrExam, field_t: float) -> Iterator[tuple[Series, bytes]]:
    for one in exam.series:
        dataset = begin(chart, exam.study, one.series, MRImageStorage, one.instances[0])
        _describe(chart, dataset, one, field_t)
        dataset.FrameOfReferenceUID = exam.frame
        start = 0
        for stack in one.stacks:
            dataset.SpacingBetweenSlices = ds(stack.spacing_mm[0])[0]
            instances = one.instances[start : start + len(stack.frames)]
            for content in encode_slices(dataset, stack, instances, start + 1):
                yield one.series, content
            start += len(stack.frames)


def _describe(chart: Chart, dataset: Dataset, one: MrSeries, field_t: float) -> None:
    """What a series' slices share beyond their geometry."""
    protocol = one.protocol
    derived = protocol is ADC
    dataset.ImageType = ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"] if derived else ["ORIGINAL", "PRIMARY", "M", "ND"]
    dataset.AcquisitionDate = dataset.ContentDate = dataset.StudyDate
    dataset.AcquisitionTime = dataset.ContentTime = dataset.SeriesTime
    dataset.ProtocolName = protocol.description
    dataset.BodyPartExamined = "BRAIN"
    dataset.PatientPosition = "HFS"
    dataset.PositionReferenceIndicator = ""
    dataset.MagneticFieldStrength = ds(field_t)[0]
    dataset.ScanningSequence = protocol.scanning.split("\\")
    dataset.SequenceVariant = protocol.variant.split("\\")
    dataset.ScanOptions = protocol.options
    dataset.MRAcquisitionType = "3D" if protocol.volumetric else "2D"
    dataset.RepetitionTime, dataset.EchoTime, dataset.FlipAngle = ds(protocol.tr, protocol.te, protocol.flip)
    dataset.EchoTrainLength = protocol.train
    dataset.ImagingFrequency = ds(42.577 * field_t)[0]
    if protocol.ti is not None:
        dataset.InversionTime = ds(protocol.ti)[0]
    if protocol.name is not None:
        dataset.SequenceName = protocol.name
    if protocol.agent is not None:
        dataset.ContrastBolusAgent = protocol.agent
    if chart.department.rescaled:
        dataset.RescaleIntercept, dataset.RescaleSlope = "0", ds(one.slope)[0]
        dataset.RescaleType = "normalized"
    pixels(dataset, signed=True)


def pixels(dataset: Dataset, signed: bool) -> None:
    """Write that pixels are grey values of 16 bits."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = int(signed)
