import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flame.seeds import derive, stream

NAMES = st.lists(st.text(max_size=8) | st.integers(-99, 99), max_size=4)


@given(st.integers(0, 2**40), NAMES)
@settings(deadline=None, derandomize=True)
def test_the_same_names_give_the_same_draws(seed, names):
    assert stream(seed, *names).random() == stream(seed, *names).random()
    assert 0 <= derive(seed, *names) < 2**63


def test_draws_do_not_depend_on_the_process():
    """Python's own hashes of text differ from process to process; these draws may not."""
    code = "from flame.seeds import derive; print(derive(7, 'patient', 'site-1', 4))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(found.stdout) == derive(7, "patient", "site-1", 4)


def test_other_names_orders_and_seeds_give_other_draws():
    keys = [(7, "a", "b"), (7, "b", "a"), (7, "ab"), (7, "a"), (7,), (8, "a"), (7, "a", 1), (7, "a", 2), (2**33, "a")]
    assert len({derive(*key) for key in keys}) == len(keys)


def test_streams_are_independent():
    """1,000 pairs of uncorrelated streams of 1,000: the largest correlation is below 5 / sqrt(1000)."""
    draws = np.stack([stream(7, "patient", number).standard_normal(1000) for number in range(45)])
    correlations = np.corrcoef(draws)[np.triu_indices(45, 1)]
    assert correlations.size == 990
    assert np.abs(correlations).max() < 5 / np.sqrt(1000)
