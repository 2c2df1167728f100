import numpy as np
import pytest
from tests.imaging.heads import rigid

from flame.errors import DataError
from flame.imaging.itk import onto
from flame.imaging.label_maps import label_map_of, labels_onto, masks_onto, regions_known
from flame.records.patient import LABELS, REGIONS
from flame.records.volume import Grid, Volume

CUBE = Grid((10, 10, 10), np.eye(4))


def _mask(*spans):
    mask = np.zeros(CUBE.shape, bool)
    mask[tuple(slice(*span) for span in spans)] = True
    return mask


BIG, MIDDLE, SMALL = (_mask(*[(at, 10 - at)] * 3) for at in (1, 2, 3))


class TestLabelMapOf:
    def test_a_gtv_alone_is_the_core_and_enhancement_is_unknown(self):
        found, regions = label_map_of(None, (), {"GTV": MIDDLE})
        np.testing.assert_array_equal(np.isin(found, REGIONS["TC"]), MIDDLE)
        assert regions == ("TC",)

    def test_a_gtv_around_enhancement_is_necrosis(self):
        found, regions = label_map_of(None, (), {"GTV": MIDDLE, "ET": SMALL})
        np.testing.assert_array_equal(found == LABELS["ET"], SMALL)
        np.testing.assert_array_equal(found == LABELS["NETC"], MIDDLE & ~SMALL)
        assert regions == ("ET", "TC")

    def test_a_whole_tumour_alone_says_nothing_of_its_parts(self):
        found, regions = label_map_of(None, (), {"WT": BIG})
        np.testing.assert_array_equal(np.isin(found, REGIONS["WT"]), BIG)
        assert regions == ("WT",)

    def test_whole_tumour_and_gtv_together(self):
        found, regions = label_map_of(None, (), {"WT": BIG, "GTV": MIDDLE})
        np.testing.assert_array_equal(np.isin(found, REGIONS["TC"]), MIDDLE)
        np.testing.assert_array_equal(np.isin(found, REGIONS["WT"]), BIG)
        assert regions == ("TC", "WT")

    def test_all_masks_tell_all_regions(self):
        masks = {"SNFH": BIG, "NETC": MIDDLE, "ET": SMALL}
        found, regions = label_map_of(None, (), masks)
        assert regions is None
        assert [(found == value).sum() for value in (3, 1, 2)] == [64, 216 - 64, 512 - 216]

    def test_a_label_map_comes_first(self):
        labels = np.where(SMALL, 1, 0).astype(np.uint8)
        found, regions = label_map_of(labels, (1, 2, 3, 4), {"RC": MIDDLE})
        assert (found[SMALL] == 1).all()
        assert (found[MIDDLE & ~SMALL] == 4).all()
        assert regions is None

    def test_nothing_is_refused(self):
        with pytest.raises(ValueError, match="nothing"):
            label_map_of(None, (), {})


@pytest.mark.parametrize(
    ("known", "shown", "regions"),
    [
        ((1, 2, 3), (), None),
        ((3,), (), ("ET",)),
        ((1, 3), (), ("ET", "TC")),
        ((2,), (), ()),
        ((), ("RC",), ()),
        ((), ("SNFH",), ()),
        ((1, 3), ("SNFH",), None),
    ],
    ids=["all", "enhancement", "core", "oedema", "cavity", "oedema mask", "map and mask"],
)
def test_regions_known(known, shown, regions):
    assert regions_known(known, shown) == regions


