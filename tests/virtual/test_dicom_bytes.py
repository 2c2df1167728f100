"""Bytes of data sets: pydicom's own writer is the second opinion."""

import struct
from io import BytesIO

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from flame.virtual.dicom_bytes import element, elements, encode, file_meta, item, pointer, raw, sequence, text
from flame.virtual.dicom_file import ds, reference

INSTANCE = "2.25.12345"


def _dataset(character_set):
    """An element of every type that the made-up hospital writes, none, one or several values, three levels deep."""
    dataset, inner, leaf = Dataset(), Dataset(), Dataset()
    dataset.SpecificCharacterSet = character_set
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, INSTANCE
    dataset.PatientName = "Chimère^Zéphyrine"
    dataset.PatientAddress = "3 allée du Mirage, 00000 Nulleville"
    dataset.PatientComments = ""
    dataset.PatientBirthDate, dataset.StudyTime, dataset.PatientAge = "19500102", "081500", "070Y"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    dataset.StudyID = "1"
    dataset.SeriesNumber, dataset.EchoTrainLength = 7, None
    dataset.ImagePositionPatient = ds(-1 / 3, 0.0, 1e-7)
    dataset.SliceThickness = "2.0 "
    dataset.FrameIncrementPointer = (0x3004, 0x000C)
    dataset.Rows, dataset.Columns, dataset.BitsAllocated, dataset.PixelRepresentation = 3, 1, 16, 0
    dataset.VirtualSourceAxisDistances = [2000.0, 2500.0]
    dataset.PixelData = b"\1\0\2\0\3\0"
    leaf.DimensionIndexValues = [1, 2]
    leaf.PersonName = "Utopie^Sidonie"
    inner.TableTopPitchAngle, inner.PatientComments = 1.5, "été"
    inner.ReferencedImageSequence = [reference(MRImageStorage, INSTANCE)]
    inner.FrameContentSequence = [leaf]
    dataset.OtherPatientIDsSequence = [inner, Dataset()]
    dataset.SourceImageSequence = []
    dataset.private_block(0x0099, "VIRTUAL HOSPITAL", create=True).add_new(0x01, "LO", "Chimère 12")
    return dataset


def _by_pydicom(dataset):
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192"])
def test_a_file_is_what_pydicom_writes(character_set):
    dataset = _dataset(character_set)
    found = encode(file_meta(MRImageStorage, INSTANCE).values(), elements(dataset).values())
    assert found == _by_pydicom(dataset)


def test_what_is_encoded_already_is_what_pydicom_writes_of_data_sets():
    built, given = Dataset(), Dataset()
    point = Dataset()
    point.ReferencedImageSequence = [reference(MRImageStorage, INSTANCE), reference(MRImageStorage, "2.25.6")]
    point.ContourData = ds(1.5, -2, 3)
    built.ContourSequence = [point]
    images = sequence(0x00081140, pointer(MRImageStorage, INSTANCE), pointer(MRImageStorage, "2.25.6"))
    content = item(images, element(0x30060050, "DS", text("1.5\\-2.0\\3.0")))
    given[0x30060040] = raw(0x30060040, "SQ", content)
    for dataset in (built, given):
        dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, INSTANCE
    assert elements(given) == elements(built)
    read = dcmread(BytesIO(encode(file_meta(MRImageStorage, INSTANCE).values(), elements(given).values())))
    assert read.ContourSequence[0].ContourData == [1.5, -2.0, 3.0]


def test_a_type_that_is_not_written_and_a_value_that_is_too_long_are_refused():
    odd = Dataset()
    odd.add_new(0x00720078, "UR", "urn:1")
    with pytest.raises(ValueError, match="'UR'"):
        elements(odd)
    with pytest.raises(struct.error):
        element(0x00100010, "PN", b" " * 65536)
