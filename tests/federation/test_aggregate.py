"""Means and robust means: invariants, values worked out by hand, and plain numpy as second implementation."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flame.federation.aggregate import aggregate, fedavg, median, trimmed_mean
from flame.federation.job import FedAdam, FedAvg, FedAvgM, FedProx, Median, TrimmedMean
from flame.federation.update import Update, encode, open_update

SHAPE = (2, 3)
RULES = [FedAvg(), FedProx(), FedAvgM(), FedAdam(), Median(), TrimmedMean(trim=0.3)]
invariant = settings(deadline=None, derandomize=True)


def update(values, samples=1, site=1, scale=1.0):
    array = np.asarray(values, np.float32)
    return Update(
        "a" * 64, f"site-{site}", 0, {"w": array, "b": array.reshape(-1)[:1] * np.float32(scale)}, samples, {}
    )


def update_lists(low=1, high=7, values=None):
    values = values or st.floats(-1e6, 1e6, width=32)
    one = st.builds(update, arrays(np.float32, SHAPE, elements=values), st.integers(1, 2**20))
    return st.lists(one, min_size=low, max_size=high)


def result_bytes(rule, updates):
    return {name: array.tobytes() for name, array in aggregate(rule, updates).items()}


def stacked(updates):
    return np.stack([u.arrays["w"].astype(float) for u in updates])


@pytest.mark.parametrize("rule", RULES)
@given(st.data())
@invariant
def test_order_does_not_change_a_byte(rule, data):
    updates = data.draw(update_lists())
    assert result_bytes(rule, data.draw(st.permutations(updates))) == result_bytes(rule, updates)


@pytest.mark.parametrize("rule", RULES)
@given(
    values=arrays(np.float32, SHAPE, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
    data=st.data(),
)
@invariant
def test_equal_updates_give_themselves(rule, values, data):
    samples = data.draw(st.lists(st.integers(1, 2**29), min_size=1, max_size=9))
    found = aggregate(rule, [update(values, count) for count in samples])
    np.testing.assert_array_equal(found["w"], values)
    assert found["w"].dtype == np.float32


@given(update_lists())
@invariant
def test_fedavg_is_the_exact_mean_rounded_once(updates):
    total = sum(u.samples for u in updates)
    exact = [
        sum(Fraction(float(u.arrays["w"].flat[i])) * u.samples for u in updates) / total for i in range(np.prod(SHAPE))
    ]
    np.testing.assert_array_equal(fedavg(updates)["w"].ravel(), np.array([float(x) for x in exact]).astype(np.float32))


def test_fedavg_weighs_by_samples():
    found = fedavg([update(np.full(SHAPE, 1.0), samples=30), update(np.full(SHAPE, 5.0), samples=10)])
    np.testing.assert_array_equal(found["w"], np.full(SHAPE, 2.0))  # (30 * 1 + 10 * 5) / 40


def test_fedavg_splitting_a_site_in_two_changes_nothing():
    half, other = update(np.full(SHAPE, 0.1), samples=7), update(np.full(SHAPE, -3.0), samples=5)
    whole = update(np.full(SHAPE, 0.1), samples=14)
    assert fedavg([half, half, other])["w"].tobytes() == fedavg([whole, other])["w"].tobytes()


def test_fedavg_keeps_what_plain_summation_loses():
    """2**60 + 1 - 2**60 is 0 in float64; the pair of float64 keeps the 1."""
    large = np.full(SHAPE, 2.0**60)
    found = fedavg([update(large), update(np.ones(SHAPE)), update(-large)])
    np.testing.assert_array_equal(found["w"], np.full(SHAPE, 1 / 3, np.float32))


def test_fedavg_takes_one_pass_of_an_iterator():
    found = fedavg(update(np.full(SHAPE, value), site=value) for value in (1, 2, 6))
    np.testing.assert_array_equal(found["w"], np.full(SHAPE, 3.0))


@given(update_lists())
@invariant
def test_median_agrees_with_numpy(updates):
    np.testing.assert_array_equal(median(updates)["w"], np.median(stacked(updates), axis=0).astype(np.float32))


@given(update_lists(low=2, high=7), st.floats(width=32, allow_nan=False, allow_infinity=False))
@invariant
def test_median_stays_among_the_honest_when_one_site_is_poisoned(honest, poison):
    found = median([*honest, update(np.full(SHAPE, poison), samples=2**29)])["w"]
    assert (found >= stacked(honest).min(axis=0)).all()
    assert (found <= stacked(honest).max(axis=0)).all()


@given(update_lists(low=4, high=9), st.floats(width=32, allow_nan=False, allow_infinity=False))
@invariant
def test_trimmed_mean_stays_among_the_honest_when_one_site_is_poisoned(honest, poison):
    found = trimmed_mean([*honest, update(np.full(SHAPE, poison))], trim=0.2)["w"]
    assert (found >= stacked(honest).min(axis=0)).all()
    assert (found <= stacked(honest).max(axis=0)).all()


def test_mean_does_not():
    honest = [update(np.full(SHAPE, value)) for value in (1, 2, 3)]
    assert (fedavg([*honest, update(np.full(SHAPE, 1e9))])["w"] > 3).all()


@pytest.mark.parametrize(
    ("trim", "expected"),
    [(0.0, 30.0), (0.1, 30.0), (0.2, 8.0 / 3 + 2.0 / 3), (0.4, 3.0), (0.49, 3.0)],
)
def test_trimmed_mean_of_five(trim, expected):
    """Values 1, 2, 3, 5, 139: mean 30; without both ends 10/3; the one in the middle 3."""
    updates = [update(np.full(SHAPE, value)) for value in (139, 2, 5, 1, 3)]
    np.testing.assert_allclose(trimmed_mean(updates, trim)["w"], expected, rtol=1e-7)


def test_trim_counts_sites_and_not_rounding_errors():
    """0.29 * 100 is 28.999999999999996 in float64; 29 sites are left out at each end."""
    updates = [update(np.full(SHAPE, float(value))) for value in [-1e9] * 29 + list(range(42)) + [1e9] * 29]
    np.testing.assert_array_equal(trimmed_mean(updates, 0.29)["w"], np.full(SHAPE, 20.5))


def test_signed_zeros_do_not_show_the_order():
    zero, negative = update(np.zeros(SHAPE)), update(-np.zeros(SHAPE))
    for rule in RULES:
        assert result_bytes(rule, [zero, negative, zero]) == result_bytes(rule, [negative, zero, zero])


@pytest.mark.parametrize("rule", RULES)
def test_stored_updates_and_many_blocks_give_the_same_bytes(rule, tmp_path):
    """An array of 3 x 10**5 values is cut into several blocks; numpy does it at once."""
    draw = np.random.default_rng(1)
    updates = [
        Update("a" * 64, f"site-{n}", 0, {"w": draw.normal(size=(3, 100_000)).astype(np.float32)}, n + 1, {})
        for n in range(9)
    ]
    for one in updates:
        (tmp_path / one.site).write_bytes(encode(one))
    stored = [open_update(tmp_path / one.site) for one in updates]
    assert result_bytes(rule, stored) == result_bytes(rule, updates)
    values, samples = stacked(updates), [u.samples for u in updates]
    ordered = np.sort(values, axis=0)
    second = {"median": ordered[4], "trimmed_mean": ordered[2:7].mean(axis=0)}
    reference = second.get(rule.name, np.average(values, axis=0, weights=samples))
    np.testing.assert_allclose(aggregate(rule, stored)["w"], reference, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("rule", RULES)
def test_scalars_and_empty_arrays_keep_their_shapes(rule):
    odd = {"scalar": np.full((), 2, np.float32), "empty": np.zeros((0, 3), np.float32)}
    found = aggregate(rule, [Update("a" * 64, f"site-{n}", 0, odd, 1, {}) for n in range(3)])
    assert {name: array.shape for name, array in found.items()} == {"scalar": (), "empty": (0, 3)}
    assert found["scalar"] == 2


@pytest.mark.parametrize("rule", RULES)
def test_nothing_to_aggregate_is_an_error(rule):
    with pytest.raises(ValueError, match="there are no updates"):
        aggregate(rule, [])


@pytest.mark.parametrize("rule", RULES)
def test_updates_of_different_form_are_an_error(rule):
    good = update(np.ones(SHAPE))
    with pytest.raises(ValueError, match="array names differ between updates: 'b'"):
        aggregate(rule, [good, Update("a" * 64, "s", 0, {"w": good.arrays["w"]}, 1, {})])
    with pytest.raises(ValueError, match="shape"):
        aggregate(rule, [good, update(np.ones((3, 2)))])


@pytest.mark.parametrize("trim", [-0.1, 0.5, float("nan")])
def test_impossible_trim_is_an_error(trim):
    with pytest.raises(ValueError, match="trim"):
        trimmed_mean([update(np.ones(SHAPE))], trim)
