"""An oblique MR series of a made-up person, and a prepared grid that is turned against it."""

from datetime import datetime
from io import BytesIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from flame.dicom.geometry import affine_of
from flame.dicom.identity.pseudonym import Key
from flame.dicom.results.derived import Author
from flame.dicom.results.source import source_of
from flame.records.patient import REGIONS
from flame.records.volume import Grid

NAME, PATIENT = "Imaginaire^Zoe", "VH12345"
SHAPE = (24, 20, 14)
SPACING, STEP = (2.0, 1.5), 3.0
ORIGIN = (-20.0, 15.0, -18.0)


def turned(degrees, shift):
    """A rigid map in RAS [mm]: a turn about z, then about x, then a shift."""
    a, b = np.deg2rad(degrees)
    z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = x @ z, shift
    return matrix


ORIENTATION = (*turned((8, -5), (0, 0, 0))[:3, 0], *turned((8, -5), (0, 0, 0))[:3, 1])
NORMAL = np.cross(ORIENTATION[:3], ORIENTATION[3:])
GRID = Grid(SHAPE, affine_of(ORIGIN, ORIENTATION, SPACING, NORMAL * STEP))


def series(uid="2.25.31", frame="2.25.30", description="t1 mprage gd", agent="GADOVIST", patient=PATIENT):
    """All slices, last first."""
    return [_slice(index, uid, frame, description, agent, patient) for index in reversed(range(SHAPE[2]))]


def _slice(index, uid, frame, description, agent, patient):
    one = Dataset()
    one.SpecificCharacterSet = "ISO_IR 192"
    one.SOPClassUID, one.SOPInstanceUID = MRImageStorage, f"{uid}.{index + 1}"
    one.PatientName, one.PatientID, one.PatientBirthDate, one.PatientSex = NAME, patient, "19600101", "F"
    one.StudyInstanceUID, one.StudyID, one.StudyDate, one.StudyTime = "2.25.29", "1", "20200101", "080000"
    one.AccessionNumber, one.ReferringPhysicianName = "A1", ""
    one.SeriesInstanceUID, one.SeriesNumber, one.Modality = uid, 3, "MR"
    one.SeriesDescription, one.Manufacturer = description, "SIEMENS"
    one.AcquisitionDate, one.AcquisitionTime = "20200101", "081500"
    one.ContrastBolusAgent = agent
    one.ImageType = ["ORIGINAL", "PRIMARY"]
    one.ScanningSequence, one.SequenceVariant, one.ScanOptions = ["GR", "IR"], ["SK", "MP"], ""
    one.MRAcquisitionType, one.RepetitionTime, one.EchoTime, one.InversionTime = "3D", "1900", "2.6", "900"
    one.FlipAngle = "9"
    one.FrameOfReferenceUID, one.PositionReferenceIndicator = frame, ""
    one.Rows, one.Columns = SHAPE[1], SHAPE[0]
    one.PixelSpacing, one.SliceThickness = list(SPACING), STEP
    one.ImageOrientationPatient = [f"{value:.12f}" for value in ORIENTATION]
    one.ImagePositionPatient = [f"{value:.10f}" for value in np.array(ORIGIN) + index * STEP * NORMAL]
    one.InstanceNumber = index + 1
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
    one.PixelData = np.full((SHAPE[1], SHAPE[0]), index, np.int16).tobytes()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID, one.file_meta.MediaStorageSOPInstanceUID = (
        one.SOPClassUID,
        one.SOPInstanceUID,
    )
    return one


KEY = Key(bytes(range(32)))
AUTHOR = Author(KEY, datetime(2026, 1, 2, 3, 4, 5), "evolution-unet", "abc123")
SOURCE = source_of(series())


def encoded(dataset):
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def again(dataset):
    return pydicom.dcmread(BytesIO(encoded(dataset)))


def masks():
    x, y, z = np.indices(GRID.shape)
    radius = np.sqrt((2 * (x - 11)) ** 2 + (1.5 * (y - 9)) ** 2 + (3 * (z - 7)) ** 2)
    return {region: radius < size for region, size in zip(REGIONS, (4, 7, 11))}
