import numpy as np
import pytest
from tests.imaging.heads import rigid

from flame.imaging.itk import from_image, matrix_of, onto, rigid_error, shrunk, to_image, transform_of
from flame.records.volume import Grid, Volume

OBLIQUE = rigid((10.0, -20.0, 5.0), (3.0, 4.0, 5.0)) @ np.diag([-0.9, -0.9, 3.0, 1.0])


def _volume(shape=(7, 8, 9), affine=OBLIQUE):
    array = np.random.default_rng(3).normal(100, 10, shape).astype(np.float32)
    return Volume(array, Grid(shape, affine))


def test_there_and_back_is_the_same_volume():
    volume = _volume()
    back = from_image(to_image(volume))
    np.testing.assert_array_equal(back.array, volume.array)
    assert back.grid.matches(volume.grid)


def test_positions_are_those_of_the_affine_in_lps():
    image = to_image(_volume())
    x, y, z = (OBLIQUE @ [2, 3, 4, 1])[:3]
    np.testing.assert_allclose(image.TransformIndexToPhysicalPoint((2, 3, 4)), (-x, -y, z), atol=1e-9)


def test_a_matrix_survives_as_a_transform():
    matrix = rigid((5.0, 6.0, 7.0), (1.0, 2.0, 3.0))
    np.testing.assert_allclose(matrix_of(transform_of(matrix)), matrix, atol=1e-12)


def test_a_whole_voxel_shift_moves_values_and_changes_none():
    volume = _volume(affine=np.eye(4))
    shift = np.eye(4)
    shift[:3, 3] = (1, 2, 0)
    found = onto(volume, volume.grid, shift, how="linear")
    np.testing.assert_allclose(found[1:, 2:], volume.array[:-1, :-2], rtol=1e-6)
    assert not found[0].any()


def test_a_plane_of_brightness_is_the_same_plane_through_any_rigid_map():
    """Linear and cubic interpolation reproduce a linear function exactly: an independent check of every convention."""
    grid = Grid((20, 20, 20), OBLIQUE @ np.diag([1, 1, 0.3, 1]))
    normal = np.array([1.0, -2.0, 0.5])
    voxels = np.moveaxis(np.indices(grid.shape), 0, -1)
    at = voxels @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    matrix = rigid((8.0, 3.0, -4.0), (2.0, 1.0, -1.0))
    inner = Grid((3, 3, 3), grid.affine.copy())
    inner.affine[:3, 3] = (matrix @ grid.affine @ [9, 9, 9, 1])[:3]
    wanted_at = np.moveaxis(np.indices(inner.shape), 0, -1) @ inner.affine[:3, :3].T + inner.affine[:3, 3]
    before = (wanted_at - matrix[:3, 3]) @ matrix[:3, :3]
    for how in ("linear", "cubic"):
        found = onto(Volume((at @ normal).astype(np.float32), grid), inner, matrix, how=how)
        np.testing.assert_allclose(found, before @ normal, atol=1e-2 if how == "cubic" else 1e-3)


def test_cubic_stays_within_the_range_of_the_volume():
    array = np.zeros((12, 12, 12), np.float32)
    array[6:] = 100
    fine = Grid((40, 12, 12), np.diag([0.3, 1.0, 1.0, 1.0]))
    found = onto(Volume(array, Grid(array.shape, np.eye(4))), fine)
    assert found.min() >= 0
    assert found.max() <= 100


def test_shrinking_keeps_the_field_of_view_and_thick_slices():
    volume = Volume(np.ones((40, 40, 6), np.float32), Grid((40, 40, 6), np.diag([1.0, 1.0, 5.0, 1.0])))
    small = shrunk(volume, 4.0)
    assert small.grid.shape == (10, 10, 6)
    np.testing.assert_allclose(small.grid.spacing_mm, (4, 4, 5))
    middle = [(np.array(one.grid.shape) - 1) / 2 for one in (volume, small)]
    places = [one.grid.affine[:3, :3] @ at + one.grid.affine[:3, 3] for one, at in zip((volume, small), middle)]
    np.testing.assert_allclose(*places)


@pytest.mark.parametrize(
    ("matrix", "error"), [(np.eye(4), 0.0), (np.diag([1.01, 1, 1, 1]), 0.0201), (np.diag([-1.0, 1, 1, 1]), 1.0)],
    ids=["identity", "scaled", "mirrored"],
)  # fmt: skip
def test_what_is_not_rigid_is_told(matrix, error):
    assert rigid_error(matrix) == pytest.approx(error, abs=1e-9)
