"""Measurements of masks: the vectors of the literature, what is measurable, what is a lesion, and symmetries."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from flame.rano.measure import Plane, measure, volumes

Mask = NDArray[np.bool_]
MILLIMETRE = (1.0, 1.0, 1.0)


def slab(piece: NDArray[np.bool_], slices: int = 3) -> Mask:
    """The same outline on a few slices, with a margin all around."""
    return np.pad(np.repeat(piece[:, :, None], slices, axis=2), 2)


def plane(size: int = 44) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    line = np.arange(size) + 0.5 - size / 2
    return line[:, None], line[None, :]


def ball(radius_mm: float, spacing_mm: tuple[float, float, float] = MILLIMETRE) -> Mask:
    line = [(np.arange(-n, n) + 0.5) * edge for edge in spacing_mm for n in [math.ceil(radius_mm / edge) + 1]]
    x, y, z = np.meshgrid(*line, indexing="ij")
    mask: Mask = x**2 + y**2 + z**2 <= radius_mm**2
    return mask


def lesions(seed: int, shape: tuple[int, int, int] = (22, 20, 10)) -> Mask:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.0)
    mask: Mask = field > np.quantile(field, 0.8)
    return mask


def test_a_disc_of_radius_10() -> None:
    x, y = plane()
    (lesion,) = measure(slab(x**2 + y**2 <= 100), MILLIMETRE).lesions
    voxel_mm = math.sqrt(2)  # corner to corner, for the outline goes around voxels
    assert lesion.long_mm == pytest.approx(20.0, abs=voxel_mm)
    assert lesion.perpendicular_mm == pytest.approx(20.0, abs=voxel_mm)
    assert lesion.product_mm2 == pytest.approx(400.0, abs=2 * 20 * voxel_mm)
    assert lesion.measurable


def test_an_ellipse_of_30_by_12() -> None:
    x, y = plane()
    (lesion,) = measure(slab((x / 15) ** 2 + (y / 6) ** 2 <= 1), MILLIMETRE).lesions
    assert (lesion.long_mm, lesion.perpendicular_mm) == pytest.approx((30.0, 12.0), abs=1.0)
    assert lesion.product_mm2 == pytest.approx(360.0, abs=15.0)


def test_a_ring_is_measured_from_outer_edge_to_outer_edge() -> None:
    x, y = plane()
    square = x**2 + y**2
    ring, disc = slab((square <= 100) & (square > 36)), slab(square <= 100)
    assert measure(ring, MILLIMETRE).spd_mm2 == measure(disc, MILLIMETRE).spd_mm2
    unfilled = measure(ring, MILLIMETRE, fill_holes=False).lesions[0]
    # A chord that leans on the hole: 2 * sqrt(10^2 - 6^2) = 16; across it the rim of 4, or the segment beside the hole.
    assert unfilled.long_mm == pytest.approx(16.0, abs=1.5)
    assert unfilled.caliper_excess_mm > 3


def test_volume_does_not_count_what_was_filled() -> None:
    x, y = plane()
    square = x**2 + y**2
    ring = slab((square <= 100) & (square > 36), slices=10)
    assert measure(ring, MILLIMETRE).lesions[0].volume_ml == pytest.approx(ring.sum() / 1000)


def test_what_lies_inside_a_ring_belongs_to_it() -> None:
    x, y = plane()
    square = x**2 + y**2
    target = slab((square <= 400) & (square > 256) | (square <= 64))
    assert len(measure(target, MILLIMETRE).lesions) == 1
    assert len(measure(target, MILLIMETRE, fill_holes=False).lesions) == 2


def test_a_crescent_is_open_and_its_gap_is_not_crossed() -> None:
    x, y = plane()
    (lesion,) = measure(slab((x**2 + y**2 <= 400) & ((x - 10) ** 2 + y**2 > 225)), MILLIMETRE).lesions
    assert lesion.caliper_excess_mm > 1


def test_two_islands_on_a_slice_are_never_bridged() -> None:
    mask = np.zeros((40, 20, 4), dtype=bool)
    mask[2:12, 2:12] = mask[14:24, 2:12] = True  # two voxels apart
    found = measure(mask, MILLIMETRE).lesions
    assert [lesion.long_mm for lesion in found] == pytest.approx([math.sqrt(200)] * 2)


def test_islands_that_another_slice_joins_are_one_lesion_and_still_not_bridged() -> None:
    mask = np.zeros((40, 20, 4), dtype=bool)
    mask[2:12, 2:12, 1:] = mask[14:24, 2:12, 1:] = True
    mask[2:24, 6, 0] = True
    (lesion,) = measure(mask, MILLIMETRE).lesions
    assert lesion.product_mm2 == pytest.approx(200.0)


def cross(arm: int) -> Mask:
    """Two lines of voxels that cross on four slices."""
    mask = np.zeros((14, 14, 6), dtype=bool)
    mask[2 : 2 + arm, 7, 1:5] = mask[7, 2 : 2 + arm, 1:5] = True
    return mask


@pytest.mark.parametrize(("arm", "measurable"), [(9, False), (10, True)])
def test_ten_voxels_of_a_millimetre_are_ten_millimetres(arm: int, measurable: bool) -> None:
    (lesion,) = measure(cross(arm), MILLIMETRE).lesions
    assert lesion.long_mm == pytest.approx(math.hypot(arm, 1))
    assert lesion.perpendicular_mm == pytest.approx(math.hypot(arm, 1))
    assert lesion.measurable is measurable


def test_a_line_is_too_thin_to_be_measurable() -> None:
    mask = np.zeros((20, 5, 6), dtype=bool)
    mask[2:17, 2, 1:5] = True
    (lesion,) = measure(mask, MILLIMETRE).lesions
    assert (lesion.long_mm > 15, lesion.measurable) == (True, False)


def test_one_slice_alone_is_not_measurable() -> None:
    x, y = plane()
    disc = x**2 + y**2 <= 100
    assert [measure(slab(disc, n), MILLIMETRE).measurable for n in (1, 2)] == [False, True]
    assert measure(slab(disc, 1), MILLIMETRE).spd_mm2 == 0.0


@pytest.mark.parametrize(("side", "measurable"), [(16, False), (17, True)])
def test_thick_slices_need_twice_their_thickness(side: int, measurable: bool) -> None:
    mask = np.zeros((40, 40, 4), dtype=bool)
    mask[5 : 5 + side, 5 : 5 + side, 1:3] = True  # diagonals of 11.3 and 12.02 mm on slices of 6 mm
    (lesion,) = measure(mask, (0.5, 0.5, 6.0)).lesions
    assert lesion.long_mm == pytest.approx(side * 0.5 * math.sqrt(2))
    assert lesion.measurable is measurable
    assert measure(mask, (0.5, 0.5, 5.0)).measurable  # 5 mm is not thick: 10 mm do


def test_the_smallest_measurable_sphere_has_half_a_millilitre() -> None:
    spacing = (0.5, 0.5, 0.5)
    found = measure(ball(5.1, spacing), spacing)
    assert found.measurable
    assert found.volume_ml == pytest.approx(0.52, abs=0.05)


def test_specks_are_no_lesions_but_count_in_the_volume() -> None:
    mask = np.pad(ball(8.0), ((0, 10), (0, 0), (0, 0)))
    mask[-3:-1, :3, :3] = True  # 18 voxels
    found = measure(mask, MILLIMETRE)
    assert len(found.lesions) == 1
    assert found.volume_ml == mask.sum() / 1000
    assert len(measure(mask, MILLIMETRE, min_volume_ml=0.018).lesions) == 2


def test_the_sum_of_products_takes_the_largest_targets() -> None:
    mask = np.zeros((150, 40, 40), dtype=bool)
    sizes = (12, 20, 16, 14, 18)
    for at, size in enumerate(sizes):
        mask[30 * at : 30 * at + size, :size, :4] = True
    found = measure(mask, MILLIMETRE)
    assert [lesion.product_mm2 for lesion in found.lesions] == pytest.approx([800, 648, 512, 392, 288])
    assert found.spd_mm2 == pytest.approx(800 + 648 + 512)
    assert measure(mask, MILLIMETRE, max_targets=5).spd_mm2 == pytest.approx(2640)


def test_ends_lie_where_the_lesion_is() -> None:
    mask = np.zeros((30, 30, 12), dtype=bool)
    mask[5:15, 8:20, 4:7] = True
    (lesion,) = measure(mask, (1.0, 2.0, 3.0)).lesions
    assert lesion.slice_index in (4, 5, 6)
    corners = {(x, y, (lesion.slice_index + 0.5) * 3.0) for x in (5.0, 15.0) for y in (16.0, 40.0)}
    assert set(lesion.long_ends_mm) <= corners
    assert math.dist(*lesion.long_ends_mm) == pytest.approx(lesion.long_mm)
    assert math.dist(*lesion.perpendicular_ends_mm) == pytest.approx(lesion.perpendicular_mm)


@pytest.mark.parametrize(("name", "axis"), [("sagittal", 0), ("coronal", 1), ("axial", 2)])
def test_slices_lie_across_the_axis_of_their_plane(name: str, axis: int) -> None:
    mask = np.moveaxis(np.pad(np.ones((12, 20, 4), dtype=bool), 3), 2, axis)
    spacing = tuple(np.insert([1.0, 2.0], axis, 3.0))
    (lesion,) = measure(mask, spacing, plane=name).lesions  # type: ignore[arg-type]
    assert lesion.long_mm == pytest.approx(math.hypot(12, 40))
    assert lesion.n_slices == 4
    assert {end[axis] for end in lesion.long_ends_mm} == {(lesion.slice_index + 0.5) * 3.0}


def test_nothing_is_no_lesion() -> None:
    found = measure(np.zeros((5, 5, 5), dtype=bool), MILLIMETRE)
    assert (found.lesions, found.volume_ml, found.spd_mm2, found.measurable) == ((), 0.0, 0.0, False)


@settings(deadline=None, derandomize=True, max_examples=20)
@given(seed=st.integers(0, 10_000), turns=st.integers(0, 3), flip=st.integers(0, 2))
def test_turning_in_the_plane_and_flipping_change_nothing(seed: int, turns: int, flip: int) -> None:
    mask, spacing = lesions(seed), (1.0, 1.5, 2.0)
    turned = np.flip(np.rot90(mask, turns), flip)
    expected = measure(mask, spacing)
    found = measure(turned, spacing if turns % 2 == 0 else (1.5, 1.0, 2.0))
    assert [x.long_mm for x in found.lesions] == pytest.approx([x.long_mm for x in expected.lesions])
    assert [x.product_mm2 for x in found.lesions] == pytest.approx([x.product_mm2 for x in expected.lesions])
    assert found.spd_mm2 == pytest.approx(expected.spd_mm2)


@settings(deadline=None, derandomize=True, max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_a_mask_on_a_grid_twice_as_fine_measures_the_same(seed: int) -> None:
    mask = lesions(seed)
    fine = mask.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    coarse_found, fine_found = measure(mask, (2.0, 2.0, 2.0)), measure(fine, MILLIMETRE)
    products = [lesion.product_mm2 for lesion in coarse_found.lesions]
    assert [lesion.product_mm2 for lesion in fine_found.lesions] == pytest.approx(products)


@pytest.mark.parametrize("radius", [6.0, 9.3, 12.0])
def test_a_smooth_lesion_resampled_twice_as_fine_changes_by_less_than_a_voxel(radius: float) -> None:
    coarse, fine = ball(radius), ball(radius, (0.5, 0.5, 0.5))
    first, second = measure(coarse, MILLIMETRE).lesions[0], measure(fine, (0.5, 0.5, 0.5)).lesions[0]
    assert second.long_mm == pytest.approx(first.long_mm, abs=1.0)
    assert second.product_mm2 == pytest.approx(4 * radius**2, rel=0.1)


def test_refuses_other_values_shapes_and_spacings() -> None:
    mask = np.ones((3, 3, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="0 and 1"):
        measure(mask * 3, MILLIMETRE)
    with pytest.raises(ValueError, match="three axes"):
        measure(mask[0], MILLIMETRE)
    with pytest.raises(ValueError, match="spacing"):
        measure(mask, (1.0, 1.0))


def test_volumes_of_nested_regions() -> None:
    labels = np.zeros((10, 10, 50), dtype=np.uint8)
    for label, slices in ((1, slice(0, 10)), (2, slice(10, 30)), (3, slice(30, 35)), (4, slice(35, 43))):
        labels[:, :, slices] = label
    found = volumes(labels, (1.0, 1.0, 2.0))  # 0.2 ml a slice
    assert [x.ml for x in (found.et, found.tc, found.wt, found.rc)] == pytest.approx([1.0, 3.0, 7.0, 1.6])


@pytest.mark.parametrize(("ml", "spread"), [(0.5, 0.366), (1.0, 0.148), (12.0, 0.053), (30.0, 0.028), (80.0, 0.015)])
def test_small_volumes_are_less_certain(ml: float, spread: float) -> None:
    labels = np.full((1, 1, 1), 3)
    found = volumes(labels, (ml * 1000, 1.0, 1.0)).et
    assert (found.high_ml - found.low_ml) / found.ml == pytest.approx(spread)
    assert (found.high_ml + found.low_ml) / 2 == pytest.approx(ml)


def test_refuses_unknown_labels() -> None:
    with pytest.raises(ValueError, match="0 to 4"):
        volumes(np.full((2, 2, 2), 5), MILLIMETRE)


@pytest.mark.parametrize("across", ["axial", "coronal", "sagittal"])
def test_the_lesion_map_numbers_lesions_as_they_are_listed(across: Plane) -> None:
    mask = np.zeros((40, 40, 40), bool)
    mask[2:6, 2:6, 2:6] = True
    mask[15:30, 15:30, 15:30] = True
    mask[20:24, 20:24, 20:24] = False  # a hole belongs to the lesion around it
    mask[38, 38, 38] = True  # a speck is no lesion
    found = measure(mask, MILLIMETRE, plane=across)
    assert [lesion.volume_ml for lesion in found.lesions] == pytest.approx([3.311, 0.064])
    assert (found.lesion_map[15:30, 15:30, 15:30] == 1).all()
    assert (found.lesion_map[2:6, 2:6, 2:6] == 2).all()
    assert np.count_nonzero(found.lesion_map) == 15**3 + 4**3
