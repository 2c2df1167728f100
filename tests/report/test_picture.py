"""The picture of one patient's predicted maps."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.report.example_pictures import evolution_picture

from flame.report.maps import maps_grid
from flame.report.picture import prediction_picture


def test_one_row_per_arm_and_one_column_per_horizon(tmp_path: Path) -> None:
    arrays, facts = evolution_picture("site-1_sub-004", np.random.default_rng(1))
    path = prediction_picture(arrays, facts, tmp_path / "prediction.png")
    grid = maps_grid(arrays, facts)
    assert (grid.rows, grid.columns) == (3, 5)
    with Image.open(path) as image:
        width, height = grid.size_in
        assert image.size == (int(width * 160), int(height * 160))


def test_a_predicted_region_is_coloured_and_nothing_else_is(tmp_path: Path) -> None:
    size = 20
    predicted = np.zeros((3, size, size), np.float32)
    predicted[2, 5:15, 5:15] = 1.0  # whole tumour only
    background = np.full((size, size), 1.0, np.float32)
    background[0, 0] = 0.0
    arrays = {"background": background, "predicted_photon_91": predicted}
    facts = {"horizons": [91], "arms": {"photon": {"support": "factual"}}}
    path = prediction_picture(arrays, facts, tmp_path / "prediction.png")
    grid = maps_grid(arrays, facts)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    (tile, _), (_, height) = grid.tile_in, grid.size_in
    across = round(160 * (grid.left_in + tile + grid.gap_in + tile / 2))
    middle = round(160 * (grid.legend_in + grid.head_in + tile / 2))
    assert pixels.shape[0] == int(160 * height)
    inside, outside = pixels[middle, across], pixels[middle, across - round(160 * 0.4 * tile)]
    assert inside[2] - inside[0] > 30
    assert np.ptp(outside) == 0


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    arrays, facts = evolution_picture("site-1_sub-004", np.random.default_rng(1))
    first, second = (prediction_picture(arrays, facts, tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second


def test_a_warning_and_an_assumed_course_have_lines_of_their_own() -> None:
    arrays, facts = evolution_picture("site-1_sub-004", np.random.default_rng(1))
    plain = maps_grid(arrays, facts).size_in[1]
    warned = facts | {"familiarity": {"unlike_training": True, "statement": "unlike"}, "course": "assumed: 60 Gy"}
    assert maps_grid(arrays, warned).size_in[1] - plain == pytest.approx(2 * 0.15)
    known = facts | {"familiarity": {"unlike_training": False, "statement": "alike"}, "course": "delivered"}
    assert maps_grid(arrays, known).size_in[1] == plain


def test_the_core_is_drawn_where_nobody_outlined_enhancing_tumour(tmp_path: Path) -> None:
    size = 20
    predicted = np.zeros((3, size, size), np.float32)
    predicted[0] = 1.0  # what a model says of enhancing tumour
    predicted[1, 5:15, 5:15] = 1.0
    arrays = {"background": np.ones((size, size), np.float32), "predicted_photon_91": predicted}
    facts = {"horizons": [91], "arms": {"photon": {"support": "factual"}}, "regions_unknown": ["ET"]}
    grid = maps_grid(arrays, facts)
    with Image.open(prediction_picture(arrays, facts, tmp_path / "prediction.png")) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    tile, _ = grid.tile_in
    across = round(160 * (grid.left_in + tile + grid.gap_in + tile / 2))
    middle = round(160 * (grid.legend_in + grid.head_in + tile / 2))
    inside, outside = pixels[middle, across], pixels[middle, across - round(160 * 0.4 * tile)]
    assert inside[0] - inside[2] > 30  # yellow: the core
    assert np.ptp(outside) == 0  # grey, although enhancing tumour was predicted there
