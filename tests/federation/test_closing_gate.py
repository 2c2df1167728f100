"""After the rounds a site's own rules hold too: few models are scored, none is passed on without the policy's word."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.federation.test_gate import NOON, POLICY, ada, at, entries, open_house

from flame.errors import PolicyError
from flame.federation.closing_gate import gated_closing
from flame.federation.gate import Answer, House, Refused, as_proposal
from flame.federation.job import Crop, Job, TrainingSettings, job_hash
from flame.federation.local import SiteTraining, initial_arrays
from flame.federation.rounds import State, first_state
from flame.federation.scores import trained_alone
from flame.federation.stages import ALONE, SCORE, Stage
from flame.federation.update import decode, encode
from flame.learning import validation
from flame.learning.samples import build_stores
from flame.records.dataset import read_site
from flame.site.approval import approve, offer
from flame.site.entries import Sent, digest
from flame.site.policy import read_policy
from flame.site.withdrawal import withdraw_patient

JOB = Job.model_validate(
    {
        "task": "evolution",
        "model": "unet",
        "context": "pre_rt",
        "seed": 1,
        "rounds": 2,
        "training": TrainingSettings(batch_size=2),
        "crop": Crop(spacing_mm=4.0, size=16),
        "selection": {"held_back": 0.5},
        "evaluation": {"cross_site": "each_site"},
    }
)
OWN = POLICY.replace("min_patients = 2", "min_patients = 2\nown_model = true")
SITES = ("site-1", "site-2")


def asking(job: Job = JOB, shift: float = 0.0) -> State:
    arrays = {name: np.asarray(array + shift, np.float32) for name, array in initial_arrays(job).items()}
    return replace(first_state(job, SITES, arrays), round=job.rounds)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return open_house(tmp_path)


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """One patient of two is held back."""
    monkeypatch.setattr(validation, "FEWEST", 1)


def approved(house: House, policy: str = OWN, job: Job = JOB) -> House:
    (house.work / "policy.toml").write_text(policy)
    at(house, lambda ledger: offer(house.work, ledger, as_proposal(asking(job), house.peer)))
    allows = read_policy(house.work / "policy.toml")
    at(house, lambda ledger: approve(house.work, ledger, job_hash(job), ada(house), allows, patients=2))
    return house


def asked(house: House, stage: Stage = SCORE, state: State | None = None) -> Answer | Refused:
    return gated_closing(stage, state or asking(), house, NOON)


def own_training(house: House, folder: Path, job: Job = JOB) -> SiteTraining:
    build_stores(read_site(house.data), {job.context: folder}, job.crop)
    return SiteTraining(job, house.site, (folder,))


def test_a_score_is_that_of_the_patients_held_back_and_is_in_the_ledger(house: House, tmp_path: Path) -> None:
    found = asked(approved(house))
    assert isinstance(found, Answer)
    expected = own_training(house, tmp_path / "store").score(asking().arrays)
    assert expected is not None
    told = json.loads(found.content)
    assert (told["site"], told["score"], told["patients"]) == ("site-1", expected.score, 1)
    sent = entries(house)[-1]
    assert isinstance(sent, Sent)
    assert (sent.kind, sent.samples, sent.scalars, sent.arrays) == ("score", 1, {"score": expected.score}, ())


def test_a_model_trained_alone_is_that_of_the_pure_function_and_is_in_the_ledger(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "FEWEST", 5)  # nobody is held back: both train
    found = asked(approved(house), ALONE)
    assert isinstance(found, Answer)
    assert found.content == encode(trained_alone(own_training(house, tmp_path / "store"), "site-1", asking()))
    assert decode(found.content).samples == 2
    sent = entries(house)[-1]
    assert isinstance(sent, Sent)
    assert (sent.kind, sent.digest, sent.samples) == ("own model", digest(found.content), 2)


def test_a_model_of_too_few_patients_does_not_leave(house: House) -> None:
    """One of two is held back; the policy wants two behind what leaves."""
    assert asked(approved(house), ALONE) == Refused("fewer than 2 patients here have what the job learns from")
    assert not any(isinstance(what, Sent) for what in entries(house))


def test_few_models_are_scored_and_a_model_that_was_scored_is_scored_again(house: House) -> None:
    """Two federated ones, and one of each of the two sites."""
    approved(house)
    answers = [asked(house, state=asking(shift=0.01 * number)) for number in range(4)]
    assert all(isinstance(one, Answer) for one in answers)
    again = asked(house, state=asking())
    assert isinstance(again, Answer)
    assert isinstance(answers[0], Answer)
    assert again.content == answers[0].content
    refused = asked(house, state=asking(shift=1.0))
    assert refused == Refused("score: the job has asked about as many models as it may, 4")


def test_one_first_model_is_trained_from_alone(house: House) -> None:
    approved(house)
    asked(house, ALONE)
    assert asked(house, ALONE, asking(shift=1.0)) == Refused(
        "own model: the job has asked about as many models as it may, 1"
    )


def test_without_the_policys_word_nobody_can_approve_a_job_that_passes_models_on(house: House) -> None:
    with pytest.raises(PolicyError, match="passes a model trained on this site's patients alone on"):
        approved(house, POLICY)


def test_without_the_policys_word_a_job_that_passes_models_on_is_refused_altogether(house: House) -> None:
    approved(house)
    (house.work / "policy.toml").write_text(POLICY)
    for stage in (ALONE, SCORE):
        found = asked(house, stage)
        assert isinstance(found, Refused)
        assert "passes a model trained on this site's patients alone on to the other sites" in found.reason


@pytest.mark.parametrize(
    ("changes", "stage", "reason"),
    [
        ({"evaluation": {"cross_site": "none"}}, SCORE, "the job asks for no score"),
        ({"evaluation": {"cross_site": "final"}}, ALONE, "the job asks for no own model"),
        ({"evaluation": {}, "selection": {}}, SCORE, "the job asks for no score"),
    ],
)
def test_what_the_job_does_not_say_is_not_done(
    house: House, changes: dict[str, object], stage: Stage, reason: str
) -> None:
    job = Job.model_validate({**JOB.model_dump(), **changes})
    approved(house, job=job)
    assert asked(house, stage, asking(job)) == Refused(reason)


def test_a_job_that_nobody_approved_gets_no_score(house: House) -> None:
    found = asked(house)
    assert isinstance(found, Refused)
    assert "not approved" in found.reason


def test_where_too_few_are_left_nothing_is_scored(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    approved(house)
    monkeypatch.setattr(validation, "FEWEST", 5)
    assert asked(house) == Refused("too few patients are held back here to score a model")
    at(house, lambda ledger: withdraw_patient(house.work, ledger, "002", ada(house)))
    found = asked(house)
    assert isinstance(found, Refused)
    assert "fewer than 2 patients here fit the job" in found.reason
