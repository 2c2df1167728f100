"""Overlap scores against values worked out by hand, against MONAI, and against their own symmetries."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from flame.metrics.overlap import (
    absolute_volume_error_ml,
    change_dice,
    dice,
    hd95,
    log_volume_ratio,
    overlap,
    relative_volume_error,
    surface_dice,
    volume_ml,
)

Mask = NDArray[np.bool_]
MILLIMETRE = (1.0, 1.0, 1.0)


def blob(seed: int, shape: tuple[int, ...] = (20, 24, 16), share: float = 0.15, width: float = 2.0) -> Mask:
    field = gaussian_filter(np.random.default_rng(seed).normal(size=shape), width)
    mask: Mask = field > np.quantile(field, 1 - share)
    return mask


def box(low: tuple[int, int, int], high: tuple[int, int, int], size: int = 16) -> Mask:
    mask = np.zeros((size,) * 3, dtype=bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high))] = True
    return mask


def batch(mask: Mask) -> torch.Tensor:
    return torch.from_numpy(mask.astype(np.float32))[None, None]


@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")  # MONAI 1.6 warns of itself
@pytest.mark.parametrize("spacing", [MILLIMETRE, (2.0, 2.0, 2.0), (0.5, 0.5, 6.0), (0.9375, 1.2, 3.3)])
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("share", "width"), [(0.02, 2.0), (0.15, 2.0), (0.4, 0.7)])
def test_agrees_with_monai(seed: int, share: float, width: float, spacing: tuple[float, ...]) -> None:
    # Here, for it takes seconds and every process of the tests reads this file.
    from monai.metrics import DiceMetric, compute_hausdorff_distance, compute_surface_dice

    first, second = blob(seed, share=share, width=width), blob(seed + 100, share=share, width=width)
    p, t = batch(first), batch(second)
    expected = compute_hausdorff_distance(p, t, include_background=True, percentile=95, spacing=spacing)
    assert hd95(first, second, spacing) == pytest.approx(expected.item(), rel=1e-6)
    for tolerance in (1.0, 2.0, 3.0):
        expected = compute_surface_dice(p, t, [tolerance], include_background=True, spacing=spacing)
        assert surface_dice(first, second, spacing, tolerance) == pytest.approx(expected.item(), abs=1e-6)
    expected = DiceMetric(include_background=True)(p, t)
    assert dice(first, second) == pytest.approx(expected.item(), abs=1e-6)


def test_dice_of_half_a_box() -> None:
    assert dice(box((0, 0, 0), (4, 4, 4)), box((0, 0, 2), (4, 4, 6)), MILLIMETRE) == 0.5


@pytest.mark.parametrize(("spacing", "expected"), [(MILLIMETRE, 3.0), ((1.0, 1.0, 4.0), 12.0), ((0.5, 1.0, 0.2), 0.6)])
def test_hd95_of_shifted_plates_is_their_shift(spacing: tuple[float, ...], expected: float) -> None:
    assert hd95(box((2, 2, 4), (9, 9, 5)), box((2, 2, 7), (9, 9, 8)), spacing) == pytest.approx(expected)


def test_hd95_forgets_up_to_five_percent_of_the_surface() -> None:
    line, with_outlier = box((0, 0, 0), (1, 1, 30), 30), box((0, 0, 0), (1, 1, 30), 30)
    with_outlier[20, 0, 0] = True
    assert hd95(with_outlier, line, MILLIMETRE) == 0.0  # 1 of 31 surface voxels lies 20 mm away
    assert hd95(with_outlier[:, :, :10], line[:, :, :10], MILLIMETRE) == pytest.approx(10.0)  # 1 of 11, interpolated


def test_surface_dice_counts_the_bound_as_right() -> None:
    first, second = box((2, 2, 2), (9, 9, 3)), box((2, 2, 12), (9, 9, 13))
    assert surface_dice(first, second, (1.0, 1.0, 0.2), 2.0) == 1.0  # ten slices of 0.2 mm
    assert surface_dice(first, second, (1.0, 1.0, 0.21), 2.0) == 0.0


def test_both_empty_is_perfect() -> None:
    empty = np.zeros((4, 5, 6), dtype=bool)
    scores = overlap(empty, empty, MILLIMETRE, last=empty)
    assert (scores.dice, scores.hd95_mm, scores.surface_dice) == (1.0, 0.0, 1.0)
    assert (scores.volume_ml, scores.change_dice) == (0.0, None)


@pytest.mark.parametrize("swap", [False, True])
def test_one_empty_is_worst(swap: bool) -> None:
    masks = [np.zeros((3, 4, 6), dtype=bool), np.ones((3, 4, 6), dtype=bool)]
    scores = overlap(*(masks[::-1] if swap else masks), (1.0, 1.0, 2.0))
    assert (scores.dice, scores.hd95_mm, scores.surface_dice) == (0.0, 13.0, 0.0)  # 3, 4, 12 mm: diagonal 13


def test_volume_of_a_litre() -> None:
    assert volume_ml(np.ones((10, 10, 10), dtype=np.uint8), (10.0, 5.0, 20.0)) == pytest.approx(1000.0)


def test_volume_errors() -> None:
    assert absolute_volume_error_ml(2.0, 5.0) == 3.0
    assert relative_volume_error(2.0, 5.0) == pytest.approx(-0.6)
    assert relative_volume_error(2.0, 0.0) is None
    assert log_volume_ratio(9.9, 4.9) == pytest.approx(math.log(2))
    assert log_volume_ratio(0.0, 9.9) == pytest.approx(-math.log(100))


def test_change_dice_keeps_gained_and_lost_apart() -> None:
    last, truth, prediction = box((0, 0, 0), (1, 1, 8)), box((0, 0, 2), (1, 1, 12)), box((0, 0, 1), (1, 1, 10))
    scores = overlap(prediction, truth, MILLIMETRE, last)
    assert scores.gained_dice == pytest.approx(2 * 2 / (2 + 4))  # gained: 8-9 against 8-11
    assert scores.lost_dice == pytest.approx(2 * 1 / (1 + 2))  # lost: 0 against 0-1
    assert scores.change_dice == pytest.approx(2 * 3 / (3 + 6))


def test_persistence_has_no_change_dice_unless_the_truth_changed() -> None:
    last = box((0, 0, 0), (4, 4, 4))
    assert change_dice(last, box((0, 0, 0), (4, 4, 5)), last) == 0.0
    assert change_dice(last, last, last) is None


def test_a_right_volume_in_the_wrong_place_is_no_change_dice() -> None:
    last = box((0, 0, 4), (4, 4, 8))
    assert change_dice(box((0, 0, 3), (4, 4, 8)), box((0, 0, 4), (4, 4, 9)), last) == 0.0


@pytest.mark.parametrize("single", [dice, hd95, surface_dice])
def test_all_at_once_equals_one_at_a_time(single: Callable[..., float]) -> None:
    first, second, spacing = blob(5), blob(6), (1.0, 2.0, 3.0)
    scores = overlap(first, second, spacing)
    at_once = {dice: scores.dice, hd95: scores.hd95_mm, surface_dice: scores.surface_dice}
    assert at_once[single] == single(first, second, spacing)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seed=st.integers(0, 1000), share=st.floats(0.01, 0.6), axis=st.integers(0, 2))
def test_scores_are_symmetric_and_unchanged_by_flips_and_margins(seed: int, share: float, axis: int) -> None:
    first, second, spacing = blob(seed, (8, 9, 7), share, 1.0), blob(seed + 1, (8, 9, 7), share, 1.0), (1.0, 1.5, 3.0)
    scores = overlap(first, second, spacing)
    swapped = overlap(second, first, spacing)
    assert (swapped.dice, swapped.hd95_mm, swapped.surface_dice) == (scores.dice, scores.hd95_mm, scores.surface_dice)
    assert overlap(np.flip(first, axis), np.flip(second, axis), spacing) == scores
    assert overlap(np.pad(first, 2), np.pad(second, 2), spacing) == scores
    itself = overlap(first, first, spacing)
    assert (itself.dice, itself.hd95_mm, itself.surface_dice) == (1.0, 0.0, 1.0)


def test_refuses_probabilities_other_shapes_and_bad_spacing() -> None:
    mask = box((0, 0, 0), (2, 2, 2))
    with pytest.raises(ValueError, match="0 and 1 only"):
        dice(mask * 0.7, mask)
    with pytest.raises(ValueError, match="one shape"):
        dice(mask, mask[:8])
    with pytest.raises(ValueError, match="spacing"):
        hd95(mask, mask, (1.0, 1.0))
    with pytest.raises(ValueError, match="spacing"):
        hd95(mask, mask, (1.0, 0.0, 1.0))
    with pytest.raises(ValueError, match="tolerance"):
        surface_dice(mask, mask, MILLIMETRE, -1.0)
