"""Sums of sums: whichever sites form which region, the model has the bytes that it has without regions."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load
from tests.federation.logistic import INITIAL, JOB, sites

from flame.errors import ConfigError, EngineError, UpdateRejected
from flame.federation import embedded
from flame.federation.folder import history
from flame.federation.job import Job, job_hash
from flame.federation.region_sum import RegionSum, check_region, open_region, write_region
from flame.federation.regions import close_regions, region_sum, require_sums
from flame.federation.rounds import State, close_round, encode_state, expected, first_state
from flame.federation.update import Update

SITES = tuple(f"site-{number}" for number in range(1, 8))
MODEL = {"w": np.array([[1, 2], [3, 4]], np.float32), "b": np.full((), 5, np.float32)}
REGIONS = {"north": SITES[:4], "south": SITES[4:]}
MEANS = ["fedavg", "fedprox", "fedavgm", "fedadam"]


def job(rule: str = "fedavg", **changes: Any) -> Job:
    fields: dict[str, Any] = {
        "task": "response",
        "model": "network",
        "context": "pre_rt",
        "seed": 1,
        "rounds": 5,
        "limits": {"quorum": 2, "max_update_norm": 1e30},
        "training": {"proximal_mu": 0.1},
        "aggregation": {"name": rule},
    }
    return Job.model_validate({**fields, **changes})


def begin(rule: str = "fedavg", **changes: Any) -> State:
    return first_state(job(rule, **changes), SITES, MODEL)


def updates(state: State, seed: int = 0, scale: float = 1.0) -> list[Update]:
    """Of all sites, over many orders of magnitude, so that plain float64 sums would depend on their order."""
    draw = np.random.default_rng(seed)
    return [
        Update(
            job_hash(state.job),
            site,
            state.round,
            {
                name: np.asarray(
                    scale * draw.normal(size=array.shape) * 10.0 ** draw.integers(-9, 9, array.shape), np.float32
                )
                for name, array in state.arrays.items()
            },
            int(draw.integers(1, 5000)),
            {},
        )
        for site in SITES
    ]


def summed(state: State, regions: dict[str, tuple[str, ...]], arrived: list[Update]) -> list[RegionSum]:
    return [
        region_sum(state, region, [one for one in arrived if one.site in members])
        for region, members in regions.items()
    ]


@given(
    places=st.lists(st.integers(0, 3), min_size=len(SITES), max_size=len(SITES)),
    order=st.permutations(range(len(SITES))),
    seed=st.integers(0, 10**6),
    rule=st.sampled_from(MEANS),
)
@settings(deadline=None, derandomize=True)
def test_however_sites_form_regions_the_next_state_has_the_same_bytes(
    places: list[int], order: list[int], seed: int, rule: str
) -> None:
    state = close_round(begin(rule), updates(begin(rule), seed + 1))
    arrived = updates(state, seed)
    regions = {
        f"region-{place}": tuple(site for site, own in zip(SITES, places, strict=True) if own == place)
        for place in set(places)
    }
    sums = summed(state, regions, [arrived[place] for place in order])
    flat = close_round(state, arrived)
    assert encode_state(close_regions(state, sums)) == encode_state(flat)
    assert encode_state(close_regions(state, sums[::-1])) == encode_state(flat)


def test_what_cancels_between_regions_is_not_lost() -> None:
    """1e20 - 1e20 + 1: in plain float64 the one would be swallowed by the first region's sum."""
    state = begin()
    values = dict(zip(SITES, (1e20, 1.0, 0, 0, -1e20, 0, 0), strict=True))
    arrived = [
        replace(one, arrays={n: np.full_like(a, values[one.site]) for n, a in MODEL.items()}, samples=1)
        for one in updates(state)
    ]
    closed = close_regions(state, summed(state, REGIONS, arrived))
    assert closed.arrays["b"] == np.float32(5.0 + np.float32(1 / 7))


def test_a_sum_travels_as_bytes_that_lose_nothing(tmp_path: Path) -> None:
    state = begin()
    (north, _) = summed(state, REGIONS, updates(state))
    path = tmp_path / "north.region"
    write_region(path, north)
    found = open_region(path)
    assert (found.job_hash, found.region, found.round) == (north.job_hash, "north", 0)
    assert found.samples == north.samples
    for name, pair in north.pairs.items():
        assert found.pairs[name].tobytes() == pair.tobytes()
    write_region(tmp_path / "again.region", found)
    assert (tmp_path / "again.region").read_bytes() == path.read_bytes()
    library = load(path.read_bytes())  # a second reader: the library's own
    assert {name: pair.tobytes() for name, pair in library.items()} == {
        name: pair.tobytes() for name, pair in north.pairs.items()
    }


@pytest.mark.parametrize("content", [b"", b"rubbish", encode_state(begin())])
def test_bytes_that_are_no_sum_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "north.region").write_bytes(content)
    with pytest.raises(UpdateRejected, match=r"north\.region"):
        open_region(tmp_path / "north.region")


