import numpy as np

from flame.imaging.bias import even
from flame.records.volume import Grid, Volume

GRID = Grid((48, 56, 40), np.diag([3.0, 3.0, 3.0, 1.0]))


def _phantom():
    """Two tissues in fine alternation inside an ellipsoid."""
    place = (np.indices(GRID.shape).T / (np.array(GRID.shape) - 1) * 2 - 1).T
    brain = (place**2).sum(0) < 0.9
    tissue = np.where((np.indices(GRID.shape) // 4).sum(0) % 2 == 0, 300.0, 420.0)
    return np.where(brain, tissue, 0).astype(np.float32), brain, place


def test_a_known_field_is_taken_out():
    clean, brain, place = _phantom()
    field = np.exp(0.3 * place[0] + 0.15 * place[1] ** 2).astype(np.float32)
    found = even(Volume(clean * field, GRID), brain)
    ratio = found.field[brain] / field[brain]
    assert (ratio / ratio.mean()).std() < 0.04
    assert found.array[brain & (clean == 300)].std() / 300 < 0.25 * (clean * field)[brain & (clean == 300)].std() / 300
    assert found.spread > 1.3


def test_an_even_image_stays_nearly_as_it_is():
    clean, brain, _ = _phantom()
    found = even(Volume(clean, GRID), brain)
    assert found.spread < 1.05
    np.testing.assert_allclose(found.array[brain], clean[brain], rtol=0.05)


def test_without_a_brain_nothing_is_done():
    clean, brain, _ = _phantom()
    found = even(Volume(clean, GRID), np.zeros_like(brain))
    np.testing.assert_array_equal(found.array, clean)
    assert found.spread == 1.0
