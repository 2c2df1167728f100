"""Noise at a site: fresh for each question, paid for before it is used, refused when the budget is spent."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.federation.test_gate import NOON, ada, at
from tests.records.sites import make_site

from flame.errors import EngineError, PolicyError
from flame.federation import gate
from flame.federation.embedded import run
from flame.federation.gate import Answer, House, Refused, gated_answer
from flame.federation.job import Crop, Job, Privacy, TrainingSettings, job_hash
from flame.federation.local import SiteTraining, initial_arrays
from flame.federation.rounds import State, first_state
from flame.federation.update import decode
from flame.learning.samples import build_stores
from flame.records.dataset import read_site, write_site
from flame.site.approval import approve
from flame.site.audit import audit
from flame.site.budget import cost_of, epsilon
from flame.site.entries import Received, Sent, Spent
from flame.site.history import recorded
from flame.site.identity import make_identity, read_identity
from flame.site.ledger import ledger_path
from flame.site.people import register
from flame.site.policy import site_policy

JOB = Job(
    task="evolution",
    model="unet",
    context="pre_rt",
    seed=1,
    rounds=3,
    training=TrainingSettings(batch_size=1),
    privacy=Privacy(noise_multiplier=2.0, clip_norm=0.5),
    crop=Crop(spacing_mm=4.0, size=16),
)
POLICY = 'tasks = ["evolution"]\nmodels = ["unet"]\nmin_patients = 2\narrays = ["*"]\n'


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A site that has approved the job."""
    write_site(make_site(tmp_path / "data"))
    found = House("site-1", tmp_path / "data", tmp_path / "work")
    make_identity(found.work)
    make_identity(tmp_path / "ada")
    (found.work / "policy.toml").write_text(POLICY)
    at(found, lambda ledger: register(found.work, ledger, "ada", ada(found).identity.public_key))
    allow(found, JOB)
    return found


def state(job: Job = JOB, round: int = 0) -> State:
    return replace(_first(job), round=round)


@functools.cache
def _first(job: Job) -> State:
    return first_state(job, ("site-1",), initial_arrays(job))


def allow(house: House, job: Job) -> None:
    assert isinstance(gated_answer(state(job), house, NOON), Refused)
    at(
        house,
        lambda ledger: approve(house.work, ledger, job_hash(job), ada(house), site_policy(house.work), patients=2),
    )


def asked(house: House, question: State | None = None) -> Answer:
    found = gated_answer(question or state(), house, NOON)
    assert isinstance(found, Answer), found
    return found


def refusal(house: House, question: State | None = None) -> str:
    found = gated_answer(question or state(), house, NOON)
    assert isinstance(found, Refused)
    return found.reason


def charged(house: House) -> tuple[Spent, ...]:
    found = audit(house.work, read_identity(house.work).public_key)
    assert not found.flaws
    return tuple(entry.what for entry in found.entries if isinstance(entry.what, Spent))


def values(content: bytes) -> np.ndarray:
    return np.concatenate([array.ravel() for array in decode(content).arrays.values()])


def test_a_round_is_paid_for_once_and_asked_again_gives_the_same_bytes(house: House) -> None:
    first = asked(house)
    assert asked(house).content == first.content
    (spent,) = charged(house)
    assert (spent.noise_multiplier, spent.sample_rate, spent.steps) == (2.0, 0.5, 2)
    update = decode(first.content)
    assert (update.samples, dict(update.scalars)) == (2, {})
    kinds = [type(event) for event in recorded(house.work)]
    assert kinds.index(Spent) < kinds.index(Received) < kinds.index(Sent)
    (sent, _) = [event for event in recorded(house.work) if isinstance(event, Sent)]
    assert sent.noise == 2.0 * 0.5 / 1


def test_another_round_another_site_and_other_patients_get_other_noise(house: House) -> None:
    """The first Adam step has the size of the learning rate in each number, whatever the noise: look at signs."""
    first = values(asked(house).content)
    second = values(asked(house, state(round=1)).content)
    (house.work / "noise.key").unlink()  # as another site
    third = values(asked(house).content)
    site = read_site(house.data)
    older = replace(site.patients[0], age=site.patients[0].age + 1)
    write_site(replace(site, patients=(older, *site.patients[1:])))
    fourth = values(asked(house).content)
    every = [np.sign(one) for one in (first, second, third, fourth)]
    for place, one in enumerate(every):
        for other in every[:place]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.05
    assert len(charged(house)) == 4


