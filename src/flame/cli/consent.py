"""`flame site jobs`, `show`, `approve`, `decline`, `withdraw`, …: what people of a hospital decide."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flame.site.approval import Standing
    from flame.site.ledger import Ledger
    from flame.site.people import Person
    from flame.site.proposal import Proposal

__all__ = [
    "Key",
    "Who",
    "approve",
    "decline",
    "jobs",
    "key",
    "read_person",
    "register",
    "show",
    "site_ledger",
    "withdraw",
    "withdraw_patient",
]

Folder = Annotated[Path, typer.Argument(help="The site's folder: identity, ledger, policy.toml, people, jobs.")]
Prefix = Annotated[str, typer.Argument(metavar="JOB", help="The job's hash, or at least its first 8 digits.")]
Who = Annotated[str, typer.Option("--as", help="Your name, as it is registered at the site.")]
Key = Annotated[Path, typer.Option("--key", help="Folder of your own identity.key.")]


def key(folder: Annotated[Path, typer.Argument(help="A folder that only its owner can read.")]) -> None:
    """Make a key pair to sign with; hand out identity.pub and nothing else."""
    from flame.site.identity import PUBLIC, make_identity

    make_identity(folder)
    typer.echo(f"Made. Hand out {folder / PUBLIC}; the other file is yours alone.")


def register(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="Who may decide from now on.")],
    pubkeyfile: Annotated[Path, typer.Argument(help="Their identity.pub.")],
    site: Annotated[str | None, typer.Option(help="The site's name, if its ledger is to begin with this.")] = None,
) -> None:
    """Let a person of the site decide about jobs."""
    from flame.site import people
    from flame.site.identity import read_public_key

    public_key = read_public_key(pubkeyfile)
    with site_ledger(folder, site) as ledger:
        people.register(folder, ledger, name, public_key)
    typer.echo(f"{name} may decide here, with the key {public_key.hex()[:16]}")


def jobs(folder: Folder) -> None:
    """Print the jobs that were offered and how they stand."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from flame.errors import DataError
    from flame.site.approval import standing
    from flame.site.page import visible
    from flame.site.proposal import offered_jobs, read_proposal

    table = Table("job", "stands", "task", "from", "details")
    for job in offered_jobs(folder):
        stands = standing(folder, job)
        try:
            proposal = read_proposal(folder, job)
            task, peer = visible(proposal.task), visible(proposal.peer)
        except DataError:
            task, peer = "damaged", "damaged"
        table.add_row(job[:8], stands.state, escape(task), escape(peer), escape(_details(stands)))
    Console().print(table)


def show(
    folder: Folder,
    job: Prefix,
    html: Annotated[Path | None, typer.Option(help="Write the page to this file instead.")] = None,
) -> None:
    """Show what a job asks, what would leave, and what is new since the last approved one."""
    from datetime import datetime

    from flame.files import write_text
    from flame.site.approval import last_approved, read_offer, standing
    from flame.site.budget import cost_of, spendings
    from flame.site.history import recorded
    from flame.site.page import as_html, as_text, describe
    from flame.site.policy import site_policy
    from flame.site.proposal import find_job

    full = find_job(folder, job)
    proposal = read_offer(folder, full)
    _refuse_other_text(proposal)
    policy, now = site_policy(folder), datetime.now().astimezone()
    spent = tuple(map(cost_of, spendings(recorded(folder))))
    page = describe(proposal, policy, last_approved(folder, full), now, spent=spent)
    if html is None:
        stands = standing(folder, full)
        typer.echo(as_text(page))
        typer.echo(f"It stands: {stands.state}. {_details(stands)}".rstrip())
    else:
        write_text(html, as_html(page))
        typer.echo(f"Written: {html}")


def approve(
    folder: Folder,
    job: Prefix,
    who: Who,
    key: Key,
    data: Annotated[Path | None, typer.Option(help="The site's BIDS folder; the site's folder by default.")] = None,
) -> None:
    """Let the site take part in a job. Read it first: `flame site show`."""
    from flame.site import approval
    from flame.site.policy import site_policy
    from flame.site.proposal import find_job

    full = find_job(folder, job)
    _refuse_other_text(approval.read_offer(folder, full))
    patients = _patients(folder, data or folder)
    person, policy = read_person(who, key), site_policy(folder)
    with site_ledger(folder) as ledger:
        _tell(full, approval.approve(folder, ledger, full, person, policy, patients))


