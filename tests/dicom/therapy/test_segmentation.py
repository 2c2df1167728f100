"""DICOM SEG, written by highdicom as a second implementation, read onto grids where the answer is known."""

import highdicom as hd
import numpy as np
import pytest
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from tests.dicom.department import FRAME, rotation, rounded, rt_object, rtplan

from flame.dicom.geometry import affine_of
from flame.dicom.therapy.segmentation import read_segmentation
from flame.errors import DataError
from flame.records.volume import Grid

SHAPE = (7, 10, 12)
"""Frames, rows, columns."""

TURN = rotation(10, -15, 20)
ORIENTATION = tuple(TURN[:, :2].T.ravel())
STEP = TURN[:, 2] * 2.5
POSITION = np.array([-20.0, 10.0, 30.0])
SPACING = (1.0, 0.8)
REFERENCE = Grid((12, 10, 7), affine_of(POSITION, ORIENTATION, SPACING, STEP))


def images():
    """The MR series that the segments are painted on."""
    series = []
    for number in range(SHAPE[0]):
        one = rt_object(
            MRImageStorage,
            "MR",
            f"2.25.30{number}",
            StudyInstanceUID="2.25.31",
            SeriesInstanceUID="2.25.32",
            StudyID="1",
            SeriesNumber=1,
            InstanceNumber=number + 1,
            StudyDate="20200101",
            StudyTime="120000",
            AccessionNumber="",
            ReferringPhysicianName="",
            PatientBirthDate="",
            PatientSex="",
            Manufacturer="",
            FrameOfReferenceUID=FRAME,
            PositionReferenceIndicator="",
            ImagePositionPatient=rounded(POSITION + number * STEP),
            ImageOrientationPatient=rounded(ORIENTATION, 10),
            PixelSpacing=list(SPACING),
            SliceThickness=2.5,
            Rows=SHAPE[1],
            Columns=SHAPE[2],
        )
        series.append(one)
    return series


def described(number, label, kind):
    category = codes.SCT.MorphologicallyAbnormalStructure
    return hd.seg.SegmentDescription(number, label, category, kind, hd.seg.SegmentAlgorithmTypeValues.MANUAL)


KINDS = (
    ("one", codes.SCT.Necrosis),
    ("two", codes.SCT.Edema),
    ("three", Code("C113842", "NCIt", "Enhancing Lesion")),
    ("Cavity", Code("unknown", "99FLAME", "unknown")),
)


def segmentation(masks, kind="BINARY", names=KINDS, **values):
    """SEG of masks (frame, row, column, segment)."""
    return hd.seg.Segmentation(
        images(),
        masks,
        kind,
        [described(number, *one) for number, one in enumerate(names[: masks.shape[-1]], start=1)],
        series_instance_uid="2.25.33",
        series_number=2,
        sop_instance_uid="2.25.34",
        instance_number=1,
        manufacturer="FLAME",
        manufacturer_model_name="test",
        software_versions="1",
        device_serial_number="1",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **values,
    )


def blobs(count=4):
    """Some voxels for each segment, with empty slices before, between and after."""
    masks = np.zeros((*SHAPE, count), bool)
    masks[1, 2:5, 3:8, 0] = True
    masks[4, 2:5, 3:8, 0] = True
    for segment in range(1, count):
        masks[2 + segment, 6:9, segment : segment + 3, segment] = True
    return masks


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_segments_come_back_on_the_image_they_were_painted_on(kind):
    masks = blobs()
    found = read_segmentation(
        segmentation(masks.astype(np.float32 if kind == "FRACTIONAL" else np.uint8), kind), REFERENCE
    )
    assert {name: one.shows for name, one in found.items()} == {
        "one": "NETC",
        "two": "SNFH",
        "three": "ET",
        "Cavity": "RC",
    }
    for number, one in enumerate(found.values()):
        np.testing.assert_array_equal(one.mask, masks[..., number].transpose(2, 1, 0))
        assert one.frame == FRAME