def test_the_noise_does_not_follow_from_the_job(house: House) -> None:
    content = asked(house).content
    (store,) = (house.work / "samples").glob("*")
    guess = SiteTraining(JOB, "site-1", (store,))(initial_arrays(JOB), 0).arrays
    known = values(content)
    guessed = np.concatenate([(guess[name] - array).ravel() for name, array in initial_arrays(JOB).items()])
    assert abs(np.corrcoef(np.sign(known), np.sign(guessed))[0, 1]) < 0.05


def test_a_kill_before_the_answer_is_charged_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise EngineError("full", "")

    with monkeypatch.context() as killed:
        killed.setattr(gate, "answer", full)
        with pytest.raises(EngineError):
            gated_answer(state(), house, NOON)
    assert len(charged(house)) == 1
    asked(house)
    assert len(charged(house)) == 1


def limited(house: House, limit: float) -> None:
    (house.work / "policy.toml").write_text(f"{POLICY}max_epsilon = {limit}\n")


def test_a_spent_budget_stops_the_round_before_it_is_trained(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(house)
    one = epsilon(map(cost_of, charged(house)), 1e-5)
    limited(house, round(1.2 * one, 2))
    asked(house)  # the same question costs nothing more
    monkeypatch.setattr(gate, "trained", lambda _: pytest.fail("it was trained"))
    reason = refusal(house, state(round=1))
    assert "with this round the patients' epsilon would be" in reason
    assert f"more than the {round(1.2 * one, 2):g} allowed (delta 1e-05)" in reason
    assert len(charged(house)) == 1
    other = JOB.model_copy(update={"seed": 2})  # another job spends from the same budget
    allow(house, other)
    assert "the patients' epsilon would be" in refusal(house, state(other))


def test_with_a_budget_a_job_without_noise_is_refused(house: House) -> None:
    limited(house, 100.0)
    plain = JOB.model_copy(update={"privacy": Privacy()})
    with pytest.raises(PolicyError, match="the job adds no noise; this site's policy asks for it"):
        allow(house, plain)


def test_without_a_budget_noise_is_charged_all_the_same(house: House) -> None:
    asked(house)
    asked(house, state(round=1))
    assert [one.round for one in charged(house)] == [0, 1]


def test_too_few_patients_pay_nothing(house: House) -> None:
    site = read_site(house.data)
    second = site.patients[1]
    write_site(replace(site, patients=(site.patients[0], replace(second, exams=second.exams[:1]))))
    assert "fewer than 2 patients here have what the job learns from" in refusal(house)
    assert charged(house) == ()


def test_a_changed_account_stops_training(house: House) -> None:
    asked(house)
    content = ledger_path(house.work).read_bytes()
    ledger_path(house.work).write_bytes(content.replace(b'"noise_multiplier":2.0', b'"noise_multiplier":9.0'))
    with pytest.raises(PolicyError, match="was changed"):
        gated_answer(state(round=1), house, NOON)


def test_an_embedded_job_with_noise_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    build_stores(make_site(tmp_path / "data"), {"pre_rt": tmp_path / "store"}, JOB.crop)

    def go_on(folder: Path, stop: Callable[[int], bool]) -> bytes:
        participants = {name: SiteTraining(JOB, name, (tmp_path / "store",)) for name in ("site-1", "site-2")}
        for report in run(JOB, participants, folder, initial_arrays(JOB)):
            assert report.scalars == {"site-1": {}, "site-2": {}}
            if stop(report.round):
                return b""
        return (folder / "model.safetensors").read_bytes()

    whole = go_on(tmp_path / "whole", lambda _: False)
    go_on(tmp_path / "cut", lambda round: round == 0)
    assert go_on(tmp_path / "cut", lambda _: False) == whole


def test_two_sites_on_one_machine_have_noise_of_their_own(tmp_path: Path) -> None:
    build_stores(make_site(tmp_path / "data"), {"pre_rt": tmp_path / "store"}, JOB.crop)
    one, two = (
        SiteTraining(JOB, name, (tmp_path / "store",))(initial_arrays(JOB), 0).arrays for name in ("site-1", "site-2")
    )
    signs = [
        np.sign(np.concatenate([made[name].ravel() - array.ravel() for name, array in initial_arrays(JOB).items()]))
        for made in (one, two)
    ]
    assert abs(np.corrcoef(*signs)[0, 1]) < 0.05
