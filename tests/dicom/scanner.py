"""A small MR scanner for tests: series of any orientation and habit, as pydicom datasets or files."""

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)

MPRAGE = {"ScanningSequence": ["GR", "IR"], "SequenceVariant": ["SK", "SP", "MP"], "MRAcquisitionType": "3D"} | {
    "RepetitionTime": 1900.0,
    "EchoTime": 2.5,
    "InversionTime": 900.0,
    "FlipAngle": 9.0,
    "SequenceName": "*tfl3d1_16ns",
}
T1_SE = {
    "ScanningSequence": "SE",
    "SequenceVariant": "NONE",
    "RepetitionTime": 550.0,
    "EchoTime": 12.0,
    "FlipAngle": 90.0,
}
T2_TSE = {
    "ScanningSequence": "SE",
    "SequenceVariant": "SK",
    "RepetitionTime": 4500.0,
    "EchoTime": 98.0,
    "FlipAngle": 150.0,
}
FLAIR_2D = {"ScanningSequence": ["SE", "IR"], "SequenceVariant": "SK", "RepetitionTime": 9000.0, "EchoTime": 95.0} | {
    "InversionTime": 2500.0,
    "FlipAngle": 150.0,
}


def uid(name: str) -> UID:
    """A valid UID, always the same for one name."""
    return UID("2.25." + str(int(hashlib.sha256(name.encode()).hexdigest()[:30], 16)))


def turned(orientation: Sequence[float], generator: np.random.Generator, degrees: float) -> tuple[float, ...]:
    """An orientation turned about a random axis."""
    from scipy.spatial.transform import Rotation

    axis = generator.normal(size=3)
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * axis / np.linalg.norm(axis))
    directions = turn.apply(np.reshape(orientation, (2, 3)))
    return tuple(float(x) for x in directions.ravel())


def series(
    array: np.ndarray,
    name: str = "s",
    orientation: Sequence[float] = AXIAL,
    spacing: tuple[float, float, float] = (1.0, 1.0, 5.0),
    origin: Sequence[float] = (-10.0, -12.0, -20.0),
    study: str = "study",
    patient: str = "P1",
    moment: datetime.datetime = datetime.datetime(2020, 1, 1, 10, 0, 0),
    header: Mapping[str, Any] | None = None,
) -> list[Dataset]:
    """Classic single-frame MR images.

    Args:
        array: (slices, rows, columns), whole numbers from 0 to 65535.
        spacing: between rows, columns and slices [mm].
        origin: position of the first slice, LPS [mm].
        header: further attributes of all slices, by keyword.
    """
    normal = np.cross(orientation[:3], orientation[3:])
    made = []
    for i, pixels in enumerate(array):
        dataset = _blank(f"{name}/{i}", MRImageStorage)
        dataset.PatientID = patient
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid(study), uid(f"{study}/{name}")
        dataset.FrameOfReferenceUID = uid(f"{study}/frame")
        dataset.Modality = "MR"
        for kind in ("Study", "Series", "Acquisition"):
            dataset.__setattr__(f"{kind}Date", moment.strftime("%Y%m%d"))
            dataset.__setattr__(f"{kind}Time", moment.strftime("%H%M%S"))
        dataset.SeriesNumber, dataset.InstanceNumber = 1, i + 1
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
        dataset.MRAcquisitionType = "2D"
        dataset.ImageOrientationPatient = [float(x) for x in orientation]
        dataset.ImagePositionPatient = [float(x) for x in np.asarray(origin) + i * spacing[2] * normal]
        dataset.PixelSpacing = list(spacing[:2])
        dataset.SliceThickness = spacing[2]
        for keyword, value in (header or {}).items():
            setattr(dataset, keyword, value)
        put(dataset, pixels)
        made.append(dataset)
    return made


def enhanced(classic: Sequence[Dataset], name: str = "enhanced") -> Dataset:
    """The same slices as one enhanced multi-frame image, by hand (PS3.3 A.36)."""
    first = classic[0]
    image = _blank(name, EnhancedMRImageStorage)
    for keyword in (
        "PatientID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "Modality",
        "ImageType",
    ):
        setattr(image, keyword, getattr(first, keyword))
    put(image, np.stack([dataset.pixel_array for dataset in classic]))
    measures, plane = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = first.PixelSpacing, first.SliceThickness
    plane.ImageOrientationPatient = first.ImageOrientationPatient
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = [_own(dataset) for dataset in classic]
    return image


def _own(dataset: Dataset) -> Dataset:
    """The functional groups of one frame."""
    place, scale, content, own = Dataset(), Dataset(), Dataset(), Dataset()
    place.ImagePositionPatient = dataset.ImagePositionPatient
    scale.RescaleSlope, scale.RescaleIntercept = dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)
    content.StackID = dataset.get("StackID", "1")
    own.PlanePositionSequence, own.PixelValueTransformationSequence = [place], [scale]
    own.FrameContentSequence = [content]
    if "EchoTime" in dataset:
        echo = Dataset()
        echo.EffectiveEchoTime = dataset.EchoTime
        own.MREchoSequence = [echo]
    return own


def put(dataset: Dataset, pixels: np.ndarray) -> None:
    """Store pixels: (rows, columns) or (frames, rows, columns)."""
    stored = np.ascontiguousarray(pixels, "<u2")
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    if stored.ndim == 3:
        dataset.NumberOfFrames = len(stored)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = stored.tobytes()


def save(datasets: Sequence[Dataset], folder: Path) -> list[Path]:
    """Write files; their order on disk is not that of the slices."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for dataset in datasets:
        path = folder / f"{dataset.SOPInstanceUID[-12:]}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return sorted(paths)


def _blank(name: str, kind: UID) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = kind
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid(name)
    return dataset