class TestOnto:
    def test_on_its_own_grid_a_label_map_is_itself(self):
        labels = (BIG.astype(np.uint8) * 2 + MIDDLE - SMALL * np.uint8(2)).astype(np.uint8)
        np.testing.assert_array_equal(labels_onto(Volume(labels, CUBE), CUBE), labels)

    def test_thick_slices_give_a_sphere_its_volume(self):
        thick = Grid((60, 60, 12), np.diag([1.0, 1.0, 5.0, 1.0]))
        place = np.indices(thick.shape).T * [1, 1, 5] - 29.5
        ball = ((place**2).sum(-1).T < 20**2).astype(np.uint8)
        matrix = rigid((10.0, 5.0, 0.0), (3.0, 25.0, 0.0))
        fine = Grid((90, 110, 90), np.eye(4))
        fine.affine[:3, 3] = (-10, -10, -10)
        found = labels_onto(Volume(ball * np.uint8(3), thick), fine, matrix)
        assert set(np.unique(found)) == {0, 3}
        assert (found == 3).sum() == pytest.approx(5 * ball.sum(), rel=0.03)

    def test_labels_that_do_not_exist_are_refused(self):
        with pytest.raises(DataError, match="holds 5"):
            labels_onto(Volume(np.full((3, 3, 3), 5, np.uint8), Grid((3, 3, 3), np.eye(4))), CUBE)

    def test_a_grid_of_half_the_spacing_keeps_every_width(self):
        """Every second fine voxel lies right between two coarse ones: edges may move neither out nor in."""
        fine = Grid((20, 20, 20), np.diag([0.5, 0.5, 0.5, 1.0]))
        found = labels_onto(Volume((MIDDLE * 2 + SMALL).astype(np.uint8), CUBE), fine)
        for line in (found[:, 10, 10], found[10, :, 10], found[10, 10]):
            assert (line == 3).sum() == 2 * 4
            assert (line > 0).sum() == 2 * 6

    @pytest.mark.parametrize(
        ("slice_mm", "bounds"),
        [(1, (0.94, 0.98, 0.985)), (2, (0.92, 0.97, 0.98)), (5, (0.79, 0.93, 0.96))],
        ids=["1 mm", "2 mm", "5 mm"],
    )
    def test_a_core_with_a_thin_rim_agrees_with_the_drawn_shape(self, slice_mm, bounds):
        """Necrosis in a rim of 3 mm in oedema, on slices that are turned by 12 degrees, against the formula.

        What is missing, the slices never showed; what was drawn is met better than by the nearest voxel.
        """
        thick = Grid((60, 60, 60 // slice_mm), np.diag([1.0, 1.0, slice_mm, 1.0]))
        thick.affine[:3, 3] = (-29.5, -29.5, (slice_mm - 60) / 2)
        fine = Grid((60, 60, 60), np.eye(4))
        fine.affine[:3, 3] = -29.3
        turn = rigid((10.0, 5.0, 4.0), (0.0, 0.0, 0.0))
        turn[:3, 3] = 0
        drawn = Volume(_rimmed(thick, turn), thick)
        found, nearest = labels_onto(drawn, fine, turn), onto(drawn, fine, turn, how="nearest")
        truth = _rimmed(fine, np.eye(4))
        for region, bound in zip(("ET", "TC", "WT"), bounds, strict=True):
            there, one, other = (np.isin(array, REGIONS[region]) for array in (truth, found, nearest))
            assert _dice(one, there) >= bound, region
            assert _dice(one, there) > _dice(other, there), region
            assert one.sum() == pytest.approx(there.sum(), rel=0.05), region

    def test_a_thin_rim_is_not_lost_between_its_neighbours(self):
        """A rim of one coarse voxel: were every label to hold half of a voxel, 1.8 % of the tumour would be gaps."""
        coarse = Grid((16, 16, 16), np.diag([4.0, 4.0, 4.0, 1.0]))
        coarse.affine[:3, 3] = -30
        fine = Grid((60, 60, 60), np.eye(4))
        fine.affine[:3, 3] = -29.3
        drawn = Volume(_rimmed(coarse, np.eye(4)), coarse)
        found = labels_onto(drawn, fine)
        alone = np.array([onto(Volume(drawn.array == value, coarse), fine, how="linear") > 0.5 for value in (1, 2, 3)])
        volumes = [64 * np.isin(drawn.array, REGIONS[region]).sum() for region in ("ET", "TC", "WT")]
        kept = [np.isin(found, REGIONS[region]).sum() for region in ("ET", "TC", "WT")]
        assert kept == pytest.approx(volumes, rel=0.06)
        assert (found[~alone.any(0)] > 0).sum() > 0.015 * volumes[2]


def _rimmed(grid, matrix):
    """Labels of balls in balls of 10, 13 and 22 mm at the voxels of a grid."""
    affine = matrix @ grid.affine
    away = np.linalg.norm(np.moveaxis(np.indices(grid.shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3], axis=-1)
    return np.select([away < 10, away < 13, away < 22], [1, 3, 2]).astype(np.uint8)


def _dice(one, two):
    return 2 * (one & two).sum() / (one.sum() + two.sum())


class TestMasksOnto:
    HALF = Grid((10, 10, 10), np.eye(4))
    HALF.affine[:3, 3] = (0.4, 0.4, 0.4)

    def test_neighbours_leave_no_gap(self):
        """The union of what is carried is the carried union, although all three meet in one line."""
        quarters = np.zeros((3, *CUBE.shape), bool)
        quarters[0, 2:5, 2:5, 2:8] = quarters[1, 5:8, 2:5, 2:8] = quarters[2, 2:8, 5:8, 2:8] = True
        apart = masks_onto(dict(zip(("ET", "NETC", "SNFH"), quarters, strict=True)), CUBE, self.HALF)
        (whole,) = masks_onto({"WT": quarters.any(0)}, CUBE, self.HALF).values()
        np.testing.assert_array_equal(np.any(list(apart.values()), axis=0), whole)
        assert sum(mask.sum() for mask in apart.values()) == whole.sum()

    def test_where_outlines_overlap_the_inner_one_counts(self):
        found = masks_onto({"WT": BIG, "GTV": MIDDLE, "ET": SMALL}, CUBE, CUBE)
        np.testing.assert_array_equal(found["ET"], SMALL)
        np.testing.assert_array_equal(found["GTV"], MIDDLE & ~SMALL)
        np.testing.assert_array_equal(found["WT"], BIG & ~MIDDLE)

    def test_an_empty_outline_stays_one(self):
        """That nothing enhances has been looked at, and is not the same as an outline that is missing."""
        found = masks_onto({"ET": np.zeros(CUBE.shape, bool), "RC": SMALL}, CUBE, CUBE)
        assert not found["ET"].any()
        np.testing.assert_array_equal(found["RC"], SMALL)
