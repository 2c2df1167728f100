"""Off until a person of the site approved, off again when one says so, and off whenever it can't be told."""

import os
import tempfile
from datetime import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.site.consents import JOB, POLICY, TEXT, Hospital, disk_full_after, killed_copies, proposal
from tests.site.ledgers import ticking

from flame.errors import DataError, EngineError, PolicyError
from flame.site.approval import (
    Standing,
    approve,
    decline,
    last_approved,
    offer,
    put_right,
    read_offer,
    standing,
    withdraw,
)
from flame.site.audit import audit
from flame.site.decision import Decision
from flame.site.entries import Approved, Declined, Offered, Withdrawn
from flame.site.history import recorded
from flame.site.ledger import ledger_path
from flame.site.people import Person, signed
from flame.site.policy import Hours
from flame.site.proposal import proposal_digest


@pytest.fixture
def site(tmp_path: Path) -> Hospital:
    return Hospital(tmp_path)


def yes(site: Hospital, person: Person | None = None, job: str = JOB) -> Standing:
    return site.do(lambda folder, ledger: approve(folder, ledger, job, person or site.ada, POLICY, 5))


def no(site: Hospital, person: Person | None = None, reason: str = "not now") -> Standing:
    return site.do(lambda folder, ledger: decline(folder, ledger, JOB, person or site.ada, reason))


def back(site: Hospital, person: Person | None = None) -> Standing:
    return site.do(lambda folder, ledger: withdraw(folder, ledger, JOB, person or site.ada))


def kinds(site: Hospital) -> list[str]:
    return [event.event for event in recorded(site.folder) if getattr(event, "job", None) == JOB]


def test_an_offer_is_kept_and_recorded_once_and_off(site: Hospital) -> None:
    assert standing(site.folder, JOB) == Standing("offered")
    assert not standing(site.folder, JOB).is_approved
    record = proposal_digest(site.folder, JOB)
    assert recorded(site.folder)[-1] == Offered(job=JOB, task="response", peer="coordinator", record=record)
    assert read_offer(site.folder, JOB) == proposal()
    before = site.files()
    site.do(lambda folder, ledger: offer(folder, ledger, proposal(peer="somebody else")))
    assert site.files() == before


def test_it_goes_on_and_off_as_people_decide_and_each_decision_is_recorded(site: Hospital) -> None:
    assert yes(site).is_approved
    assert standing(site.folder, JOB).decision.by == "ada"
    assert back(site, site.grace).state == "withdrawn"
    assert standing(site.folder, JOB).decision.by == "grace"
    assert yes(site).is_approved
    assert no(site, reason="the pathway changed").state == "declined"
    assert standing(site.folder, JOB).decision.reason == "the pathway changed"
    assert not standing(site.folder, JOB).is_approved
    assert kinds(site) == ["offered", "approved", "withdrawn", "approved", "declined"]
    assert audit(site.folder, site.identity.public_key).flaws == ()


def test_what_already_stands_is_not_recorded_twice(site: Hospital) -> None:
    yes(site)
    before = site.files()
    assert yes(site).is_approved
    assert site.files() == before
    yes(site, site.grace)  # a second pair of eyes is news
    assert kinds(site) == ["offered", "approved", "approved"]


def test_each_person_and_each_job_must_be_known_and_nothing_is_written_otherwise(site: Hospital) -> None:
    yes(site)
    before = site.files()
    for act in (yes, no, back):
        with pytest.raises(PolicyError, match="'mallory'") as refused:
            act(site, site.stranger)
        assert "register" in refused.value.hint
        with pytest.raises(PolicyError, match="signature is not the one of 'ada'") as refused:
            act(site, Person("ada", site.stranger.identity))
        assert "key" in refused.value.hint
    unknown = proposal(TEXT.replace("30", "29")).job
    for act in (
        lambda folder, ledger: approve(folder, ledger, unknown, site.ada, POLICY, 5),
        lambda folder, ledger: decline(folder, ledger, unknown, site.ada, "no"),
        lambda folder, ledger: withdraw(folder, ledger, unknown, site.ada),
        lambda folder, _: standing(folder, unknown),
    ):
        with pytest.raises(PolicyError, match="never offered") as refused:
            site.do(act)
        assert "flame site jobs" in refused.value.hint
    assert site.files() == before


