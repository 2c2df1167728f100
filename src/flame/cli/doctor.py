"""`flame doctor`: what stands in the way of a site or a coordinator, before anything runs."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["doctor"]

_COLOURS = {"error": "red", "warning": "yellow", "ok": "green"}


def doctor(kit: Annotated[Path, typer.Argument(help="Folder of a site's or the coordinator's start-up kit.")]) -> None:
    """Look at certificates, line, disk, memory, versions, rules and data; the exit code is 3 if there is an error."""
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from flame.federation.nvflare.checkup import examine_kit
    from flame.site.page import visible

    console, found = Console(), []
    with console.status("looking; reading all images can take minutes"):
        for one in examine_kit(kit, datetime.now(UTC)):
            found.append(one)
    table = Table("what was looked at", "state", "found", "what to do", title=f"Findings in {escape(str(kit))}")
    for one in found:
        state = f"[{_COLOURS[one.state]}]{one.state}[/]"
        table.add_row(one.subject, state, escape(visible(one.found)), escape(visible(one.what_to_do)))
    console.print(table)
    errors, warnings = (sum(one.state == state for one in found) for state in ("error", "warning"))
    console.print(f"{errors} errors, {warnings} warnings")
    if errors:
        raise typer.Exit(3)
