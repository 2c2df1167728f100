"""Plain T1 series as a scanner stores them, for tests of the way in; who is in them is made up."""

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

__all__ = ["mr_series"]


def mr_series(seed: int, slices: int, pixels: int = 16, patient: str = "4711", series: int = 1) -> list[Dataset]:
    """Axial slices of 3 mm with noise in them, series 2 after contrast; equal arguments give equal instances."""
    noise = np.random.default_rng(seed).integers(0, 900, (slices, pixels, pixels), dtype=np.uint16)
    return [_slice(noise[number], number, seed, patient, series) for number in range(slices)]


def _slice(noise: np.ndarray, number: int, seed: int, patient: str, series: int) -> Dataset:
    one = Dataset()
    one.SOPClassUID = MRImageStorage
    one.SOPInstanceUID = generate_uid(entropy_srcs=[f"{seed} {series} {number}"])
    one.StudyInstanceUID = generate_uid(entropy_srcs=[f"{seed} study"])
    one.SeriesInstanceUID = generate_uid(entropy_srcs=[f"{seed} series {series}"])
    one.FrameOfReferenceUID = generate_uid(entropy_srcs=[f"{seed} frame"])
    one.PatientName, one.PatientID = "Weber^Ilse", patient
    one.PatientBirthDate, one.PatientSex, one.PatientAge = "19600301", "F", "064Y"
    one.StudyDate = one.SeriesDate = one.AcquisitionDate = one.ContentDate = "20240305"
    one.StudyTime = one.SeriesTime = one.AcquisitionTime = one.ContentTime = "101500"
    one.AccessionNumber, one.StudyID, one.ReferringPhysicianName = "", "", ""
    one.Modality, one.Manufacturer = "MR", "SIEMENS"
    one.SeriesDescription = "t1 se ax" if series == 1 else "t1 se ax gd"
    one.ScanningSequence, one.SequenceVariant, one.MRAcquisitionType = "SE", "SK", "2D"
    one.EchoTime, one.RepetitionTime, one.FlipAngle = 12.0, 550.0, 90.0
    one.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    one.SeriesNumber, one.InstanceNumber, one.AcquisitionNumber = series, number + 1, 1
    one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    one.ImagePositionPatient = [-100.0, -120.0, 3.0 * number]
    one.PixelSpacing, one.SliceThickness, one.SpacingBetweenSlices = [0.9, 0.9], 3.0, 3.0
    one.Rows, one.Columns = noise.shape
    one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 0
    one.BitsAllocated, one.BitsStored, one.HighBit = 16, 12, 11
    one.PixelData = noise.tobytes()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    return one