@pytest.mark.parametrize(
    ("change", "patients", "says"),
    [
        ({"tasks": ()}, 5, "task 'response' is not allowed here"),
        ({"models": ("unet",)}, 5, "model 'clinical' is not allowed here; allowed: unet"),
        ({"max_rounds": 29}, 5, "30 rounds are more than the 29 allowed"),
        ({}, 4, "fewer than 5 patients here fit the job"),
    ],
)
def test_the_policy_forbids_what_a_person_would_allow(
    site: Hospital, change: dict[str, object], patients: int, says: str
) -> None:
    before = site.files()
    policy = POLICY.model_copy(update=change)
    with pytest.raises(PolicyError, match=says) as refused:
        site.do(lambda folder, ledger: approve(folder, ledger, JOB, site.ada, policy, patients))
    assert "Decline" in refused.value.hint
    assert site.files() == before


def test_a_person_may_decide_outside_the_hours_of_training(site: Hospital) -> None:
    night = POLICY.model_copy(update={"hours": (Hours(begin=time(2), end=time(3)),)})
    done = site.do(lambda folder, ledger: approve(folder, ledger, JOB, site.ada, night, 5, ticking()))  # at midnight
    assert done.is_approved


@pytest.mark.parametrize("reason", ["", "x" * 201])
def test_a_reason_has_a_length(site: Hospital, reason: str) -> None:
    before = site.files()
    with pytest.raises(PolicyError, match=f"{len(reason)} characters"):
        no(site, reason=reason)
    assert site.files() == before


@pytest.mark.parametrize("place", [0, 1, 40, 200, -2, -1])
def test_a_decision_edited_by_one_byte_is_no_approval_and_says_why(site: Hospital, place: int) -> None:
    yes(site)
    content = bytearray(site.decision(1).read_bytes())
    content[place] ^= 1
    site.decision(1).write_bytes(bytes(content))
    found = standing(site.folder, JOB)
    assert (found.state, found.decision) == ("offered", None)
    assert found.flaws[0].startswith("decision 1 does not count: ")
    assert yes(site).is_approved  # a person can decide again
    assert site.decision(2).exists()


def test_an_approval_that_an_unregistered_key_signed_is_none(site: Hospital) -> None:
    for by in ("mallory", "ada"):
        forged = Decision(
            by=by,
            at=ticking()(),
            job=JOB,
            proposal=proposal_digest(site.folder, JOB),
            number=1,
            verdict="approved",
        )
        site.decision(1).parent.mkdir(exist_ok=True)
        site.decision(1).write_bytes(signed(forged, site.stranger).content())
        found = standing(site.folder, JOB)
        assert found.state == "offered"
        assert by in found.flaws[0]
        site.do(put_right)
        assert kinds(site) == ["offered"]  # the ledger does not claim that anyone approved
        assert standing(site.folder, JOB) == found


def test_with_its_person_an_approval_goes(site: Hospital) -> None:
    yes(site)
    key = (site.folder / "people" / "ada.pub").read_bytes()
    (site.folder / "people" / "ada.pub").unlink()
    assert "no longer registered" in standing(site.folder, JOB).flaws[0]
    assert not standing(site.folder, JOB).is_approved
    (site.folder / "people" / "ada.pub").write_bytes(key)
    assert standing(site.folder, JOB).is_approved


