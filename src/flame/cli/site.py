"""`flame site ledger` and `flame verify`: what entered and left, and whether the record of it is whole."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flame.site.audit import Flaw
    from flame.site.entries import Event

__all__ = ["ledger", "verify"]

Folder = Annotated[Path, typer.Argument(help="Folder of the ledger: ledger.jsonl, ledger.head.")]
Key = Annotated[Path | None, typer.Option(help="Its owner's identity.pub; the one in the folder by default.")]


def ledger(folder: Folder, key: Key = None) -> None:
    """Print a ledger as a table; the exit code is 5 if it is not whole."""
    from rich.console import Console
    from rich.table import Table

    from flame.site.audit import audit
    from flame.site.identity import read_public_key

    found = audit(folder, read_public_key(key or folder / "identity.pub"))
    table = Table("entry", "when (UTC)", "what", "job", "details", title=f"Ledger of {found.owner}")
    for entry in found.entries:
        what = entry.what
        job = getattr(what, "job", "")[:8]
        table.add_row(str(entry.number), f"{entry.at:%Y-%m-%d %H:%M:%S}", what.event, job, _details(what))
    Console().print(table)
    _tell(found.flaws)


def verify(
    folder: Folder,
    key: Key = None,
    against: Annotated[Path | None, typer.Option(help="Folder of the other side's ledger.")] = None,
    against_key: Annotated[Path | None, typer.Option(help="The other side's identity.pub.")] = None,
) -> None:
    """Check that a ledger is whole and, with another, that both tell the same story; the exit code is 5 if not."""
    from flame.site.audit import audit, compare
    from flame.site.identity import read_public_key

    mine = audit(folder, read_public_key(key or folder / "identity.pub"))
    flaws = list(mine.flaws)
    if against is not None:
        theirs = audit(against, read_public_key(against_key or against / "identity.pub"))
        flaws += [type(flaw)(None, f"ledger of {theirs.owner}: {flaw.what}") for flaw in theirs.flaws]
        flaws += compare(mine, theirs)
    _tell(flaws)
    typer.echo(f"{len(mine.entries)} entries of {mine.owner}: whole, in order, and signed by their owner")


def _tell(flaws: "list[Flaw] | tuple[Flaw, ...]") -> None:
    for flaw in flaws:
        where = "ledger" if flaw.entry is None else f"entry {flaw.entry}"
        typer.secho(f"{where}: {flaw.what}", fg="red", err=True)
    if flaws:
        raise typer.Exit(5)


def _details(what: "Event") -> str:
    from flame.site.entries import (
        Approved,
        Declined,
        Denied,
        Offered,
        Opened,
        PatientWithdrawn,
        Received,
        Registered,
        Sent,
        Spent,
        Unmasked,
        Withdrawn,
    )

    match what:
        case Opened():
            return f"key {what.public_key[:16]}"
        case Registered():
            return f"{what.person}, key {what.public_key[:16]}"
        case PatientWithdrawn():
            return f"digest {what.keyed_digest[:16]}, by {what.by}"
        case Offered():
            return f"{what.task}, from {what.peer}"
        case Approved() | Withdrawn():
            return f"by {what.by}"
        case Declined():
            return f"by {what.by}: {what.reason}"
        case Denied():
            return f"round {what.round}, told {what.peer}: {what.reason}"
        case Received():
            return f"round {what.round}, {what.kind}: {what.bytes} bytes from {what.peer}"
        case Spent():
            return f"round {what.round}, noise {what.noise_multiplier:g}, {what.steps} steps at {what.sample_rate:.3g}"
        case Unmasked():
            return f"round {what.round}, the sum of {', '.join(what.survivors)}"
        case Sent():
            noise = "no noise" if not what.noise else f"noise {what.noise:g}"
            left = f"{what.bytes} bytes to {what.peer}: {len(what.arrays)} arrays, {noise}"
            return f"round {what.round}, {what.kind}: {left}"
