"""A site's answer under its own rules: nothing for nobody's say-so, and nothing that the ledger does not hold."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from tests.records.sites import make_site

from flame.federation.gate import Answer, House, Refused, gated_answer
from flame.federation.job import Crop, Job, TrainingSettings, job_hash
from flame.federation.local import SiteTraining, initial_arrays
from flame.federation.rounds import State, first_state
from flame.federation.steps import answer
from flame.federation.update import decode
from flame.learning.samples import build_stores
from flame.records.dataset import read_site, write_site
from flame.site.approval import approve, standing, withdraw
from flame.site.audit import audit
from flame.site.entries import Offered, Received, Sent, digest
from flame.site.identity import make_identity, read_identity
from flame.site.ledger import Ledger, open_ledger
from flame.site.people import Person, register
from flame.site.policy import Policy, read_policy
from flame.site.withdrawal import withdraw_patient

JOB = Job(
    task="evolution",
    model="unet",
    context="pre_rt",
    seed=1,
    rounds=3,
    training=TrainingSettings(batch_size=2),
    crop=Crop(spacing_mm=4.0, size=16),
)
POLICY = 'tasks = ["evolution"]\nmodels = ["unet"]\nmin_patients = 2\narrays = ["*"]\n'
NOON = datetime(2026, 3, 1, 12, 0)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return open_house(tmp_path)


def open_house(tmp_path: Path) -> House:
    """A site of two patients, a policy, and Ada, who decides."""
    write_site(make_site(tmp_path / "data"))
    found = House("site-1", tmp_path / "data", tmp_path / "work")
    make_identity(found.work)
    make_identity(tmp_path / "ada")
    (found.work / "policy.toml").write_text(POLICY)
    at(found, lambda ledger: register(found.work, ledger, "ada", ada(found).identity.public_key))
    return found


def ada(house: House) -> Person:
    return Person("ada", read_identity(house.work.parent / "ada"))


def at(house: House, action: Callable[[Ledger], object]) -> None:
    with open_ledger(house.work, house.site, read_identity(house.work)) as ledger:
        action(ledger)


def state() -> State:
    return first_state(JOB, ("site-1",), initial_arrays(JOB))


def asked(house: House) -> Answer:
    found = gated_answer(state(), house, NOON)
    assert isinstance(found, Answer), found
    return found


def refusal(house: House, question: State | None = None) -> str:
    found = gated_answer(question or state(), house, NOON)
    assert isinstance(found, Refused)
    assert str(house.work.parent) not in found.reason
    return found.reason


def approved(house: House) -> House:
    """The house after the job was asked, refused and approved."""
    assert "not approved" in refusal(house)
    policy = read_policy(house.work / "policy.toml")
    at(house, lambda ledger: approve(house.work, ledger, job_hash(JOB), ada(house), policy, patients=2))
    return house


def entries(house: House) -> list[object]:
    found = audit(house.work, read_identity(house.work).public_key)
    assert not found.flaws
    return [entry.what for entry in found.entries]


def test_a_job_that_nobody_approved_is_kept_to_be_read_and_not_trained(house: House) -> None:
    assert refusal(house) == f"the job {job_hash(JOB)[:8]} is offered at site-1, not approved"
    assert standing(house.work, job_hash(JOB)).state == "offered"
    kinds = [type(what) for what in entries(house)]
    assert Offered in kinds
    assert Received not in kinds
    assert not (house.work / "samples").exists()


def test_an_approved_job_gets_the_answer_that_training_alone_would_give(house: House, tmp_path: Path) -> None:
    found = asked(approved(house))
    store = tmp_path / "store"
    build_stores(read_site(house.data), {"pre_rt": store}, JOB.crop)
    assert found.content == answer(SiteTraining(JOB, "site-1", (store,)), "site-1", state())
    received, sent = entries(house)[-2:]
    assert isinstance(received, Received)
    assert isinstance(sent, Sent)
    assert (sent.digest, sent.bytes, sent.samples) == (digest(found.content), len(found.content), 2)
    arrays = decode(found.content).arrays
    assert {part.name: part.shape for part in sent.arrays} == {name: array.shape for name, array in arrays.items()}
    name, array = max(arrays.items(), key=lambda pair: float(np.abs(pair[1]).max()))
    (norm,) = [part.norm for part in sent.arrays if part.name == name]
    assert norm == pytest.approx(float(np.linalg.norm(array.astype(float))))
    assert found.head.count == len(entries(house))


def test_what_was_approved_can_be_taken_back_from_the_next_round_on(house: House) -> None:
    asked(approved(house))
    at(house, lambda ledger: withdraw(house.work, ledger, job_hash(JOB), ada(house)))
    assert "is withdrawn at site-1" in refusal(house)


def test_a_patient_who_withdraws_is_left_out_from_the_next_round_on(house: House) -> None:
    assert decode(asked(approved(house)).content).samples == 2
    at(house, lambda ledger: withdraw_patient(house.work, ledger, "002", ada(house)))
    assert "fewer than 2 patients here fit the job" in refusal(house)  # one is left, and the policy wants two


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('arrays = ["head.*"]', "may not leave"),
        ("max_update_bytes = 1000", "bytes are more than the 1000 allowed"),
        ('hours = [{ begin = "20:00", end = "06:00" }]', "12:00 is outside the hours allowed"),
        ("max_rounds = 2", "3 rounds are more than the 2 allowed"),
    ],
)
def test_an_approved_job_still_meets_the_policy_as_it_is_now(house: House, change: str, message: str) -> None:
    approved(house)
    key = change.partition(" ")[0]
    kept = [line for line in POLICY.splitlines() if not line.startswith(key)]
    (house.work / "policy.toml").write_text("\n".join([*kept, change]) + "\n")
    assert message in refusal(house)
    assert not any(isinstance(what, Sent) for what in entries(house))


def test_one_approval_is_for_one_model_a_round(house: House) -> None:
    first = asked(approved(house))
    assert asked(house).content == first.content  # asked again, as after a restart
    other = replace(state(), arrays={name: array + 1 for name, array in state().arrays.items()})
    assert refusal(house, other) == "round 0 was asked before with another model"
    assert refusal(house, replace(state(), round=3)) == "there is no round 3 in a job of 3"


def test_what_leaves_is_what_people_were_shown(house: House) -> None:
    tiny = replace(state(), arrays={"tiny.bias": np.zeros(1, np.float32)})
    assert "not approved" in refusal(house, tiny)
    policy = read_policy(house.work / "policy.toml")
    at(house, lambda ledger: approve(house.work, ledger, job_hash(JOB), ada(house), policy, patients=2))
    assert refusal(house) == "the model's arrays, or the sites that take part, are not those that were offered"


def test_patients_count_who_have_what_the_job_learns_from(house: House) -> None:
    approved(house)
    site = read_site(house.data)
    second = site.patients[1]
    write_site(replace(site, patients=(site.patients[0], replace(second, exams=second.exams[:1]))))
    assert "fewer than 2 patients here have what the job learns from" in refusal(house)
    assert not any(isinstance(what, Sent) for what in entries(house))


def test_without_a_policy_nothing_is_allowed(house: House) -> None:
    approved(house)
    (house.work / "policy.toml").unlink()
    assert "task 'evolution' is not allowed here; allowed: nothing" in refusal(house)
    assert Policy().tasks == ()
