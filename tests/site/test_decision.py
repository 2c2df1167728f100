"""A decision counts as its person signed it, for the job, the place and the proposal that it names."""

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.site.consents import JOB, POLICY, TEXT, Hospital, proposal

from flame.errors import PolicyError
from flame.site.approval import approve, offer
from flame.site.decision import Decision, entered, entry_of, last_number, read_decision
from flame.site.entries import Approved, Declined, Withdrawn
from flame.site.history import recorded


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    site = Hospital(tmp_path_factory.mktemp("approved"))
    site.do(lambda folder, ledger: approve(folder, ledger, JOB, site.ada, POLICY, 5))
    return site


def test_it_is_read_as_it_was_signed(approved: Hospital) -> None:
    events = recorded(approved.folder)
    found = read_decision(approved.folder, JOB, 1, events)
    assert (found.verdict, found.by, found.number, found.reason) == ("approved", "ada", 1, "")
    assert last_number(approved.folder, JOB) == 1
    assert entered(JOB, events) == (found.digest(),)
    assert events[-1] == entry_of(found) == Approved(job=JOB, by="ada", record=found.digest())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), value=st.integers(1, 255))
def test_edited_by_one_byte_it_does_not_count(approved: Hospital, place: int, value: int) -> None:
    path = approved.decision(1)
    before = path.read_bytes()
    content = bytearray(before)
    content[place % len(content)] ^= value
    path.write_bytes(bytes(content))
    try:
        with pytest.raises(PolicyError, match=r"file was changed|another job or place|signature|registered|proposal"):
            read_decision(approved.folder, JOB, 1, recorded(approved.folder))
    finally:
        path.write_bytes(before)


def test_copied_to_another_place_or_job_it_does_not_count(tmp_path: Path) -> None:
    site = Hospital(tmp_path)
    site.do(lambda folder, ledger: approve(folder, ledger, JOB, site.ada, POLICY, 5))
    other = proposal(TEXT.replace("30", "29"))
    site.do(lambda folder, ledger: offer(folder, ledger, other))
    site.decision(1, other.job).parent.mkdir()
    for copy, job, number in ((site.decision(2), JOB, 2), (site.decision(1, other.job), other.job, 1)):
        shutil.copy(site.decision(1), copy)
        assert last_number(site.folder, job) == number
        with pytest.raises(PolicyError, match="made for another job or place"):
            read_decision(site.folder, job, number, recorded(site.folder))


def test_what_a_kill_left_beside_it_is_no_decision(approved: Hospital) -> None:
    for name in (".77.partial.0002.json", "2.json", "0002.json.old"):
        (approved.decision(1).parent / name).write_text("{}")
    assert last_number(approved.folder, JOB) == 1


@pytest.mark.parametrize(
    ("verdict", "kind"), [("approved", Approved), ("declined", Declined), ("withdrawn", Withdrawn)]
)
def test_each_verdict_has_its_entry(approved: Hospital, verdict: str, kind: type) -> None:
    found = read_decision(approved.folder, JOB, 1, recorded(approved.folder))
    decision = Decision.model_validate(found.model_dump() | {"verdict": verdict, "reason": "why"})
    entry = entry_of(decision)
    assert type(entry) is kind
    assert (entry.job, entry.by, entry.record) == (JOB, "ada", decision.digest())
    assert getattr(entry, "reason", "why") == "why"
