import numpy as np
import pytest
from tests.imaging.heads import brain_volume, head, moved, rigid, scanned, stretched

from flame.errors import DataError
from flame.imaging.align import align, displacement_mm, settle
from flame.imaging.quality import judge
from flame.records.volume import Grid, Volume

MM = 4.0
SMALL = (0.7, 0.7, 0.7)
"""A newborn's head has a third of the volume, and so of the voxels of 8 mm at which most of the time is spent."""


def small(volume):
    return stretched(volume, SMALL)


HEAD = small(head("T1w", spacing_mm=MM))
BRAIN = small(brain_volume(MM))


def _points():
    inside = np.argwhere(BRAIN.array > 0.5)[::50]
    return inside @ BRAIN.grid.affine[:3, :3].T + BRAIN.grid.affine[:3, 3]


class TestAlign:
    @pytest.mark.parametrize(
        ("degrees", "shift_mm", "spacing_mm"),
        [((12.0, -5.0, 9.0), (8.0, -6.0, 10.0), 2.0), ((-14.0, 4.0, -11.0), (-15.0, 20.0, -18.0), 4.0)],
        ids=["nodded", "far"],
    )
    def test_a_known_move_is_found(self, degrees, shift_mm, spacing_mm):
        truth = rigid(degrees, shift_mm)
        other = moved(small(head("FLAIR", 2, spacing_mm)), np.linalg.inv(truth))
        found = align(other, small(head("T1w", 1, spacing_mm)), small(brain_volume(spacing_mm)))
        assert displacement_mm(found.matrix @ np.linalg.inv(truth), _points()) < 0.5
        assert found.inverse_mm < 0.5
        assert found.information > found.information_before
        assert judge("FLAIR", "information", found.information).light == "green"
        assert abs(np.linalg.det(found.matrix[:3, :3]) - 1) < 1e-9

    def test_thick_slices_are_aligned_within_a_fraction_of_a_slice(self):
        truth = rigid((6.0, 3.0, -8.0), (4.0, 5.0, 3.0))
        other = scanned(moved(small(head("FLAIR", 2, MM)), np.linalg.inv(truth)), (3.0, 3.0, 6.0))
        found = align(other, HEAD, BRAIN)
        assert displacement_mm(found.matrix @ np.linalg.inv(truth), _points()) < 1.0

    def test_an_image_of_nothing_is_refused_or_told_by_its_figure(self):
        adult = head("T1w", spacing_mm=MM)
        noise = np.random.default_rng(1).normal(100, 10, adult.grid.shape).astype(np.float32)
        try:
            found = align(Volume(noise, adult.grid), adult, brain_volume(MM))
        except DataError:
            return
        assert judge("T1w", "information", found.information).light == "red"


class TestSettle:
    def test_a_frame_that_is_right_is_kept_to_the_byte(self):
        vouched = rigid((2.0, 1.0, 3.0), (5.0, -4.0, 3.0))
        other = moved(small(head("FLAIR", 2, MM)), np.linalg.inv(vouched))
        found = settle(other, HEAD, BRAIN, vouched)
        assert found.kept
        np.testing.assert_array_equal(found.matrix, vouched)
        assert found.aligned.moved_mm < 0.5

    def test_a_frame_that_is_wrong_is_not_believed(self):
        """And the same images give the same bytes: what is aligned then is what `align` finds on its own."""
        truth = rigid((4.0, 0.0, 0.0), (0.0, 6.0, 3.0))
        other = moved(small(head("FLAIR", 2, MM)), np.linalg.inv(truth))
        found = settle(other, HEAD, BRAIN, np.eye(4))
        assert not found.kept
        assert displacement_mm(found.matrix @ np.linalg.inv(truth), _points()) < 0.5
        again = align(other, HEAD, BRAIN).matrix
        assert again.tobytes() == found.aligned.matrix.tobytes() == found.matrix.tobytes()

    def test_without_a_voucher_images_are_aligned(self):
        grid = Grid(HEAD.grid.shape, rigid((0.0, 0.0, 0.0), (30.0, 0.0, 0.0)) @ HEAD.grid.affine)
        found = settle(Volume(HEAD.array, grid), HEAD, BRAIN, None)
        assert not found.kept
        np.testing.assert_allclose(found.matrix[:3, 3], (-30, 0, 0), atol=0.3)


def test_displacement_of_a_shift_is_its_length():
    assert displacement_mm(rigid((0.0, 0.0, 0.0), (3.0, 0.0, 4.0)), _points()) == pytest.approx(5.0)
