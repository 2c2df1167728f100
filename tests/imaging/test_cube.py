import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame.imaging.cube import Crop, cube_around, resample
from flame.records.volume import Grid, Volume


def _grid(shape, spacing, origin=(0.0, 0.0, 0.0)):
    affine = np.diag([*np.broadcast_to(np.asarray(spacing, float), 3), 1.0])
    affine[:3, 3] = origin
    return Grid(shape, affine)


def _ramp(grid, direction):
    """Values that are linear in the position [mm]."""
    index = np.stack(np.indices(grid.shape), -1)
    position = index * np.array(grid.spacing_mm) + grid.affine[:3, 3]
    return (position @ np.array(direction)).astype(np.float32)


class TestCubeAround:
    def test_the_centre_is_the_middle_voxel(self):
        cube = cube_around(np.array([3.0, -7.0, 11.0]), _grid((90, 110, 90), 2.0), Crop(spacing_mm=2.0, size=64))
        middle = cube.affine[:3, 3] + 32 * 2.0
        assert np.abs(middle - [3.0, -7.0, 11.0]).max() <= 1.0
        assert cube.shape == (64, 64, 64)

    @given(st.tuples(*[st.floats(-100, 100)] * 6))
    @settings(deadline=None, derandomize=True)
    def test_voxels_of_equal_spacing_are_those_of_the_image(self, numbers):
        reference = _grid((5, 5, 5), 2.0, numbers[:3])
        cube = cube_around(np.array(numbers[3:]), reference, Crop(spacing_mm=2.0, size=8))
        steps = (cube.affine[:3, 3] - reference.affine[:3, 3]) / 2.0
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)


class TestCrop:
    @pytest.mark.parametrize("wrong", [{"size": 12}, {"size": 0}, {"spacing_mm": 0.0}, {"spacing_mm": float("inf")}])
    def test_what_a_network_cannot_use_is_refused(self, wrong):
        with pytest.raises(ValueError):
            Crop(**wrong)


class TestResample:
    RANDOM = np.random.default_rng(5).normal(size=(6, 7, 8)).astype(np.float32)

    def test_equal_spacing_is_cut_out_exactly_and_padded_with_zero(self):
        volume = Volume(self.RANDOM, _grid((6, 7, 8), 2.0))
        found = resample(volume, _grid((8, 8, 8), 2.0, (4.0, -2.0, 2.0)))
        expected = np.zeros((8, 8, 8), np.float32)
        expected[:4, 1:, :7] = self.RANDOM[2:, :, 1:]
        np.testing.assert_array_equal(found, expected)

    @pytest.mark.parametrize("spacing", [2.0, 1.0, 4.0])
    @pytest.mark.parametrize("nearest", [True, False])
    def test_a_grid_elsewhere_holds_zeros(self, spacing, nearest):
        found = resample(Volume(self.RANDOM, _grid((6, 7, 8), 2.0)), _grid((8, 8, 8), spacing, (500.0, 0, 0)), nearest)
        assert found.shape == (8, 8, 8)
        assert not found.any()

    @pytest.mark.parametrize(
        ("spacing", "target"),
        [(1.0, 0.5), (1.0, 2.0), (1.0, 3.0), ((1.0, 1.0, 3.0), 2.0), (2.0, 2.0)],
        ids=["finer", "twice coarser", "thrice coarser", "anisotropic", "half a voxel aside"],
    )
    def test_linear_intensities_stay_linear(self, spacing, target):
        source = _grid((30, 31, 32), spacing)
        grid = _grid((4, 4, 4), target, (9.5, 9.5, 15.0))
        direction = (0.3, -1.1, 0.7 if isinstance(spacing, float) else 0.0)
        found = resample(Volume(_ramp(source, direction), source), grid)
        np.testing.assert_allclose(found, _ramp(grid, direction), atol=2e-5)

    def test_a_finer_grid_agrees_with_scipy(self):
        from scipy.ndimage import map_coordinates

        grid = _grid((8, 8, 8), 1.3, (1.1, 2.2, 3.3))
        found = resample(Volume(self.RANDOM, _grid((6, 7, 8), 2.0)), grid)
        places = (np.stack(np.indices((8, 8, 8))) * 1.3 + np.array([1.1, 2.2, 3.3])[:, None, None, None]) / 2.0
        expected = map_coordinates(self.RANDOM, places, order=1, mode="grid-constant")
        np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_a_pattern_finer_than_the_grid_is_averaged_and_not_aliased(self):
        stripes = np.indices((32, 32, 32))[0] % 2 * np.float32(2)
        found = resample(Volume(stripes, _grid((32, 32, 32), 1.0)), _grid((8, 8, 8), 2.0, (8.0, 8.0, 8.0)))
        np.testing.assert_allclose(found, 1.0, atol=1e-6)

    def test_labels_take_the_nearest_voxel(self):
        labels = np.arange(6 * 7 * 8, dtype=np.uint8).reshape(6, 7, 8)
        found = resample(Volume(labels, _grid((6, 7, 8), 2.0)), _grid((3, 3, 3), 4.0, (0.9, -0.9, 2.0)), nearest=True)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, labels[np.ix_([0, 2, 4], [0, 2, 4], [1, 3, 5])])

    def test_labels_half_a_voxel_aside_are_not_mixed(self):
        labels = np.array([0, 3, 3, 1], np.uint8).reshape(4, 1, 1)
        found = resample(Volume(labels, _grid((4, 1, 1), 2.0)), _grid((4, 1, 1), 2.0, (0.8, 0, 0)), nearest=True)
        np.testing.assert_array_equal(found, labels)
