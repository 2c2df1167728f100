"""What voxels say: bright or dark fluid, and which of two T1 enhances."""

from pathlib import Path

import numpy as np
import pytest
from tests.dicom.heads import head

from flame.dicom.images.content import FLUID, enhancement, fluid
from flame.records.patient import SEQUENCES
from flame.records.volume import Grid, Volume, read_native

REAL = Path(__file__).parents[3] / "shared" / "real" / "TCGA-FG-6692"


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_fluid_of_a_head(sequence):
    assert fluid(head(sequence)) == FLUID[sequence]


def test_fluid_does_not_depend_on_the_order_of_axes():
    volume = head("T2w")
    affine = volume.grid.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (volume.grid.shape[0] - 1)
    affine[:3, 0] *= -1
    sagittal = affine[:, [1, 2, 0, 3]]
    array = volume.array[::-1].transpose(1, 2, 0)
    assert fluid(Volume(array, Grid(array.shape, sagittal))) == "bright"


def test_nothing_is_said_of_an_even_or_an_empty_image():
    grid = head("T1w").grid
    assert fluid(Volume(np.zeros(grid.shape, np.float32), grid)) is None
    assert fluid(Volume(np.ones(grid.shape, np.float32), grid)) is None
    assert enhancement(Volume(np.zeros(grid.shape, np.float32), grid), head("T1ce")) is None


def test_nothing_is_said_of_a_part_of_a_head():
    volume = head("T2w")
    part = Volume(volume.array[:, :, :6], Grid((58, 70, 6), volume.grid.affine))
    assert fluid(part) is None


def test_enhancement_has_a_sign():
    before, again, after = head("T1w"), head("T1w", 1), head("T1ce", 2)
    # the ring fills 3.5 % of the middle and rises from 1 to 2.5 medians
    assert enhancement(before, after) > 1
    assert enhancement(after, before) < -1
    assert abs(enhancement(before, again)) < 0.02


@pytest.mark.skipif(not REAL.is_dir(), reason="there is no real exam beside the repository")
def test_a_real_exam_says_what_its_headers_said():
    volumes = {name: read_native(REAL / f"{name}.nii.gz") for name in ("t1", "t1c", "t2", "flair")}
    assert [fluid(volume) for volume in volumes.values()] == ["dark", "dark", "bright", "dark"]
    assert enhancement(volumes["t1"], volumes["t1c"]) > 0.3
    assert enhancement(volumes["t1c"], volumes["t1"]) < -0.3
