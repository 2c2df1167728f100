"""Planes of a volume: every voxel keeps its place, whatever the plane and wherever the head lies."""

import numpy as np
import pytest

from flame.records.volume import Grid, Volume
from flame.virtual.slices import cut, pad, pose

AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])
AFFINE[:3, 3] = (-5.0, 7.0, 11.0)
VOLUME = Volume(np.arange(60).reshape(3, 4, 5), Grid((3, 4, 5), AFFINE))
MOVED = pose(np.array([3.0, -2.0, 5.0]), np.array([1.0, 2.0, 3.0]), np.array([0.0, 10.0, 20.0]))


@pytest.mark.parametrize("moved", [None, MOVED], ids=["not moved", "moved"])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_every_voxel_keeps_its_place(plane, moved):
    stack = cut(VOLUME, plane, moved)
    there = (np.eye(4) if moved is None else moved) @ AFFINE
    for index in np.ndindex(stack.frames.shape):
        lps = stack.affine @ [*index, 1.0]
        back = np.linalg.inv(there) @ (lps * [-1, -1, 1, 1])
        found = tuple(int(one) for one in np.rint(back[:3]))
        np.testing.assert_allclose(back[:3], found, atol=1e-9)
        assert stack.frames[index] == VOLUME.array[found]


@pytest.mark.parametrize(
    ("plane", "orientation"),
    [("axial", [1, 0, 0, 0, 1, 0]), ("coronal", [1, 0, 0, 0, 0, -1]), ("sagittal", [0, 1, 0, 0, 0, -1])],
)
def test_planes_look_as_radiologists_see_them(plane, orientation):
    """Columns grow to the left (sagittal: backwards), rows backwards (else: downwards); LPS, PS3.3 C.7.6.2."""
    stack = cut(VOLUME, plane)
    assert [float(one) for one in stack.orientation] == orientation
    rows, columns = np.array(orientation[3:]), np.array(orientation[:3])
    assert np.dot(np.cross(columns, rows), stack.affine[:3, 0]) > 0


def test_a_pose_turns_about_its_centre():
    np.testing.assert_allclose(MOVED @ [0, 10, 20, 1], [1, 12, 23, 1], atol=1e-12)
    np.testing.assert_allclose(MOVED[:3, :3].T @ MOVED[:3, :3], np.eye(3), atol=1e-12)
    quarter = pose(np.array([0.0, 0.0, 90.0]), np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(quarter @ [1, 0, 0, 1], [0, 1, 0, 1], atol=1e-12)


def test_padding_and_thinning_leave_voxels_where_they_were():
    wide = pad(VOLUME, 5.0)
    assert wide.grid.shape == (9, 8, 9)
    np.testing.assert_allclose(wide.grid.affine @ [3, 2, 2, 1], AFFINE @ [0, 0, 0, 1])
    assert wide.array.sum() == VOLUME.array.sum()
    thin = cut(VOLUME, "axial").thinned(2)
    assert thin.spacing_mm == (8.0, 3.0, 2.0)
    np.testing.assert_array_equal(thin.frames[1], cut(VOLUME, "axial").frames[2])