def shifted(pairs: dict[str, np.ndarray], **changes: Any) -> dict[str, Any]:
    return {"pairs": {**pairs, **changes}}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: {"job_hash": "0" * 64}, "it is of job 000000000000, round 0"),
        (lambda _: {"round": 3}, "round 3"),
        (lambda _: {"region": "west"}, "there is no region 'west'"),
        (lambda _: {"samples": {"site-1": 5, "site-7": 5}}, "region north speaks for site-7"),
        (lambda _: {"samples": {}}, "speaks for no site"),
        (lambda one: {"pairs": {"w": one.pairs["w"]}}, "array names differ from the model's: 'b'"),
        (lambda one: shifted(one.pairs, b=one.pairs["b"].astype(np.float32)), "array 'b' is float32"),
        (lambda one: shifted(one.pairs, b=np.zeros((3,))), r"expected float64 \(2,\)"),
        (lambda one: shifted(one.pairs, b=np.array([np.inf, 0.0])), "'b' holds NaN or infinity"),
        (lambda one: shifted(one.pairs, b=np.array([1e40, 0.0])), "is above the bound 1e"),
    ],
)
def test_a_forged_sum_is_refused_by_name(change: Any, reason: str) -> None:
    state = begin()
    (north, _) = summed(state, REGIONS, updates(state))
    check_region(north, expected(state), REGIONS)
    with pytest.raises(UpdateRejected, match=reason):
        check_region(replace(north, **change(north)), expected(state), REGIONS)


@given(seed=st.integers(0, 10**6))
@settings(deadline=None, derandomize=True)
def test_a_region_of_sites_within_the_bound_is_within_it(seed: int) -> None:
    """All sites send the same direction with the largest norm allowed: the mean's norm is the bound, up to rounding."""
    state = begin(limits={"max_update_norm": 2.0})
    draw = np.random.default_rng(seed)
    direction = draw.normal(size=5)
    direction *= 2.0 / np.linalg.norm(direction)
    arrays = {
        "w": np.asarray(direction[:4].reshape(2, 2), np.float32),
        "b": np.asarray(direction[4], np.float32),
    }
    arrived = [replace(one, arrays=arrays) for one in updates(state, seed)]
    for one in summed(state, REGIONS, arrived):
        check_region(one, expected(state), REGIONS)


def test_the_quorum_is_of_sites_and_not_of_regions() -> None:
    state = begin(limits={"quorum": 6})
    sums = summed(state, REGIONS, updates(state)[:6])
    assert close_regions(state, sums).round == 1
    with pytest.raises(EngineError, match="Round 0: 4 valid updates of 7 sites in 1 regions, the quorum is 6"):
        close_regions(state, sums[:1])


def test_a_site_counts_once() -> None:
    state = begin()
    arrived = updates(state)
    with pytest.raises(UpdateRejected, match="has already sent"):
        region_sum(state, "north", [arrived[0], arrived[0]])
    twice = [region_sum(state, region, arrived[:3]) for region in REGIONS]
    with pytest.raises(UpdateRejected, match="in the sums of two regions"):
        close_regions(state, twice)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aggregation": {"name": "median"}}, "aggregation median looks at single updates"),
        ({"aggregation": {"name": "trimmed_mean"}}, "aggregation trimmed_mean looks at single updates"),
        ({"privacy": {"secure_aggregation": True}}, r"privacy\.secure_aggregation"),
    ],
)
def test_rules_that_are_no_sum_are_refused_by_name(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        require_sums(job(**changes))


def test_a_job_in_regions_ends_with_the_bytes_of_one_without(tmp_path: Path) -> None:
    short = JOB.model_copy(update={"rounds": 3})
    regions = {"north": ("site-1", "site-4"), "south": ("site-2",), "west": ("site-3",)}
    list(embedded.run(short, sites(), tmp_path / "flat", INITIAL))
    reports = list(embedded.run(short, sites(), tmp_path / "regions", INITIAL, regions=regions))
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("flat", "regions")]
    assert models[0] == models[1]
    assert [one.scalars for one in history(tmp_path / "flat")] == [one.scalars for one in reports]


def test_a_region_that_loses_all_its_sites_costs_itself_alone(tmp_path: Path) -> None:
    def raising(_arrays: Any, _round: int) -> Any:
        raise ZeroDivisionError

    short = JOB.model_copy(update={"rounds": 1})
    regions = {"north": ("site-1", "site-4"), "south": ("site-2",), "west": ("site-3",)}
    found = {**sites(), "site-2": raising}
    list(embedded.run(short, found, tmp_path / "flat", INITIAL))
    (report,) = embedded.run(short, found, tmp_path / "regions", INITIAL, regions=regions)
    assert set(report.refused) == {"site-2"}
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("flat", "regions")]
    assert models[0] == models[1]


@pytest.mark.parametrize(
    ("regions", "reason"),
    [
        ({"north": ("site-1", "site-2")}, "don't hold every site once: site-3"),
        ({"north": ("site-1", "site-2", "site-3", "site-4"), "south": ("site-1",)}, "don't hold every site once"),
        ({"north": ("site-1", "site-2", "site-3", "site-4"), "south": ()}, "don't hold every site once"),
        ({"../north": ("site-1", "site-2", "site-3", "site-4")}, "a region's name can't be used"),
    ],
)
def test_regions_that_are_none_write_nothing(tmp_path: Path, regions: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        embedded.run(JOB, sites(), tmp_path / "run", INITIAL, regions=regions)
    assert not (tmp_path / "run").exists()
