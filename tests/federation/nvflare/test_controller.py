"""The coordinator's rounds against an engine that is played: who is connected, who answers, when, and with what."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nvflare.apis.signal import Signal

from flame.federation.closing import read_cross_site
from flame.federation.folder import encode_model, history
from flame.federation.gate import Answer
from flame.federation.job import Job, Limits, job_hash
from flame.federation.messages import encode_message
from flame.federation.nvflare.controller import RoundController
from flame.federation.nvflare.messages import accepted, read_asking, refused
from flame.federation.nvflare.runs import read_runs, run_folder
from flame.federation.region_sum import write_region
from flame.federation.regions import region_sum
from flame.federation.rounds import State
from flame.federation.scores import ModelScore
from flame.federation.stages import read_question
from flame.federation.update import Update, encode
from flame.site.audit import audit
from flame.site.entries import Received, Sent, digest
from flame.site.identity import read_public_key
from flame.site.ledger import Head

SITES = ("a", "b", "c")
JOB = Job(
    task="response",
    model="clinical",
    context="pre_rt",
    seed=0,
    rounds=2,
    limits=Limits(quorum=2, grace_s=0.3, deadline_s=20),
)
Reply = Callable[[State, str], Any]


def trained(state: State, site: str) -> Any:
    """A good answer: everything has grown by one."""
    grown = {name: np.ones_like(array) for name, array in state.arrays.items()}
    return accepted(
        Answer(encode(Update(job_hash(state.job), site, state.round, grown, 5, {})), Head(count=1, hash="0" * 64))
    )


def of_all_stages(state: State, site: str) -> Any:
    """As `trained`; after the last round, how good a model is."""
    if state.round < state.job.rounds:
        return trained(state, site)
    said = ModelScore(job_hash(state.job), site, digest(encode_model(state.arrays)), 0.5, 5)
    return accepted(Answer(encode_message(said), Head(count=1, hash="0" * 64)))


def unwilling(state: State, site: str) -> Any:  # noqa: ARG001
    return refused("not approved")


@dataclass
class Engine:
    """Sites that are connected, one list for each look until the last; how each answers; what was kept back."""

    kit: Path
    connected: list[Sequence[str]] = field(default_factory=lambda: [SITES])
    replies: dict[str, Reply] = field(default_factory=lambda: dict.fromkeys(SITES, trained))
    kept_back: list[Callable[[], None]] = field(default_factory=list)
    late: tuple[tuple[str, int], ...] = ()
    lost: set[str] = field(default_factory=set)
    panics: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def run(self, job: Job = JOB, regions: dict[str, list[str]] | None = None) -> RoundController:
        controller = RoundController(job.model_dump_json(), list(SITES), regions)
        controller.communicator = self
        controller.system_panic = lambda reason, _: self.panics.append(reason)
        context = SimpleNamespace(get_engine=lambda: self)
        controller.start_controller(context)
        controller.control_flow(Signal(), context)
        return controller

    def get_workspace(self) -> Any:
        return SimpleNamespace(get_root_dir=lambda: str(self.kit))

    def get_clients(self) -> list[Any]:
        now = self.connected[0] if len(self.connected) == 1 else self.connected.pop(0)
        return [SimpleNamespace(name=name) for name in now]

    def broadcast(self, task: Any, fl_ctx: Any, targets: Sequence[str], *_: Any) -> None:
        kept_back, self.kept_back = self.kept_back, []
        for deliver in kept_back:
            deliver()
        for site in targets:
            if site in self.lost:
                continue
            state = read_question(read_asking(task.data))
            self.asked.append(task.name)
            sent = SimpleNamespace(client=SimpleNamespace(name=site), result=self.replies[site](state, site))

            def deliver(sent: Any = sent) -> None:
                task.result_received_cb(sent, fl_ctx)

            if (site, state.round) in self.late:
                self.kept_back.append(deliver)
            else:
                deliver()

    def get_client_disconnect_time(self, site: str) -> float | None:
        return 1.0 if site in self.lost else None

    def cancel_all_tasks(self, *_: Any) -> None:
        """Nothing is left standing."""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def folder(engine: Engine) -> Path:
    return engine.kit / "runs" / job_hash(JOB)[:16]


def test_rounds_are_closed_with_all_that_answer_and_the_ledger_holds_both_ways(engine: Engine) -> None:
    engine.run()
    assert not engine.panics
    assert (folder(engine) / "model.json").exists()
    assert [set(report.samples) for report in history(folder(engine))] == [set(SITES)] * 2
    ledger = engine.kit / "ledger"
    found = audit(ledger, read_public_key(ledger / "identity.pub"))
    assert not found.flaws
    whats = [entry.what for entry in found.entries]
    assert sum(isinstance(what, Sent) for what in whats) == sum(isinstance(what, Received) for what in whats) == 6


SCORED = Job.model_validate({**JOB.model_dump(), "selection": {"held_back": 0.2}})


def test_when_the_rounds_are_over_sites_score_the_model_and_the_ledger_holds_it(engine: Engine) -> None:
    engine.replies = {"a": of_all_stages, "b": of_all_stages, "c": trained}  # c sends an update where a score is asked
    engine.run(SCORED)
    assert not engine.panics
    assert engine.asked == ["train"] * 6 + ["score"] * 3
    run = run_folder(engine.kit, SCORED)
    found = read_cross_site(run)
    assert found is not None
    (row,) = found["models"]
    assert row["scores"] == {site: {"score": 0.5, "patients": 5} for site in ("a", "b")}
    assert set(row["refused"]) == {"c"}
    assert (run / "model.json").exists()
    ledger = engine.kit / "ledger"
    whats = [entry.what for entry in audit(ledger, read_public_key(ledger / "identity.pub")).entries]
    models = [what for what in whats if isinstance(what, Sent) and what.kind == "scored model"]
    assert {what.digest for what in models} == {digest((run / "model.safetensors").read_bytes())}
    assert len(models) == sum(isinstance(what, Received) and what.kind == "score" for what in whats) == 3
    engine.run(SCORED)
    assert len(engine.asked) == 9


def test_an_answer_after_its_round_is_closed_is_dropped(engine: Engine) -> None:
    engine.late = (("c", 0),)  # it arrives while round 1 is asked
    engine.run()
    assert [set(report.samples) for report in history(folder(engine))] == [{"a", "b"}, set(SITES)]
    assert not engine.panics


def test_a_refusal_is_told_and_costs_its_site_alone(engine: Engine) -> None:
    engine.replies["b"] = unwilling
    engine.run()
    assert [dict(report.refused) for report in history(folder(engine))] == [{"b": "not approved"}] * 2
    (run,) = read_runs(engine.kit)
    assert (run.done, run.sites, run.failure) == (2, ("a", "c"), None)


def test_a_site_that_sends_rubbish_costs_itself_alone(engine: Engine) -> None:
    engine.replies["a"] = lambda *_: accepted(Answer(b"rubbish", Head(count=1, hash="0" * 64)))
    engine.run()
    assert [set(report.samples) for report in history(folder(engine))] == [{"b", "c"}] * 2


def test_a_round_waits_for_the_sites_that_its_quorum_needs(engine: Engine) -> None:
    engine.connected = [["a"], ["a"], ["a", "b"], ["a", "b"]]
    engine.run()
    assert not engine.panics
    assert [set(report.samples) for report in history(folder(engine))] == [{"a", "b"}] * 2


def test_below_the_quorum_a_job_ends_with_the_reason_and_goes_on_when_it_is_handed_in_again(engine: Engine) -> None:
    engine.replies |= {"a": unwilling, "b": unwilling}
    engine.run()
    assert len(engine.panics) == 1
    assert "a: not approved" in engine.panics[0]
    (run,) = read_runs(engine.kit)
    assert run.done == 0
    assert run.failure is not None
    assert "b: not approved" in run.failure
    engine.replies = dict.fromkeys(SITES, trained)
    engine.run()
    (run,) = read_runs(engine.kit)
    assert (run.done, run.failure) == (2, None)


def test_a_disk_that_is_full_costs_the_answer_and_not_the_job(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from flame.errors import EngineError
    from flame.federation import folder as files

    real = files.save_update

    def full(where: Path, round: int, site: str, content: bytes) -> None:
        if site == "c":
            raise EngineError("The disk is full", "Free some space.")
        real(where, round, site, content)

    monkeypatch.setattr(files, "save_update", full)
    engine.run()
    assert [set(report.samples) for report in history(folder(engine))] == [{"a", "b"}] * 2
    assert not engine.panics


def test_a_site_that_is_lost_is_not_waited_for(engine: Engine) -> None:
    engine.lost = {"c"}
    patient = JOB.model_copy(update={"limits": Limits(quorum=2, grace_s=60, deadline_s=60)})
    started = time.monotonic()
    engine.run(patient)
    assert time.monotonic() - started < 30
    assert not engine.panics


def a_sum(state: State, region: str) -> Any:
    """The sum of a region's sites, each with the answer of `trained`."""
    grown = {name: np.ones_like(array) for name, array in state.arrays.items()}
    updates = [Update(job_hash(state.job), site, state.round, grown, 5, {}) for site in REGIONS[region]]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sum"
        write_region(path, region_sum(state, region, updates))
        return accepted(Answer(path.read_bytes(), Head(count=1, hash="0" * 64)))


