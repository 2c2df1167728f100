"""`flame check`: what is wrong with a site's data, and what to do about it."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["check"]

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def check(site: Annotated[Path, typer.Argument(help="A site's BIDS folder.")]) -> None:
    """Check a site's folder and print a table of findings; the exit code is 3 if there is an error among them."""
    from rich.console import Console
    from rich.table import Table

    from flame.records.check import check_site
    from flame.records.dataset import read_site

    found = read_site(site)
    findings = check_site(found)
    console = Console()
    if findings:
        table = Table("severity", "patient", "what", "what to do", title=f"Findings at {found.name}")
        for finding in findings:
            severity = f"[{_COLOURS[finding.severity]}]{finding.severity}[/]"
            table.add_row(severity, finding.patient or "(site)", finding.what, finding.what_to_do)
        console.print(table)
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = sum(finding.severity == "warning" for finding in findings)
    console.print(f"{len(found.patients)} patients, {errors} errors, {warnings} warnings")
    if errors:
        raise typer.Exit(3)
