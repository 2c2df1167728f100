import numpy as np
import pytest
from tests.imaging.heads import rigid

from flame.errors import DataError
from flame.imaging.label_maps import label_map_of, labels_onto, mask_onto, regions_known
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

    def test_a_mask_is_cut_at_one_half(self):
        found = mask_onto(Volume(BIG.astype(np.float32), CUBE), CUBE)
        np.testing.assert_array_equal(found, BIG)