REGIONS = {"north": ["a", "b"], "south": ["c"]}


@pytest.mark.parametrize(
    ("quorum", "lost", "counted"),
    [(3, set(), {"a", "b", "c"}), (2, {"south"}, {"a", "b"}), (1, {"north"}, {"c"})],
)
def test_regions_are_asked_in_the_place_of_sites_and_count_as_many_as_they_hold(
    engine: Engine, quorum: int, lost: set[str], counted: set[str]
) -> None:
    """With two of two sites from the north a quorum of two is there, although one region of two has answered."""
    engine.connected = [list(REGIONS)]
    engine.replies = dict.fromkeys(REGIONS, a_sum)
    engine.lost = lost
    job = JOB.model_copy(update={"limits": Limits(quorum=quorum, grace_s=60, deadline_s=60)})
    started = time.monotonic()
    engine.run(job, REGIONS)
    assert time.monotonic() - started < 30
    assert not engine.panics
    assert [set(report.samples) for report in history(run_folder(engine.kit, job))] == [counted] * 2
    flat = Engine(engine.kit / "flat")
    flat.kit.mkdir()
    flat.replies = {site: trained if site in counted else unwilling for site in SITES}
    flat.run(job)
    models = [(run_folder(one.kit, job) / "model.safetensors").read_bytes() for one in (engine, flat)]
    assert models[0] == models[1]


def test_a_job_that_regions_can_not_run_ends_with_the_reason(engine: Engine) -> None:
    engine.run(SCORED, REGIONS)
    assert "evaluation.cross_site" in engine.panics[0]
    assert not engine.asked
