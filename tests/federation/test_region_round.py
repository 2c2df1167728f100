"""The coordinator's round in regions: sums are looked at, kept, and asked for once; the quorum is of sites."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flame.errors import ConfigError, EngineError
from flame.federation.folder import history, load_state, region_path, save_refusal, save_state
from flame.federation.job import Evaluation, Job, Limits, Selection, job_hash
from flame.federation.region_round import region_round, require_region_job, sites_behind
from flame.federation.region_sum import write_region
from flame.federation.regions import region_sum
from flame.federation.rounds import State, close_round, encode_state, first_state
from flame.federation.stages import SUM, Keep, Stage, read_question
from flame.federation.steps import begin
from flame.federation.update import Update

REGIONS = {"north": ("a", "b"), "south": ("c",)}
SITES = ("a", "b", "c")
JOB = Job(
    task="response",
    model="clinical",
    context="pre_rt",
    seed=0,
    rounds=2,
    limits=Limits(quorum=2, grace_s=5),
    selection=Selection(rule="mean", held_back=0.2),
    evaluation=Evaluation(cross_site="none"),
)


def update(state: State, site: str, values: Sequence[float] = (1, 2)) -> Update:
    change: Mapping[str, NDArray[np.float32]] = {"w": np.array(values, np.float32)}
    return Update(job_hash(state.job), site, state.round, change, ord(site) - 96, {"loss": 0.1, "score": 0.7})


class Regions:
    """Regions that answer with the sums of some sites, by way of a file as over a line; what was asked is kept."""

    def __init__(self, folder: Path, there: Sequence[str] = SITES, values: Sequence[float] = (1, 2)) -> None:
        self.folder, self.there, self.values = folder, there, values
        self.asked: list[str] = []
        self.limits: Limits | None = None
        self.told: list[str | None] = []
        self.refused: Mapping[str, str] = {}
        self.signs_as: Mapping[str, str] = {}

    def __call__(
        self, state: State, stage: Stage, messages: Mapping[str, bytes], keep: Keep, limits: Limits, before: int = 0
    ) -> None:
        assert stage == SUM
        self.limits, self.before = limits, before
        for region, message in messages.items():
            self.asked.append(region)
            found = read_question(message)
            own = [update(found, site, self.values) for site in REGIONS[region] if site in self.there]
            if not own:
                save_refusal(self.folder, state.round, region, "no site has answered")
                continue
            path = self.folder / "travels"
            refused = {site: why for site, why in self.refused.items() if site in REGIONS[region]}
            write_region(path, region_sum(found, self.signs_as.get(region, region), own, refused))
            self.told.append(keep(region, path.read_bytes()))


@pytest.fixture
def state(tmp_path: Path) -> State:
    first = first_state(JOB, SITES, {"w": np.zeros(2, np.float32)})
    load_state(tmp_path, JOB)
    return begin(tmp_path, first)


def run(state: State, ask: Regions) -> Any:
    return region_round(state, ask.folder, REGIONS, ask, lambda: 1.0)


def test_the_next_state_has_the_bytes_that_it_has_without_regions(state: State, tmp_path: Path) -> None:
    ask = Regions(tmp_path)
    following, report = run(state, ask)
    assert encode_state(following) == encode_state(close_round(state, [update(state, site) for site in SITES]))
    assert report.samples == {"a": 1, "b": 2, "c": 3}
    assert all(report.scalars[site] == {"loss": 0.1, "score": 0.7} for site in SITES)
    assert set(report.bytes_up) == set(report.bytes_down) == set(REGIONS)
    assert history(tmp_path) == [report]
    assert (tmp_path / "best.safetensors").exists()  # scores of sites count for the choice of the best model
    assert ask.limits is not None
    assert ask.limits.grace_s == 2 * JOB.limits.grace_s  # a region waits for its own slow sites first


def test_what_was_answered_before_a_kill_is_not_asked_again(state: State, tmp_path: Path) -> None:
    ask = Regions(tmp_path, there=("a", "c"))
    path = region_path(tmp_path, 0, "north")
    write_region(path, region_sum(state, "north", [update(state, "b")]))
    run(state, ask)
    assert ask.asked == ["south"]
    assert ask.before == 1
    path = region_path(tmp_path, 1, "north")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"torn by the disk")
    following = load_state(tmp_path, JOB)
    assert following is not None
    run(following, ask)
    assert ask.asked == ["south", "north", "south"]


def test_the_quorum_is_of_sites(state: State, tmp_path: Path) -> None:
    regions = [sites_behind(tmp_path, REGIONS, state, region) for region in REGIONS]
    assert regions == [2, 1]
    with pytest.raises(EngineError, match=r"1 valid updates of 3 sites in 1 regions.*north: no site has answered"):
        run(state, Regions(tmp_path, there="c"))
    assert not history(tmp_path)
    again = Regions(tmp_path)
    following, report = run(state, again)
    assert (following.round, set(report.samples)) == (1, set(SITES))
    assert again.asked == ["north"]


def test_where_the_quorum_is_lost_regions_that_lack_sites_are_asked_again(state: State, tmp_path: Path) -> None:
    ask = Regions(tmp_path, there=("a",))
    ask.refused = {"b": "not approved"}
    with pytest.raises(EngineError, match=r"Refused: b: not approved; south: no site has answered"):
        run(state, ask)
    again = Regions(tmp_path)
    run(state, again)
    assert again.asked == ["north", "south"]


def test_who_does_not_count_is_named_with_the_reason(state: State, tmp_path: Path) -> None:
    ask = Regions(tmp_path, there=("a", "b"))
    save_state(tmp_path, state)
    _, report = run(state, ask)
    assert report.refused == {"south": "no site has answered"}
    following = load_state(tmp_path, JOB)
    assert following is not None
    ask = Regions(tmp_path, there=("a", "c"))
    ask.refused = {"b": "not approved"}
    _, report = run(following, ask)
    assert report.refused == {"b": "not approved"}
    assert sites_behind(tmp_path, REGIONS, following, "north") == 1


@pytest.mark.parametrize("kind", ["norm", "name"])
def test_a_sum_that_may_not_count_costs_its_region_alone(state: State, tmp_path: Path, kind: str) -> None:
    ask = Regions(tmp_path)
    if kind == "name":
        ask.signs_as = {"south": "north"}
    else:
        ask.values = (1e6, 0)
    if kind == "name":
        _, report = run(state, ask)
        assert set(report.samples) == {"a", "b"}
        assert set(report.refused) == {"south"}
        assert "north speaks for c" in report.refused["south"]
    else:
        with pytest.raises(EngineError, match=r"norm 1e\+06 is above the bound 1000"):
            run(state, ask)
    assert not list(tmp_path.rglob(".*partial*"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"evaluation": Evaluation(cross_site="final")}, "evaluation.cross_site"),
        ({"aggregation": {"name": "median"}}, "aggregation median"),
    ],
)
def test_jobs_that_regions_can_not_run_are_refused_by_name(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        require_region_job(Job.model_validate({**JOB.model_dump(), **change}))
    require_region_job(JOB)
