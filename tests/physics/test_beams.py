"""Beam geometry: frames, water-equivalent depth, choice of directions."""

import numpy as np
import pytest
from tests.physics.phantoms import SPACING_MM, ball, water

from flame.physics.beams import make_head, rotation, shortest_paths, view

STEP = np.array([2.0, 3.0, 3.0])


@pytest.mark.parametrize("angles", [(0.0, 0.0), (130.0, 40.0), (270.0, 85.0)])
def test_a_frame_is_a_rotation(angles):
    frame = rotation(*angles)
    assert frame @ frame.T == pytest.approx(np.eye(3))
    assert np.linalg.det(frame) == pytest.approx(1.0)


def test_azimuth_and_elevation_say_where_a_beam_goes():
    assert rotation(0, 0)[0] == pytest.approx([1, 0, 0])
    assert rotation(90, 0)[0] == pytest.approx([0, 1, 0])
    assert rotation(0, 90)[0] == pytest.approx([0, 0, -1], abs=1e-12)


def test_depth_in_water_is_the_distance_travelled():
    grid = view(water(), rotation(0, 0), np.array([120.0, 75.0, 75.0]), (20.0, 20.0), STEP)
    # The first voxel is centred on the surface voxel's middle, where half a step of water has been passed.
    expected = np.arange(100) * 2.0 + 1.0
    assert grid.wepl[:100, 5, 5] == pytest.approx(expected, abs=1e-3)


def test_water_before_the_middle_of_a_head():
    radius_mm = 60.0
    head = make_head(ball((0, 0, 0), radius_mm), np.full(3, SPACING_MM))
    centre = (np.array([44, 44, 44]) - 1) / 2 * SPACING_MM
    expected = 1.03 * (radius_mm + 2) + 1.55 * 6 + 1.04 * 5
    for angles in ((0.0, 0.0), (45.0, 0.0), (200.0, 40.0)):
        grid = view(head, rotation(*angles), centre, (12.0, 12.0), STEP)
        nearest = round(-grid.start_mm[0] / STEP[0])
        assert grid.wepl[nearest, 4, 4] == pytest.approx(expected, abs=4.0)


def test_index_map_and_see_are_inverse():
    spacing = np.array([2.0, 3.0, 2.5])
    field = np.random.default_rng(1).random((100, 50, 60)).astype(np.float32)
    grid = view(water(), rotation(0.0, 0.0), np.array([120.0, 75.0, 75.0]), (12.0, 12.0), STEP)
    seen = grid.see(field, spacing, np.zeros(3))
    matrix, offset = grid.index_map(spacing, np.zeros(3))
    # Voxel (50, 25, 30) of the patient's grid lies at (100, 75, 75) mm, on a voxel of the beam's grid.
    index = matrix @ np.array([50, 25, 30]) + offset
    assert index == pytest.approx(np.rint(index), abs=1e-4)
    assert seen[tuple(np.rint(index).astype(int))] == pytest.approx(field[50, 25, 30], abs=1e-5)


def test_beams_come_from_the_near_side_and_keep_apart():
    head = make_head(ball((0, 0, 0), 60), np.full(3, SPACING_MM))
    right_of_middle = (np.array([44, 44, 44]) - 1) / 2 * SPACING_MM + [40, 0, 0]
    chosen = shortest_paths(head, right_of_middle, 3, 50.0)
    directions = np.array([rotation(*angles)[0] for angles in chosen])
    assert directions[0] @ [-1, 0, 0] > 0.7
    cosines = (directions @ directions.T)[np.triu_indices(3, 1)]
    assert cosines.max() <= np.cos(np.deg2rad(50)) + 1e-9
