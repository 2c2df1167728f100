import numpy as np
from tests.imaging.heads import rigid

from flame.imaging.brain import brain_of_mask
from flame.imaging.grids import tight_grid
from flame.records.volume import Grid, Volume


def test_the_box_holds_the_brain_with_its_rim_and_no_more():
    mask = np.zeros((30, 30, 30), np.float32)
    mask[5:25, 8:20, 10:12] = 1
    grid = tight_grid(brain_of_mask(Volume(mask, Grid(mask.shape, np.eye(4)))), 1.0, 6.0)
    np.testing.assert_array_equal(grid.affine[:3, :3], np.eye(3))
    low, high = grid.affine[:3, 3], grid.affine[:3, 3] + np.array(grid.shape) - 1
    np.testing.assert_array_equal(low, np.floor([5 - 6.5, 8 - 6.5, 10 - 6.5]))
    np.testing.assert_array_equal(high, np.ceil([24 + 6.5, 19 + 6.5, 11 + 6.5]))


def test_an_oblique_brain_is_whole_on_the_upright_grid():
    mask = np.zeros((30, 30, 12), np.float32)
    mask[5:25, 5:25, 2:10] = 1
    native = Grid(mask.shape, rigid((20.0, 10.0, 30.0), (7.0, 8.0, 9.0)) @ np.diag([-1.0, -1.0, 3.0, 1.0]))
    brain = brain_of_mask(Volume(mask, native))
    grid = tight_grid(brain, 1.0, 2.0)
    assert abs(brain.on(grid).sum() / (mask.sum() * 3) - 1) < 0.05
    assert not brain.on(grid)[[0, -1]].any()


def test_an_upright_reference_of_the_same_spacing_lends_its_voxels():
    """Axes may be turned round or swapped, as in sagittal slices; other spacings and oblique images keep to 0 mm."""
    mask = np.zeros((30, 30, 30), np.float32)
    mask[5:25, 8:20, 10:12] = 1
    turned = np.array([[0, 0, 2.0, -31.3], [-2.0, 0, 0, 40.9], [0, -2.0, 0, 12.7], [0, 0, 0, 1]])
    native = Grid(mask.shape, turned)
    brain = brain_of_mask(Volume(mask, native))
    np.testing.assert_allclose(tight_grid(brain, 2.0, 6.0, native).affine[:3, 3] % 2, [0.7, 0.9, 0.7])
    assert brain.on(tight_grid(brain, 2.0, 6.0, native)).sum() == mask.sum()
    oblique = Grid(mask.shape, rigid((2.0, 0.0, 0.0), (0.0, 0.0, 0.0)) @ turned)
    for spacing, reference in ((1.0, native), (4.0, native), (2.0, oblique), (2.0, None)):
        np.testing.assert_array_equal(tight_grid(brain, spacing, 6.0, reference).affine[:3, 3] % spacing, 0)