def test_a_withdrawal_that_somebody_deletes_is_missed(site: Hospital) -> None:
    yes(site)
    back(site)
    kept = site.decision(2).read_bytes()
    site.decision(2).unlink()
    found = standing(site.folder, JOB)
    assert (found.state, found.flaws) == ("offered", ("a later decision, which the ledger knows, is missing",))
    site.decision(2).write_bytes(site.decision(1).read_bytes())  # the old approval in its place
    assert "another job or place" in standing(site.folder, JOB).flaws[0]
    site.decision(2).write_bytes(kept)
    assert standing(site.folder, JOB).state == "withdrawn"
    for number in (1, 2):
        site.decision(number).unlink()
    assert standing(site.folder, JOB) == Standing("offered", flaws=("a decision that the ledger knows is missing",))


def test_a_proposal_or_a_ledger_that_was_changed_takes_the_approval_away(site: Hospital) -> None:
    yes(site)
    path = site.folder / "jobs" / JOB / "proposal.json"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"coordinator", b"coordinat0r"))
    assert "proposal was changed since" in standing(site.folder, JOB).flaws[0]
    path.write_bytes(before)
    assert standing(site.folder, JOB).is_approved
    ledger = ledger_path(site.folder)
    ledger.write_bytes(ledger.read_bytes().replace(b'"by":"ada"', b'"by":"bob"'))
    found = standing(site.folder, JOB)
    assert found.state == "offered"
    assert "ledger" in found.flaws[0]


def test_a_proposal_that_was_changed_before_anybody_decided_is_neither_read_nor_approved(site: Hospital) -> None:
    path = site.folder / "jobs" / JOB / "proposal.json"
    path.write_bytes(path.read_bytes().replace(b"head.bias", b"head.fine"))
    before = site.files()
    for act in (lambda: read_offer(site.folder, JOB), lambda: yes(site)):
        with pytest.raises(PolicyError, match="changed since it was offered"):
            act()
    assert site.files() == before
    assert no(site).state == "declined"  # nobody is kept from saying no


def test_a_damaged_job_stands_in_nobody_elses_way(site: Hospital) -> None:
    other = proposal(TEXT.replace("30", "29"))
    site.do(lambda folder, ledger: offer(folder, ledger, other))
    yes(site)
    (site.folder / "jobs" / other.job / "proposal.json").write_text("{")
    assert back(site).state == "withdrawn"
    with pytest.raises(DataError, match="was damaged"):
        yes(site, job=other.job)
    strange = site.folder / "jobs" / ("f" * 64)
    strange.mkdir()
    (strange / "proposal.json").write_text("{")  # one that the ledger has never heard of
    assert yes(site).is_approved


def test_the_last_approved_job_is_the_one_that_the_ledger_names_last(site: Hospital) -> None:
    assert last_approved(site.folder, JOB) is None
    yes(site)
    assert last_approved(site.folder, JOB) is None
    others = [proposal(TEXT.replace("30", number)) for number in ("28", "29")]
    for other in others:
        assert last_approved(site.folder, other.job).rounds == (30 if other is others[0] else 28)
        site.do(lambda folder, ledger, other=other: offer(folder, ledger, other))
        yes(site, job=other.job)
    assert last_approved(site.folder, JOB) == others[1]
    yes(site, site.grace)
    assert last_approved(site.folder, others[1].job) == proposal()


