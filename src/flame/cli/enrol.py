"""`flame site enrol`, `start` and `leave`: how a hospital takes part, and how it ends that."""

from pathlib import Path
from typing import Annotated

import typer

from flame.cli.consent import Key, Who, read_person, site_ledger
from flame.cli.coordinator import run

__all__ = ["enrol", "leave", "start"]

_Kit = Annotated[Path, typer.Argument(help="Folder of the site's start-up kit.")]


def enrol(
    kit: _Kit,
    data: Annotated[Path, typer.Option(help="The site's BIDS folder.")],
    work: Annotated[Path, typer.Option(help="Folder for prepared samples, consent and ledger; stays at the site.")],
) -> None:
    """Say where the site's data are. The file that holds it, flame.toml in the kit, is never sent."""
    from flame.federation.nvflare.study import enrol as write

    write(kit, data, work)
    typer.echo(f"enrolled; next: flame site start {kit}")


def start(kit: _Kit) -> None:
    """Run the site until it is stopped by Ctrl-C or a signal. It needs one outbound port and no inbound one."""
    run(kit, "site")


def leave(kit: _Kit, who: Who, key: Key) -> None:
    """Leave the study: every approved job is withdrawn, signed by you, and the kit starts no more.

    Data, prepared samples and the ledger stay as they are.
    """
    from flame.federation.nvflare.study import disenrol, read_folders
    from flame.site.approval import standing, withdraw
    from flame.site.proposal import offered_jobs

    folder = read_folders(kit).work
    approved = [job for job in offered_jobs(folder) if standing(folder, job).is_approved]
    with site_ledger(folder) as ledger:
        for job in approved:
            withdraw(folder, ledger, job, read_person(who, key))
    disenrol(kit)
    typer.echo(f"left; {len(approved)} approved jobs were withdrawn. Stop the site's process, and delete {kit}/startup")
