"""Slices the right way up, windowed inside the head, in tiles that do not overlap."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from flame.report.tiles import Grid, draw_band, draw_outline, grey, upright


def test_anterior_is_up_and_the_patients_right_is_on_the_right_of_the_page() -> None:
    slice_xy = np.zeros((3, 2))
    slice_xy[2, 1] = 1.0  # the most right and most anterior voxel in RAS
    assert upright(slice_xy).tolist() == [[0, 0, 1], [0, 0, 0]]


def test_air_is_black_even_where_z_scores_are_negative() -> None:
    slice_xy = np.zeros((10, 10), np.float32)
    slice_xy[2:8, 2:8] = np.linspace(-2, 2, 36).reshape(6, 6)
    image = grey(slice_xy)
    assert image.shape == (10, 10, 3)
    assert image[0, 0].tolist() == [0, 0, 0]
    assert image.max() == 255
    assert grey(slice_xy, brightness=0.5).max() == pytest.approx(255 / 2, abs=255 / 63)


@pytest.mark.parametrize("fill", [0.0, 3.0, np.nan])
def test_a_slice_without_contrast_is_drawn_all_the_same(fill: float) -> None:
    assert grey(np.full((4, 5), fill, np.float32)).shape == (5, 4, 3)


def test_tiles_stay_inside_the_figure_and_apart() -> None:
    grid = Grid(rows=2, columns=3, aspect=1.2)
    figure = Figure(figsize=grid.size_in)
    boxes = [grid.axes(figure, row, column).get_position() for row in range(2) for column in range(3)]
    assert all(0 <= box.x0 < box.x1 <= 1 + 1e-9 and -1e-9 <= box.y0 < box.y1 <= 1 for box in boxes)
    assert boxes[0].x1 < boxes[1].x0
    assert boxes[3].y1 < boxes[0].y0
    width, height = grid.size_in
    assert boxes[0].height * height / (boxes[0].width * width) == pytest.approx(1.2)


def test_outline_and_band_are_left_out_where_nothing_crosses() -> None:
    axes = Figure().subplots()
    for field in (np.zeros((4, 4)), np.ones((4, 4))):
        draw_outline(axes, field, "#ff0000")
    draw_band(axes, np.zeros((4, 4)), 0.5, 2.0, "#ff0000", 0.5)
    assert len(axes.collections) == 0
    draw_outline(axes, np.eye(4), "#ff0000")
    draw_band(axes, np.eye(4), 0.5, 2.0, "#ff0000", 0.5)
    assert len(axes.collections) == 2
