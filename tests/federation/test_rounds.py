"""A round is a pure function: equal arguments, equal bytes, and no argument is changed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame.errors import ConfigError, DataError, EngineError, UpdateRejected
from flame.federation.job import Job, job_hash
from flame.federation.rounds import close_round, decode_state, encode_state, expected, first_state
from flame.federation.store import encode_arrays
from flame.federation.update import Update, encode

SITES = ("site-1", "site-2", "site-3")
MODEL = {"w": np.array([[1, 2], [3, 4]], np.float32), "b": np.full((), 5, np.float32)}
RULES = ["fedavg", "fedprox", "fedavgm", "fedadam", "median", "trimmed_mean"]


def job(rule="fedavg", **changes):
    settings = {"limits": {"quorum": 2}, "training": {"proximal_mu": 0.1}, "aggregation": {"name": rule}} | changes
    return Job(task="response", model="network", context="pre_rt", seed=1, rounds=5, **settings)


def begin(rule="fedavg", **changes):
    return first_state(job(rule, **changes), SITES, MODEL)


def updates(state, count=3):
    draw = np.random.default_rng(state.round)
    return [
        Update(
            job_hash(state.job),
            site,
            state.round,
            {name: np.asarray(draw.normal(size=array.shape), np.float32) for name, array in state.arrays.items()},
            10 + number,
            {},
        )
        for number, site in enumerate(SITES[:count])
    ]


def test_a_round_adds_the_weighted_mean_of_the_differences():
    state = begin()
    ones, twos = (
        replace(u, arrays={n: np.full_like(a, v) for n, a in MODEL.items()}) for u, v in zip(updates(state, 2), (1, 2))
    )
    closed = close_round(state, [replace(ones, samples=3), replace(twos, samples=1)])
    np.testing.assert_array_equal(closed.arrays["w"], MODEL["w"] + 1.25)
    assert closed.arrays["b"] == 6.25
    assert closed.round == 1
    assert (closed.job, closed.sites) == (state.job, state.sites)


@pytest.mark.parametrize("rule", RULES)
@given(order=st.permutations(range(3)))
@settings(deadline=None, derandomize=True)
def test_order_of_arrival_does_not_change_a_byte(rule, order):
    state = close_round(begin(rule), updates(begin(rule)))
    arrived = updates(state)
    assert encode_state(close_round(state, [arrived[i] for i in order])) == encode_state(close_round(state, arrived))


@pytest.mark.parametrize("rule", RULES)
def test_a_round_changes_neither_state_nor_updates(rule):
    state = begin(rule)
    arrived = updates(state)
    before = encode_state(state), [encode(one) for one in arrived]
    close_round(state, arrived)
    assert (encode_state(state), [encode(one) for one in arrived]) == before


@pytest.mark.parametrize("rule", RULES)
def test_going_on_from_a_stored_state_gives_the_same_bytes(rule):
    state = stored = begin(rule)
    for _ in range(3):
        state = close_round(state, updates(state))
        stored = decode_state(encode_state(close_round(stored, updates(stored))))
    assert encode_state(stored) == encode_state(state)
    assert stored.job == state.job
    assert list(stored.moments) == list(state.moments)


def test_initial_order_of_names_does_not_matter():
    turned = first_state(job(), reversed_sites := SITES[::-1], dict(reversed(MODEL.items())))
    assert encode_state(turned) == encode_state(begin())
    assert turned.sites == tuple(sorted(reversed_sites))


def test_quorum_counts_valid_updates():
    state = begin()
    assert close_round(state, updates(state, 2)).round == 1
    with pytest.raises(EngineError, match=r"Round 0: 1 valid updates of 3 sites, the quorum is 2"):
        close_round(state, updates(state, 1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"round": 1}, "round 1, not 0"),
        ({"job_hash": job_hash(job("median"))}, "belongs to job"),
        ({"site": "site-4"}, "site 'site-4' does not take part"),
        ({"site": "site-1"}, "'site-1' has already sent"),
    ],
)
def test_updates_that_do_not_belong_are_refused(change, reason):
    state = begin()
    first, second, _ = updates(state)
    with pytest.raises(UpdateRejected, match=reason):
        close_round(state, [first, replace(second, **change)])


def test_what_is_expected_follows_from_the_state():
    state = close_round(begin(), updates(begin()))
    awaited = expected(state)
    assert (awaited.job_hash, awaited.round, awaited.sites) == (job_hash(state.job), 1, SITES)
    assert awaited.shapes == {"w": (2, 2), "b": ()}
    assert awaited.max_norm == state.job.limits.max_update_norm


def test_a_quorum_above_the_number_of_sites_is_refused():
    with pytest.raises(ConfigError, match=r"limits\.quorum = 4, but 3 sites"):
        begin(limits={"quorum": 4})


@pytest.mark.parametrize("name", ["", "../site", "site 1", ".site", "s" * 65, "site.refused"])
def test_names_that_can_not_be_file_names_are_refused(name):
    with pytest.raises(ConfigError, match="site name"):
        first_state(job(), ["site-1", name], MODEL)


@pytest.mark.parametrize("array", [np.zeros(2), np.array([np.nan], np.float32)])
def test_initial_models_that_are_not_finite_float32_are_an_error(array):
    with pytest.raises(ValueError, match="initial array 'w'"):
        first_state(job(), SITES, {"w": array})


@pytest.mark.parametrize("content", [b"", encode_arrays(MODEL, "{}"), encode(updates(begin())[0])])
def test_bytes_that_are_no_state_are_refused(content):
    with pytest.raises(DataError):
        decode_state(content)
