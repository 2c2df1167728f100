import os
from pathlib import Path

import numpy as np
import pytest
from tests.imaging.heads import brain_volume, head, scanned, stretched

from flame.errors import DataError
from flame.imaging.brain import brain_of_head, brain_of_mask, brain_of_stripped, has_deepbet
from flame.imaging.itk import onto
from flame.records.volume import Grid, Volume, read_native

REAL = Path(os.environ.get("FLAME_REAL_EXAM", Path(__file__).parents[3] / "shared" / "real" / "TCGA-FG-6692"))


def _dice(one, two):
    return 2 * (one & two).sum() / (one.sum() + two.sum())


class TestBrainOfHead:
    @pytest.mark.parametrize(
        ("sequence", "scales"),
        [("T1w", (0.93, 0.95, 0.92)), ("FLAIR", (1.04, 0.98, 1.02))],
        ids=["small T1w", "wide FLAIR"],
    )
    def test_the_brain_of_another_head_is_found_in_thick_slices(self, sequence, scales):
        image = scanned(stretched(head(sequence, seed=5), scales), (1.0, 1.0, 5.0))
        found = brain_of_head(image, "atlas")
        truth = onto(stretched(brain_volume(), scales), image.grid, how="linear") > 0.5
        assert _dice(found.on(image.grid), truth) > 0.95
        assert found.source == "atlas"
        assert found.agreement > 0.92

    @pytest.mark.skipif(not REAL.is_dir(), reason=f"the real exam is not at {REAL}")
    def test_the_brain_of_a_real_exam_agrees_with_an_independent_tool(self):
        """By deepbet; that of the atlas, of the same exam, is judged by `tests/scenarios/test_prepare.py`."""
        if not has_deepbet():
            pytest.skip("deepbet is not installed: flame[brain]")
        image, truth = read_native(REAL / "t1c.nii.gz"), read_native(REAL / "brain_mask_t1c.nii.gz")
        found = brain_of_head(image, "deepbet")
        assert _dice(found.on(image.grid), truth.array > 0) >= 0.96

    @pytest.mark.skipif(has_deepbet(), reason="deepbet is installed")
    def test_deepbet_is_asked_for_by_name(self):
        with pytest.raises(DataError, match="deepbet is not installed"):
            brain_of_head(head(), "deepbet")


class TestBrainOfMask:
    def test_a_mask_comes_back_as_it_is(self):
        mask = brain_volume()
        found = brain_of_mask(mask)
        np.testing.assert_array_equal(found.on(mask.grid), mask.array > 0.5)
        assert found.volume_ml == pytest.approx((mask.array > 0.5).sum() * 8 / 1000)

    def test_specks_and_holes_are_put_right(self):
        array = np.zeros((20, 20, 20), np.float32)
        array[4:16, 4:16, 4:16] = 1
        whole = array > 0
        array[10, 10, 10] = 0
        array[0, 0, 0] = 1
        found = brain_of_mask(Volume(array, Grid(array.shape, np.eye(4))))
        np.testing.assert_array_equal(found.on(found.depth.grid), whole)

    def test_an_empty_one_is_refused(self):
        with pytest.raises(DataError, match="empty"):
            brain_of_mask(Volume(np.zeros((4, 4, 4), np.float32), Grid((4, 4, 4), np.eye(4))))


def test_a_stripped_image_shows_its_brain_whatever_the_background_is():
    inside = np.zeros((16, 16, 16), bool)
    inside[3:12, 3:13, 4:12] = True
    array = np.where(inside, np.random.default_rng(1).normal(0, 1, inside.shape), -7.5).astype(np.float32)
    found = brain_of_stripped([Volume(array, Grid(array.shape, np.eye(4)))])
    np.testing.assert_array_equal(found.on(found.depth.grid), inside)
    assert found.source == "stripped"
