import numpy as np
import pytest
from torch import nn

from flame.errors import DataError
from flame.models.weights import get_arrays, set_arrays


def test_arrays_go_out_and_come_back():
    network, other = nn.Linear(3, 2), nn.Linear(3, 2)
    set_arrays(other, get_arrays(network))
    for name, array in get_arrays(other).items():
        np.testing.assert_array_equal(array, get_arrays(network)[name])


def test_they_are_copies():
    network = nn.Linear(3, 2)
    arrays = get_arrays(network)
    before = arrays["weight"].copy()
    nn.init.zeros_(network.weight)
    np.testing.assert_array_equal(arrays["weight"], before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bias": None}, "'bias' is missing"),
        ({"extra": np.zeros(1, np.float32)}, "'extra' is unknown"),
        ({"bias": np.zeros(3, np.float32)}, r"shape \(3,\), expected \(2,\)"),
        ({"bias": np.array([np.nan, 0], np.float32)}, "not finite"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(change, message):
    network = nn.Linear(3, 2)
    before = get_arrays(network)
    arrays = {name: array + 1 for name, array in before.items()} | change
    with pytest.raises(DataError, match=message):
        set_arrays(network, {name: array for name, array in arrays.items() if array is not None})
    for name, array in get_arrays(network).items():
        np.testing.assert_array_equal(array, before[name])
