import numpy as np
import pytest
from tests.imaging.heads import rigid

from flame.errors import DataError
from flame.imaging.frames import Frames
from flame.records.intake import Alignment

A, B = rigid((3.0, 0.0, 0.0), (1.0, 2.0, 3.0)), rigid((0.0, 5.0, 0.0), (0.0, 0.0, 9.0))


def _alignment(source, target, matrix):
    return Alignment(source=source, target=target, matrix=tuple(tuple(row) for row in matrix.tolist()))


def test_maps_are_followed_forwards_and_backwards():
    frames = Frames([_alignment("ct", "planning", A), _alignment("reference", "planning", B)])
    frames.learn("reference", np.eye(4))
    np.testing.assert_allclose(frames.to_reference("ct"), np.linalg.inv(B) @ A, atol=1e-12)


def test_the_first_map_of_a_frame_stays():
    frames = Frames()
    frames.learn("one", A)
    frames.learn("one", B)
    np.testing.assert_array_equal(frames.to_reference("one"), A)


def test_what_nothing_leads_to_is_unknown():
    frames = Frames([_alignment("a", "b", A), _alignment("b", "a", A)])
    assert frames.to_reference("a") is None
    assert frames.to_reference(None) is None


def test_a_map_that_scales_is_refused():
    with pytest.raises(DataError, match="not rigid"):
        Frames([_alignment("a", "b", np.diag([1.1, 1.0, 1.0, 1.0]))])
