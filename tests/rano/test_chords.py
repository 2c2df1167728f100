"""Diameters of single slices: known shapes, gaps that no chord may cross, symmetries, and a second implementation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from flame.rano.chords import Mode, caliper_mm, widest_cross

Piece = NDArray[np.bool_]
PIXEL = (1.0, 1.0)


def grid(size: int, pixel_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel centres [mm] around the middle of a square."""
    line = (np.arange(size) + 0.5 - size / 2) * pixel_mm
    return line[:, None], line[None, :]


def largest_piece(mask: Piece) -> Piece:
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    piece: Piece = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
    return piece


def blob(seed: int) -> Piece:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(18, 18)), 2.0)
    return largest_piece(field > np.quantile(field, 0.7))


def measured(
    piece: Piece, pixel_mm: tuple[float, float] = PIXEL, mode: Mode = "longest_then_perp"
) -> tuple[float, float]:
    cross = widest_cross(piece, pixel_mm, mode)
    assert cross is not None
    return cross.long_mm, cross.perpendicular_mm


def test_a_square_is_measured_corner_to_corner() -> None:
    assert measured(np.ones((10, 10), dtype=bool)) == pytest.approx((math.sqrt(200), math.sqrt(200)))


def test_a_rectangle_s_perpendicular_ends_on_its_sides() -> None:
    # The diagonal of 4 x 3 is 5; a line across it, of slope 4/3, spans the whole height 3: length 3 * 5/4.
    assert measured(np.ones((4, 3), dtype=bool)) == pytest.approx((5.0, 3.75))


def test_pixels_are_measured_in_millimetres_before_anything_is_compared() -> None:
    assert measured(np.ones((3, 10), dtype=bool), (4.0, 0.5)) == pytest.approx((13.0, 5 * 13 / 12))


def test_both_ends_are_on_the_outline() -> None:
    cross = widest_cross(np.ones((4, 3), dtype=bool), (2.0, 1.0))
    assert cross is not None
    assert set(cross.long) in ({(0.0, 0.0), (8.0, 3.0)}, {(8.0, 0.0), (0.0, 3.0)})
    assert math.dist(*cross.perpendicular) == pytest.approx(cross.perpendicular_mm)


@pytest.mark.parametrize("mode", ["longest_then_perp", "max_product"])
def test_a_fine_disc_has_its_diameter_twice(mode: Mode) -> None:
    x, y = grid(100, 0.25)
    assert measured(x**2 + y**2 <= 100, (0.25, 0.25), mode) == pytest.approx((20.0, 20.0), abs=0.36)  # one diagonal


@pytest.mark.parametrize("degrees", [0, 20, 45, 90])
def test_an_ellipse_has_its_axes_however_it_is_turned(degrees: float) -> None:
    x, y = grid(132, 0.25)
    a = math.radians(degrees)
    u, v = x * math.cos(a) + y * math.sin(a), y * math.cos(a) - x * math.sin(a)
    assert measured((u / 15) ** 2 + (v / 6) ** 2 <= 1, (0.25, 0.25)) == pytest.approx((30.0, 12.0), abs=0.36)


def crescent() -> Piece:
    x, y = grid(44, 1.0)
    return largest_piece((x**2 + y**2 <= 400) & ((x - 8) ** 2 + y**2 > 256))


@pytest.mark.parametrize("mode", ["longest_then_perp", "max_product"])
def test_no_chord_of_a_crescent_crosses_its_gap(mode: Mode) -> None:
    piece = crescent()
    cross = widest_cross(piece, PIXEL, mode)
    assert cross is not None
    for ends in (cross.long, cross.perpendicular):
        steps = np.linspace(0.005, 0.995, 300)[:, None]
        row, column = ((1 - steps) * ends[0] + steps * ends[1]).T
        near = ndimage.binary_dilation(piece)  # samples on an edge may round to the pixel beyond it
        assert near[np.minimum(row.astype(int), 43), np.minimum(column.astype(int), 43)].all()
    assert cross.long_mm < caliper_mm(piece, PIXEL) - 3


def test_the_caliper_does_cross_gaps() -> None:
    bracket = np.ones((10, 8), dtype=bool)
    bracket[1:9, 1:] = False  # open to the right
    assert caliper_mm(bracket, PIXEL) == pytest.approx(math.hypot(10, 8))
    # The longest chord leans on the corner (1, 1) on its way from (10, 0) to the top.
    assert measured(bracket)[0] == pytest.approx(math.hypot(10, 10 / 9))


def test_pixels_that_touch_by_corners_hang_together() -> None:
    assert measured(np.eye(8, dtype=bool)) == pytest.approx((8 * math.sqrt(2), math.sqrt(2)))


