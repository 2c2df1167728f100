import numpy as np
import pytest

from flame.records.labels import unknown_labels


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.int16, np.bool_])
def test_known_labels_of_any_type(kind):
    known = [0, 1] if kind is np.bool_ else [0, 1, 2, 3, 4, 4]
    assert unknown_labels(np.array(known, kind)).size == 0


@pytest.mark.parametrize(
    ("values", "wrong"),
    [([5, 0, 255, 5], [5, 255]), ([2.5, 1, 0.5], [0.5, 2.5]), ([-1, 3], [-1]), ([4.0001], [4.0001])],
)
def test_every_other_value_is_named_once_in_order(values, wrong):
    np.testing.assert_array_equal(unknown_labels(np.array(values)), wrong)