def test_a_file_reads_as_its_content(tmp_path):
    segmentation(blobs(2).astype(np.uint8)).save_as(tmp_path / "seg.dcm")
    found = read_segmentation(tmp_path / "seg.dcm", REFERENCE)
    np.testing.assert_array_equal(found["two"].mask, blobs(2)[..., 1].transpose(2, 1, 0))


def test_slices_that_are_left_out_do_not_thicken_those_that_are_there():
    masks = np.zeros((*SHAPE, 1), np.uint8)
    masks[[0, 3, 6], 4:6, 4:6] = 1
    found = read_segmentation(segmentation(masks), REFERENCE)["one"].mask
    assert np.flatnonzero(found.any(axis=(0, 1))).tolist() == [0, 3, 6]


def test_half_of_a_probability_is_inside():
    masks = np.zeros((*SHAPE, 1), np.float32)
    masks[3, 4, 4:8, 0] = (0.2, 0.49, 0.51, 1.0)
    found = read_segmentation(segmentation(masks, "FRACTIONAL"), REFERENCE)["one"].mask
    assert np.argwhere(found).tolist() == [[6, 4, 3], [7, 4, 3]]


def test_on_a_finer_grid_a_voxel_keeps_its_size():
    masks = np.zeros((*SHAPE, 1), np.uint8)
    masks[2:5, 2:8, 3:9] = 1
    affine = REFERENCE.affine @ np.diag([0.5, 0.5, 0.2, 1.0])
    affine[:3, 3] = REFERENCE.affine[:3, 3] - REFERENCE.affine[:3, :3] @ (0.25, 0.25, 0.4)
    fine = Grid((24, 20, 35), affine)
    found = read_segmentation(segmentation(masks), fine)["one"].mask
    voxel_mm3 = abs(np.linalg.det(affine[:3, :3]))
    assert found.sum() * voxel_mm3 == pytest.approx(6 * 6 * 3 * 0.8 * 2.5, rel=0.05), "its edges are rounded off"
    assert found[6:18, 4:16, 10:25].mean() > 0.95


def test_segments_in_another_frame_are_moved():
    moved = np.eye(4)
    moved[:3, 3] = REFERENCE.affine[:3, :3] @ (2, -1, 1)
    found = read_segmentation(segmentation(blobs(1).astype(np.uint8)), REFERENCE, moved)["one"].mask
    there = np.roll(blobs(1)[..., 0].transpose(2, 1, 0), (2, -1, 1), axis=(0, 1, 2))
    np.testing.assert_array_equal(found, there)


def test_labels_that_come_twice_get_a_number():
    names = (("GTV", Code("unknown", "99FLAME", "unknown")),) * 2
    found = read_segmentation(segmentation(blobs(2).astype(np.uint8), names=names), REFERENCE)
    assert {name: one.shows for name, one in found.items()} == {"GTV": "GTV", "GTV 2": "GTV"}


class TestRefusals:
    def test_another_object(self):
        with pytest.raises(DataError, match="not a DICOM SEG"):
            read_segmentation(rtplan(), REFERENCE)

    def test_uneven_slices(self):
        dataset = segmentation(blobs(1).astype(np.uint8))
        plane = dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
        plane.ImagePositionPatient = rounded(np.array(plane.ImagePositionPatient, float) + TURN[:, 0])
        with pytest.raises(DataError, match="even lattice"):
            read_segmentation(dataset, REFERENCE)

    def test_truncated_pixels(self):
        dataset = segmentation(blobs(2).astype(np.uint8))
        dataset.PixelData = dataset.PixelData[:4]
        with pytest.raises(DataError, match="pixel data"):
            read_segmentation(dataset, REFERENCE)

    def test_frames_without_a_segment(self):
        dataset = segmentation(blobs(2).astype(np.uint8))
        for group in dataset.PerFrameFunctionalGroupsSequence:
            del group.SegmentIdentificationSequence
        with pytest.raises(DataError, match="which segment"):
            read_segmentation(dataset, REFERENCE)