def decline(
    folder: Folder,
    job: Prefix,
    who: Who,
    key: Key,
    reason: Annotated[str, typer.Option(help="Why; it goes into the ledger. Name no patient.")],
) -> None:
    """Keep the site out of a job."""
    from flame.site import approval
    from flame.site.proposal import find_job

    full, person = find_job(folder, job), read_person(who, key)
    with site_ledger(folder) as ledger:
        _tell(full, approval.decline(folder, ledger, full, person, reason))


def withdraw(folder: Folder, job: Prefix, who: Who, key: Key) -> None:
    """Take the site out of a job, from the next round on."""
    from flame.site import approval
    from flame.site.proposal import find_job

    full, person = find_job(folder, job), read_person(who, key)
    with site_ledger(folder) as ledger:
        _tell(full, approval.withdraw(folder, ledger, full, person))


def withdraw_patient(
    folder: Folder,
    patient: Annotated[str, typer.Argument(help="The site's own id of the patient, without `sub-`.")],
    who: Who,
    key: Key,
    data: Annotated[Path | None, typer.Option(help="The site's BIDS folder, to be told of a mistyped id.")] = None,
) -> None:
    """Exclude a patient from the next round on, in all jobs. There is no way back."""
    from flame.errors import ConfigError
    from flame.records.dataset import read_site
    from flame.site import withdrawal

    if data is not None and patient not in {one.id for one in read_site(data).patients}:
        raise ConfigError(f"{data} holds no such patient", "Check the id; nobody was withdrawn.")
    person = read_person(who, key)
    with site_ledger(folder) as ledger:
        withdrawal.withdraw_patient(folder, ledger, patient, person)
    typer.echo("Recorded: this patient is left out from the next round on.")
    if data is None:
        typer.echo("The id was not looked up. Give --data to be told of a mistyped one.", err=True)


def site_ledger(folder: Path, site: str | None = None) -> "AbstractContextManager[Ledger]":
    """The ledger of a site's folder, open for writing."""
    from flame.errors import ConfigError
    from flame.site.identity import read_identity
    from flame.site.ledger import open_ledger, read_head

    if site is None and read_head(folder) is None:
        raise ConfigError(
            f"{folder} holds no ledger yet", "Begin it with its first person: `flame site register --site NAME ...`."
        )
    return open_ledger(folder, site or "", read_identity(folder))


def read_person(who: str, key: Path) -> "Person":
    """Who decides, with their own key."""
    from flame.site.identity import read_identity
    from flame.site.people import Person

    return Person(who, read_identity(key))


def _patients(folder: Path, data: Path) -> int:
    """How many patients a job could find at most: those with a course who were not withdrawn."""
    from flame.errors import ConfigError
    from flame.records.dataset import read_site
    from flame.site.withdrawal import withdrawn_patients

    if data == folder and not (data / "participants.tsv").exists():
        raise ConfigError(f"{folder} holds no patients to be counted", "Give the site's BIDS folder: --data FOLDER.")
    out = withdrawn_patients(folder)
    return sum(bool(one.courses) and one.id not in out for one in read_site(data).patients)


def _refuse_other_text(proposal: "Proposal") -> None:
    """Refuse a proposal whose text is not the job of its hash: what people read must be what would be done."""
    from pydantic import ValidationError

    from flame.errors import PolicyError
    from flame.federation.job import Job, job_hash

    try:
        found = job_hash(Job.model_validate(proposal.settings))
    except ValidationError as error:
        name = ".".join(map(str, error.errors()[0]["loc"])) or "the job"
        raise PolicyError(
            f"The job {proposal.job[:8]} can't be read by the FLAME installed here: {name!a}: "
            f"{error.errors()[0]['msg']}",
            "Decline it, or ask its peer which version it needs.",
        ) from error
    if found != proposal.job:
        raise PolicyError(
            f"The text of the job {proposal.job[:8]} is that of another job, {found[:8]}",
            "Decline it; the file was changed, or its peer offers one thing and does another.",
        )


def _details(stands: "Standing") -> str:
    """Who decided when and why, and what does not count."""
    decided = ""
    if stands.decision is not None:
        why = f": {stands.decision.reason}" if stands.decision.reason else ""
        decided = f"by {stands.decision.by}, {stands.decision.at:%Y-%m-%d %H:%M} UTC{why}"
    return "; ".join([*([decided] if decided else []), *stands.flaws])


def _tell(job: str, stands: "Standing") -> None:
    typer.echo(f"Job {job[:8]} is {stands.state} {_details(stands)}".rstrip())
