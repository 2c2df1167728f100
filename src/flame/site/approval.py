"""Consent to a job: off until a person of the site approved it, and off again when one takes that back.

A decision's file is written first, its ledger entry second. The file holds a signature that only the person can make,
so from a file the entry can be written later, but not the other way round. A kill between the two leaves an approval
that does not count yet and a withdrawal that counts at once; the next call of any function here that takes a ledger
writes the entry.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from flame.errors import DataError, PolicyError
from flame.files import write_bytes
from flame.site.decision import Decision, Verdict, decision_path, entered, entry_of, last_number, read_decision
from flame.site.entries import Approved, Event, Offered
from flame.site.history import recorded
from flame.site.ledger import Ledger
from flame.site.people import Person, enter, key_of, refuse_unsigned, signed
from flame.site.policy import Policy, Request, refusals
from flame.site.proposal import Proposal, job_folder, offered_jobs, proposal_digest, read_proposal, write_proposal

__all__ = [
    "Standing",
    "State",
    "approve",
    "decline",
    "last_approved",
    "offer",
    "put_right",
    "read_offer",
    "standing",
    "withdraw",
]

State = Literal["offered", "approved", "declined", "withdrawn"]
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Standing:
    """How a job stands at a site: its state, the valid decision behind it, and why the last one on file is not it."""

    state: State
    decision: Decision | None = None
    flaws: tuple[str, ...] = ()

    @property
    def is_approved(self) -> bool:
        """Whether the site takes part; in every other state it does not."""
        return self.state == "approved"


def _utc() -> datetime:
    return datetime.now(UTC)


def offer(folder: Path, ledger: Ledger, proposal: Proposal) -> None:
    """Keep a job that was offered, and record that; the same job once more changes nothing.

    Args:
        folder: of the site.
        ledger: of the site, open.
        proposal: the job. The caller has made sure that its text has its hash.

    Raises: EngineError: if the disk is full; nothing was written.
    """
    put_right(folder, ledger)
    if proposal.job in offered_jobs(folder):
        return
    path = write_proposal(folder, proposal)
    enter(ledger, _offered(folder, proposal), path)


def read_offer(folder: Path, job: str) -> Proposal:
    """The proposal of a job as it came: what people are shown and decide about.

    Args:
        folder: of the site.
        job: hash of the job.

    Raises:
        PolicyError: if the job was never offered, the file is another than the one that the ledger knows, or the ledger
            was changed.
        DataError: if the file was damaged.
    """
    proposal = read_proposal(folder, job)
    offers = (event for event in recorded(folder) if isinstance(event, Offered) and event.job == job)
    known = [event.record for event in offers if event.record is not None]
    if known and proposal_digest(folder, job) not in known:
        raise PolicyError(
            f"The proposal of the job {job[:8]} was changed since it was offered",
            "Find out by whom and restore it from a copy, or decline the job.",
        )
    return proposal


def approve(
    folder: Path,
    ledger: Ledger,
    job: str,
    person: Person,
    policy: Policy,
    patients: int,
    now: Clock = _utc,
) -> Standing:
    """Let the site take part in a job. What already stands is not recorded twice.

    The policy's hours are left out: they say when a job may run, not when a person may decide.

    Args:
        folder: of the site.
        ledger: of the site, open.
        job: hash of the job.
        person: who approves.
        policy: of the site; it can forbid what a person allows.
        patients: how many of the site's patients the job would use.
        now: the clock, UTC.

    Raises:
        PolicyError: if the job was never offered or the proposal changed since, the policy refuses it, or the person is
            not registered here or signs with another key; nothing was written.
        DataError: if the proposal was damaged.
        EngineError: if the disk is full; nothing was written.
    """
    put_right(folder, ledger)
    proposal = read_offer(folder, job)
    asked = (proposal.task, proposal.model, proposal.rounds, patients, proposal.masked, proposal.noise_multiplier)
    request = Request(*asked, passes_on=proposal.passes_on)
    reasons = refusals(policy.model_copy(update={"hours": ()}), request, now())
    if reasons:
        raise PolicyError(
            f"This site's policy refuses the job {job[:8]}: {'; '.join(reasons)}",
            "Decline the job, or change policy.toml if it is wrong.",
        )
    return _decide(folder, ledger, job, "approved", person, "", now)


def decline(folder: Path, ledger: Ledger, job: str, person: Person, reason: str, now: Clock = _utc) -> Standing:
    """Keep the site out of a job; `reason` has 1 to 200 characters. Otherwise as `withdraw`.

    Raises: PolicyError: also if there is no reason, or it is too long.
    """
    if not 1 <= len(reason) <= 200:
        raise PolicyError(f"A reason of {len(reason)} characters can't be recorded", "Give 1 to 200 characters.")
    return _decide(folder, ledger, job, "declined", person, reason, now)


def withdraw(folder: Path, ledger: Ledger, job: str, person: Person, now: Clock = _utc) -> Standing:
    """Take the site out of a job, from the next round on. A person of the site can do that whatever stands.

    Args:
        folder: of the site.
        ledger: of the site, open.
        job: hash of the job.
        person: who decides.
        now: the clock, UTC.

    Raises:
        PolicyError: if the job was never offered, or the person is not registered here or signs with another key;
            nothing was written.
        EngineError: if the disk is full; nothing was written.
    """
    return _decide(folder, ledger, job, "withdrawn", person, "", now)


def standing(folder: Path, job: str) -> Standing:
    """How a job stands now, from the files as they are at this moment: nothing is remembered between two calls.

    The last decision on file counts, if a person who is registered signed it for this job and this proposal. It is an
    approval only if the ledger knows it, and knows of no later decision.

    Args:
        folder: of the site.
        job: hash of the job.

    Raises:
        PolicyError: if the job was never offered.
        ConfigError: if the folder has no `identity.pub`.
    """
    job_folder(folder, job)
    try:
        events = recorded(folder)
    except PolicyError as error:
        return Standing("offered", flaws=(error.message,))
    return _standing(folder, job, events)


def last_approved(folder: Path, other_than: str) -> Proposal | None:
    """The proposal that a person approved last, another than `other_than`; None if there is none.

    Raises:
        PolicyError: if the ledger was changed.
        DataError: if the proposal was damaged.
    """
    offered = offered_jobs(folder)
    approved = [event.job for event in recorded(folder) if isinstance(event, Approved) and event.job != other_than]
    known = [job for job in approved if job in offered]
    return read_proposal(folder, known[-1]) if known else None


def put_right(folder: Path, ledger: Ledger) -> None:
    """Write the ledger entries that a kill has left out.

    Raises: EngineError: if the disk is full.
    """
    events = recorded(folder)
    known = {event.job for event in events if isinstance(event, Offered)}
    for job in offered_jobs(folder):
        if job not in known:
            with suppress(DataError):  # what is damaged stays off; it must not stand in the way of other jobs
                ledger.append(_offered(folder, read_proposal(folder, job)))
        number = last_number(folder, job)
        if not number:
            continue
        try:
            last = read_decision(folder, job, number, events)
        except PolicyError:
            continue  # not signed by anyone who may: `standing` says so, and the ledger must not claim otherwise
        if last.digest() not in entered(job, events):
            ledger.append(entry_of(last))


def _decide(
    folder: Path, ledger: Ledger, job: str, verdict: Verdict, person: Person, reason: str, now: Clock
) -> Standing:
    job_folder(folder, job)
    key_of(folder, person.name, recorded(folder))
    put_right(folder, ledger)
    events = recorded(folder)
    decision = signed(
        Decision(
            by=person.name,
            at=now(),
            job=job,
            proposal=proposal_digest(folder, job),
            number=last_number(folder, job) + 1,
            verdict=verdict,
            reason=reason,
        ),
        person,
    )
    refuse_unsigned(folder, decision, events)
    before = _standing(folder, job, events)
    if before.decision is not None and _same(before.decision, decision):
        return before
    path = decision_path(folder, job, decision.number)
    write_bytes(path, decision.content())
    enter(ledger, entry_of(decision), path)
    return standing(folder, job)


def _same(one: Decision, other: Decision) -> bool:
    return (one.verdict, one.by, one.reason) == (other.verdict, other.by, other.reason)


def _standing(folder: Path, job: str, events: Sequence[Event]) -> Standing:
    number, records = last_number(folder, job), entered(job, events)
    if not number:
        return Standing("offered", flaws=("a decision that the ledger knows is missing",) if records else ())
    try:
        last = read_decision(folder, job, number, events)
    except PolicyError as error:
        return Standing("offered", flaws=(f"decision {number} does not count: {error.message}",))
    if last.verdict == "approved":
        if last.digest() not in records:
            return Standing("offered", flaws=("the approval is not in the ledger yet; the next decision enters it",))
        if records[-1] != last.digest():
            return Standing("offered", flaws=("a later decision, which the ledger knows, is missing",))
    return Standing(last.verdict, last)


def _offered(folder: Path, proposal: Proposal) -> Offered:
    record = proposal_digest(folder, proposal.job)
    return Offered(job=proposal.job, task=proposal.task, peer=proposal.peer, record=record)