def test_a_line_of_ten_pixels_is_ten_long() -> None:
    long, perpendicular = measured(np.ones((10, 1), dtype=bool))
    assert long == pytest.approx(math.hypot(10, 1))  # from corner to corner
    assert perpendicular == pytest.approx(1.0, abs=0.01)


def test_of_equal_diameters_the_one_with_the_longer_perpendicular_counts() -> None:
    bow = np.ones((7, 7), dtype=bool)
    bow[5:, :2] = bow[6:, :3] = False  # cuts off one corner: one diagonal is whole, the other is not
    long, perpendicular = measured(bow)
    assert long == pytest.approx(7 * math.sqrt(2))
    assert perpendicular < long


def test_the_largest_product_need_not_hold_the_longest_chord() -> None:
    piece = np.zeros((40, 24), dtype=bool)
    piece[:, :2] = True  # a long bar
    piece[39, 2:5] = piece[32:39, 4] = True  # a bent neck
    block = (slice(10, 32), slice(4, 20))
    piece[block] = True
    long, perpendicular = measured(piece)
    assert long > 40
    assert perpendicular < 6
    assert math.prod(measured(piece, mode="max_product")) >= math.prod(measured(piece[block]))


def test_hopeless_pieces_are_given_up() -> None:
    square = np.ones((5, 5), dtype=bool)
    assert widest_cross(square, PIXEL, at_least_mm2=51.0) is None
    assert widest_cross(square, PIXEL, at_least_mm2=49.9) is not None


@settings(deadline=None, derandomize=True, max_examples=40)
@given(seed=st.integers(0, 10_000), mode=st.sampled_from(["longest_then_perp", "max_product"]))
def test_no_piece_is_given_up_whose_product_is_asked_for(seed: int, mode: Mode) -> None:
    piece = blob(seed)
    found = widest_cross(piece, (0.7, 1.3), mode)
    assert found is not None
    assert widest_cross(piece, (0.7, 1.3), mode, at_least_mm2=found.product_mm2) == found


@settings(deadline=None, derandomize=True, max_examples=40)
@given(seed=st.integers(0, 10_000), turns=st.integers(0, 3), mode=st.sampled_from(["longest_then_perp", "max_product"]))
def test_turning_and_flipping_change_nothing(seed: int, turns: int, mode: Mode) -> None:
    piece = blob(seed)
    pixel = (0.7, 1.3)
    expected = measured(piece, pixel, mode)
    turned_pixel = pixel if turns % 2 == 0 else pixel[::-1]
    assert measured(np.rot90(piece, turns), turned_pixel, mode) == pytest.approx(expected, rel=1e-9)
    assert measured(piece[::-1], pixel, mode) == pytest.approx(expected, rel=1e-9)
    assert measured(piece.T, pixel[::-1], mode) == pytest.approx(expected, rel=1e-9)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_halving_the_pixels_changes_nothing_for_the_outline_is_the_same(seed: int) -> None:
    piece = blob(seed)
    coarse, fine = measured(piece), measured(piece.repeat(2, 0).repeat(2, 1), (0.5, 0.5))
    assert fine == pytest.approx(coarse, rel=1e-9)


def sampled_longest(piece: Piece) -> float:
    """Second implementation: all pairs of places a quarter pixel apart, 200 samples on each; edges are inside."""
    held = np.pad(piece, 1)

    def inside(points: NDArray[np.float64]) -> Piece:
        found = np.zeros(points.shape[:-1], dtype=bool)
        for shift in ([-1e-7, -1e-7], [-1e-7, 1e-7], [1e-7, -1e-7], [1e-7, 1e-7]):
            at = np.floor(points + np.array(shift)).astype(int) + 1
            found |= held[at[..., 0], at[..., 1]]
        return found

    rows, columns = piece.shape
    places = np.stack(np.mgrid[0 : rows + 0.1 : 0.25, 0 : columns + 0.1 : 0.25], axis=-1).reshape(-1, 2)
    on_edge = (places % 1 == 0).any(axis=1)
    places = places[on_edge & inside(places)]
    first, second = np.triu_indices(len(places), k=1)
    steps = np.linspace(0, 1, 201)[:, None]
    lengths = np.linalg.norm(places[first] - places[second], axis=1)
    for at in np.argsort(-lengths):
        if inside((1 - steps) * places[first[at]] + steps * places[second[at]]).all():
            return float(lengths[at])
    raise AssertionError("a piece has an edge")


@settings(deadline=None, derandomize=True, max_examples=60)
@given(mask=arrays(np.bool_, (5, 6)))
def test_agrees_with_samples_between_all_places_of_the_outline(mask: Piece) -> None:
    if mask.any():
        long, _ = measured(largest_piece(mask))
        expected = sampled_longest(largest_piece(mask))
        assert expected - 1e-9 <= long <= expected + 0.25
