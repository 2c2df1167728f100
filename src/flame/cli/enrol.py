"""`flame site enrol` and `flame site start`: the two commands of a hospital that takes part."""

from pathlib import Path
from typing import Annotated

import typer

from flame.cli.coordinator import run

__all__ = ["enrol", "start"]

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