ACTS = st.tuples(st.sampled_from([yes, no, back]), st.sampled_from(["ada", "grace", "mallory", "wrong key"]))
HARM = st.sampled_from(["edit", "delete"])


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.one_of(ACTS, ACTS, HARM), max_size=8))
def test_in_any_order_it_is_on_only_if_the_last_valid_decision_is_an_approval(steps: list[object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site, is_on = Hospital(Path(folder)), False
        people = {"ada": site.ada, "grace": site.grace, "mallory": site.stranger}
        people["wrong key"] = Person("ada", site.grace.identity)
        for step in steps:
            if isinstance(step, str):
                files = sorted((site.folder / "jobs" / JOB / "decisions").glob("*.json"))
                if not files:
                    continue
                is_on = False
                if step == "delete":
                    files[-1].unlink()
                else:
                    files[-1].write_bytes(files[-1].read_bytes()[:-1] + b" ")
            elif step[1] in ("ada", "grace"):
                step[0](site, people[step[1]])
                is_on = step[0] is yes
            else:
                with pytest.raises(PolicyError):
                    step[0](site, people[step[1]])
            assert standing(site.folder, JOB).is_approved == is_on
        assert audit(site.folder, site.identity.public_key).flaws == ()


@pytest.mark.parametrize(("act", "state"), [(yes, "approved"), (no, "declined"), (back, "withdrawn")])
def test_after_a_kill_file_and_ledger_agree_again_on_the_next_call(site: Hospital, tmp_path: Path, act, state) -> None:
    """Killed at every moment of writing. The file comes first, so an entry never stands without its signature."""
    if act is back:
        yes(site)
    number = 2 if act is back else 1
    before = standing(site.folder, JOB).state
    for killed in killed_copies(site, tmp_path, act, steps=10):  # decision, entry and head
        there = killed.decision(number).exists()
        entered = kinds(killed)[-1] == state
        found = standing(killed.folder, JOB)
        assert there or not entered
        if state == "approved":
            assert found.is_approved == (there and entered)
        else:
            assert found.state == (state if there else before)
        other = proposal(TEXT.replace("30", "29"))
        killed.do(lambda folder, ledger, other=other: offer(folder, ledger, other))  # any next call that has a ledger
        assert (kinds(killed)[-1] == state) == there
        assert standing(killed.folder, JOB).state == (state if there else before)
        assert act(killed).state == state
        assert kinds(killed).count(state) == 1
        assert audit(killed.folder, killed.identity.public_key).flaws == ()


def test_after_a_kill_an_offer_is_recorded_by_the_next_call(tmp_path: Path) -> None:
    site = Hospital(tmp_path, offered=False)

    def ask(site: Hospital) -> object:
        return site.do(lambda folder, ledger: offer(folder, ledger, proposal()))

    for killed in killed_copies(site, tmp_path, ask, steps=10):
        there = (killed.folder / "jobs" / JOB / "proposal.json").exists()
        assert there or not kinds(killed)
        killed.do(put_right)
        assert kinds(killed) == ["offered"] * there
        ask(killed)
        assert kinds(killed) == ["offered"]
        assert standing(killed.folder, JOB) == Standing("offered")


@pytest.mark.parametrize("act", [yes, no, back])
def test_a_full_disk_leaves_nothing_half_done(site: Hospital, act) -> None:
    if act is back:
        yes(site)
    before, stood = site.files(), standing(site.folder, JOB)
    for writes in range(3):  # the decision, the ledger's entry, the ledger's head
        with pytest.MonkeyPatch.context() as patch:
            was_full = disk_full_after(writes, patch)
            with pytest.raises(EngineError, match=r"disk is full|could not be written"):
                act(site)
            assert was_full()
        assert site.files() == before
        assert standing(site.folder, JOB) == stood
    act(site)
    assert standing(site.folder, JOB) != stood


def test_a_full_disk_leaves_no_half_of_an_offer(tmp_path: Path) -> None:
    site = Hospital(tmp_path, offered=False)
    before = site.files()
    for writes in range(3):
        with pytest.MonkeyPatch.context() as patch:
            disk_full_after(writes, patch)
            with pytest.raises(EngineError):
                site.do(lambda folder, ledger: offer(folder, ledger, proposal()))
        assert site.files() == before


def test_where_the_kernel_refuses_to_let_the_ledger_grow_nothing_is_decided(site: Hospital) -> None:
    """A real limit and no stand-in: the decision still fits, the ledger's entry does not."""
    before = site.files()
    child = os.fork()
    if child == 0:
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        size = len(before["ledger.jsonl"]) + 100
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        try:
            yes(site)
        except EngineError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert site.files() == before


def test_each_decision_has_an_entry_of_its_own_kind(site: Hospital) -> None:
    yes(site)
    no(site)
    back(site)
    entries = recorded(site.folder)[-3:]
    assert [type(entry) for entry in entries] == [Approved, Declined, Withdrawn]
    assert all(entry.by == "ada" and entry.record is not None for entry in entries)
