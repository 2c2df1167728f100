"""Predicted maps as DICOM: where they lie, that they read back the same, and that two exports are one."""

import numpy as np
import pytest
from tests.dicom.archive import AUTHOR, GRID, NAME, PATIENT, SOURCE, again, encoded, masks, turned
from tests.dicom.standard import violations

from flame.dicom.results.derived import RESEARCH_ONLY
from flame.dicom.results.maps import PROBABILITY_STEP, on_source, probability_map, read_map, read_masks, segmentation
from flame.records.patient import REGIONS
from flame.records.volume import Grid, Volume


def probabilities():
    generator = np.random.default_rng(3)
    values = np.zeros(GRID.shape, np.float32)
    values[4:18, 3:15, 5:9] = generator.random((14, 12, 4))
    return np.asarray(np.rint(values / PROBABILITY_STEP) * PROBABILITY_STEP, np.float32)


def test_a_map_is_read_where_prepare_put_the_head():
    """A linear ramp of position is exact under linear interpolation: value(source voxel) = ramp(prepared position)."""
    to_source = turned((6, 4), (5.0, -8.0, 3.0))
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = (-70, -70, -70)
    grid = Grid((140, 140, 140), affine)
    positions = np.einsum("ij,j...->i...", affine[:3, :3], np.indices(grid.shape)) + affine[:3, 3, None, None, None]
    slope = np.array([0.001, -0.002, 0.0015])
    ramp = 0.5 + np.tensordot(slope, positions, 1)
    found = on_source(Volume(ramp.astype(np.float32), grid), SOURCE, to_source)
    index = np.stack([*np.indices(GRID.shape).reshape(3, -1), np.ones(np.prod(GRID.shape))])
    prepared = (np.linalg.inv(to_source) @ GRID.affine @ index)[:3]
    np.testing.assert_allclose(found.ravel(), 0.5 + slope @ prepared, atol=PROBABILITY_STEP)


def test_masks_read_back_the_same():
    seg = again(segmentation(SOURCE, masks(), AUTHOR, ("photon", 900), 1))
    found = read_masks(seg)
    assert list(found) == list(REGIONS)
    for region, mask in masks().items():
        volume = found[region]
        np.testing.assert_allclose(volume.grid.affine[:3, :3], GRID.affine[:3, :3], atol=1e-6)
        offset = np.linalg.inv(GRID.affine) @ volume.grid.affine[:, 3]
        first = np.rint(offset[:3]).astype(int)
        np.testing.assert_allclose(offset[:3], first, atol=1e-6)
        whole = np.zeros(GRID.shape, bool)
        whole[:, :, first[2] : first[2] + volume.grid.shape[2]] = volume.array
        np.testing.assert_array_equal(whole, mask)


def test_probabilities_read_back_the_same():
    made = again(probability_map(SOURCE, probabilities(), "WT", AUTHOR, ("photon, probability", 901), 1))
    found = read_map(made)
    used = np.flatnonzero(probabilities().any(axis=(0, 1)))
    np.testing.assert_allclose(found.array, probabilities()[:, :, used[0] : used[-1] + 1], atol=1e-7)
    expected = GRID.affine.copy()
    expected[:3, 3] += used[0] * expected[:3, 2]
    np.testing.assert_allclose(found.grid.affine, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["SEG", "PM"])
def test_objects_belong_to_the_patient_and_say_what_they_are(kind):
    if kind == "SEG":
        made = segmentation(SOURCE, masks(), AUTHOR, ("photon", 900), 1)
        algorithm = made.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("evolution-unet", "abc123")
    else:
        made = probability_map(SOURCE, probabilities(), "WT", AUTHOR, ("photon", 900), 1)
        assert made.ContentQualification == "RESEARCH"
    assert (made.PatientName, made.PatientID, made.StudyInstanceUID) == (NAME, PATIENT, "2.25.29")
    assert made.FrameOfReferenceUID == "2.25.30"
    assert made.ContentDescription == RESEARCH_ONLY
    referenced = made.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == "2.25.31"
    assert violations(made) == []


def test_two_exports_are_the_same_bytes_and_another_content_another_object():
    one, two = (segmentation(SOURCE, masks(), AUTHOR, ("photon", 900), 1) for _ in range(2))
    assert encoded(one) == encoded(two)
    other = masks() | {"ET": masks()["TC"]}
    changed = segmentation(SOURCE, other, AUTHOR, ("photon", 900), 1)
    assert changed.SOPInstanceUID != one.SOPInstanceUID
    assert changed.SeriesInstanceUID == one.SeriesInstanceUID
    maps = [probability_map(SOURCE, probabilities(), "WT", AUTHOR, ("photon", 901), 1) for _ in range(2)]
    assert encoded(maps[0]) == encoded(maps[1])


def test_nothing_to_show_is_refused():
    empty = {region: np.zeros(GRID.shape, bool) for region in REGIONS}
    with pytest.raises(ValueError, match="says nothing"):
        segmentation(SOURCE, empty, AUTHOR, ("photon", 900), 1)
    with pytest.raises(ValueError, match="says nothing"):
        probability_map(SOURCE, np.zeros(GRID.shape, np.float32), "WT", AUTHOR, ("photon", 900), 1)
