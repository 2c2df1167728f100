"""What a person decided about a job: a small signed file, one for each decision, and its entry in the ledger.

    jobs/<hash>/decisions/0001.json …    in the order in which they were made; the last one counts

The ledger names the digest of each record. So a decision that somebody deletes is missed, and an old one that is put in
its place is not taken for a new one.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from flame.errors import PolicyError
from flame.site.entries import Approved, Declined, Event, Hash, Withdrawn
from flame.site.people import SignedRecord, read_record, refuse_unsigned
from flame.site.proposal import job_folder, proposal_digest

__all__ = ["Decision", "Verdict", "decision_path", "entered", "entry_of", "last_number", "read_decision"]

Verdict = Literal["approved", "declined", "withdrawn"]

_FILE = re.compile(r"[0-9]{4,9}\.json")


class Decision(SignedRecord):
    """What a person decided about a job.

    Args:
        job: hash of the job.
        proposal: SHA-256 of the proposal that the person had before them.
        number: place among the decisions about this job, from 1.
        verdict: what was decided.
        reason: why; empty but for `declined`.
    """

    form: Literal["flame-decision/1"] = "flame-decision/1"
    job: Hash
    proposal: Hash
    number: int = Field(ge=1)
    verdict: Verdict
    reason: str = Field(default="", max_length=200)


def decision_path(folder: Path, job: str, number: int) -> Path:
    """The file of a decision, whether or not there is one. Raises PolicyError if the job was never offered."""
    return job_folder(folder, job) / "decisions" / f"{number:04d}.json"


def last_number(folder: Path, job: str) -> int:
    """Number of the last decision on file about a job, valid or not; 0 if there is none."""
    found = (job_folder(folder, job) / "decisions").glob("*.json")
    return max((int(path.stem) for path in found if _FILE.fullmatch(path.name)), default=0)


def read_decision(folder: Path, job: str, number: int, events: Sequence[Event]) -> Decision:
    """A decision that counts, as its file holds it at this moment.

    Args:
        folder: of the site.
        job: hash of the job.
        number: of the decision.
        events: of the site's ledger, see `history.recorded`.

    Raises: PolicyError: if it does not count, and why: the file was changed, be it by one byte, or comes from another
        place; its signer is not registered, or did not sign this; the proposal is another than the one decided about.
    """
    path = decision_path(folder, job, number)
    decision = read_record(path, Decision) if path.exists() else None
    if decision is None:
        raise PolicyError("its file was changed", "Decide again.")
    if (decision.job, decision.number) != (job, number):
        raise PolicyError("it was made for another job or place", "Decide again.")
    refuse_unsigned(folder, decision, events)
    if decision.proposal != proposal_digest(folder, job):
        raise PolicyError("the proposal was changed since", "Decide again.")
    return decision


def entered(job: str, events: Sequence[Event]) -> tuple[str, ...]:
    """Digests of the decisions of people about a job that the ledger knows, the oldest first."""
    decisions = (event for event in events if isinstance(event, Approved | Declined | Withdrawn) and event.job == job)
    return tuple(event.record for event in decisions if event.record is not None)


def entry_of(decision: Decision) -> Approved | Declined | Withdrawn:
    """What the ledger says of a decision."""
    job, by, record = decision.job, decision.by, decision.digest()
    match decision.verdict:
        case "approved":
            return Approved(job=job, by=by, record=record)
        case "withdrawn":
            return Withdrawn(job=job, by=by, record=record)
        case "declined":
            return Declined(job=job, by=by, reason=decision.reason, record=record)
