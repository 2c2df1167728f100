"""`flame import`: a public set, or a user's own NIfTI files, as an intake folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flame.records.finding import Finding

__all__ = ["import_"]

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
_ORDER = ("error", "warning", "note")


def import_(
    name: Annotated[
        str,
        typer.Argument(
            metavar="SET",
            help="cfb-gbm, lumiere, sailor, mu-glioma-post, ucsf-alptdg, rhuh, upenn, brats, or nifti: your files.",
        ),
    ],
    source: Annotated[Path, typer.Argument(help="The set's folder as downloaded; for nifti a table of files.")],
    intake: Annotated[Path, typer.Argument(help="Intake folder to write; `flame prepare` turns it into a site.")],
    courses: Annotated[
        Path | None, typer.Option(help="A table of courses that the set does not state; days from the first exam.")
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy images; by default they are linked to.")] = False,
) -> None:
    """Bring in a set. Patients who cannot be are named; start the command again to go on where it stopped."""
    from rich.console import Console
    from rich.progress import Progress

    from flame.errors import ConfigError, DataError
    from flame.records.sources.catalogue import SOURCES
    from flame.records.sources.supplement import read_courses, with_course
    from flame.records.sources.writing import bring_in

    if name not in SOURCES:
        raise ConfigError(f"there is no set {name!r}", f"Choose from {', '.join(SOURCES)}.")
    if not source.exists():
        raise DataError(f"{source} does not exist", "Check the path.")
    if intake.exists() and not intake.is_dir():
        raise ConfigError(f"{intake} is a file", "Name a folder.")
    rows = {} if courses is None else read_courses(courses)
    public = SOURCES[name](source)
    nobody = sorted(rows.keys() - public.patients.keys())
    if nobody:
        raise ConfigError(
            f"{courses}: there is no patient {nobody[0]!r}",
            f"Ids are those of FLAME, as {next(iter(public.patients))}.",
        )
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("importing", total=len(public.patients))
        came = bring_in(
            public,
            intake,
            lambda draft: with_course(draft, rows),
            copy=copy,
            on_patient=lambda _: progress.advance(bar),
        )
    _show(came.findings, name)
    errors = sum(finding.severity == "error" for finding in came.findings)
    warnings = sum(finding.severity == "warning" for finding in came.findings)
    typer.echo(
        f"{len(came.patients)} of {len(public.patients)} patients in {intake}, {errors} errors, {warnings} warnings"
    )
    if errors:
        raise typer.Exit(3)


def _show(findings: "tuple[Finding, ...]", name: str) -> None:
    """Print findings, worst first; what is the same of many patients takes one line."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    groups: dict[tuple[str, str, str], list[str]] = {}
    for finding in sorted(findings, key=lambda one: _ORDER.index(one.severity)):
        whose = finding.patient or "(set)"
        groups.setdefault((finding.severity, finding.what, finding.what_to_do), []).append(whose)
    if not groups:
        return
    table = Table("severity", "patient", "what", "what to do", title=f"Findings in {name}")
    for (severity, what, to_do), people in groups.items():
        whose = people[0] if len(people) == 1 else f"{people[0]} and {len(people) - 1} more"
        table.add_row(Text(severity, _COLOURS[severity]), whose, Text(what), Text(to_do))
    Console().print(table)
