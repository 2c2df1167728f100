"""`flame ingest`: from a folder of DICOM or an archive to de-identified records, with all that is wrong with them."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import date


__all__ = ["ingest"]

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def ingest(
    source: Annotated[
        str,
        typer.Argument(help="A folder of DICOM, a PACS as pacs://TITLE@host:port, or DICOMweb as https://host/path."),
    ],
    intake: Annotated[Path, typer.Argument(help="Folder to fill; made if need be. Faces are in it: it stays there.")],
    key: Annotated[
        Path | None, typer.Option(help="The site's secret key; by default INTAKE.key beside the folder. Keep a copy.")
    ] = None,
    patients: Annotated[
        Path | None, typer.Option(help="File with the hospital's ids of the wanted patients, one a line.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="First date of the studies wanted, as 2024-03-05.")] = None,
    until: Annotated[str | None, typer.Option(help="Last date of the studies wanted.")] = None,
    own_title: Annotated[str, typer.Option(help="This machine's title, as entered in the PACS.")] = "FLAME",
    own_port: Annotated[int, typer.Option(min=1, max=65535, help="Port that the PACS sends to.")] = 11112,
    own_address: Annotated[str, typer.Option(help="Address to listen on; by default all of this machine.")] = "",
    get: Annotated[bool, typer.Option("--get", help="Fetch by C-GET: the PACS needs no way to this machine.")] = False,
    ca: Annotated[Path | None, typer.Option(help="Certificates (PEM) by which to know a DICOMweb service.")] = None,
    patience: Annotated[float, typer.Option(min=0, help="How long to bear with an archive that is away [s].")] = 300.0,
    workers: Annotated[int, typer.Option(min=1, help="Patients worked on at a time.")] = 1,
) -> None:
    """Bring patients in, de-identified, and print what is wrong; the exit code is 3 if there is an error.

    An account at a DICOMweb service comes from FLAME_DICOMWEB_USER and FLAME_DICOMWEB_PASSWORD. Research use only.
    """
    from rich.console import Console
    from rich.table import Table

    from flame.cli.progress import stages
    from flame.cli.sources import source_from
    from flame.dicom.ingest import ingest as bring_in
    from flame.dicom.ingest import key_beside
    from flame.dicom.receive import Patience, Wanted

    wanted = Wanted(_ids(patients), _day(since, "--since"), _day(until, "--until"))
    where = source_from(source, own_title, own_port, own_address, get, ca)
    with stages() as show:
        made, findings = bring_in(where, intake, key or key_beside(intake), wanted, Patience(patience), workers, show)
    console = Console()
    if findings:
        table = Table("severity", "patient", "what", "what to do", title="Findings")
        for one in findings:
            severity = f"[{_COLOURS[one.severity]}]{one.severity}[/]"
            table.add_row(severity, one.patient or "(source)", one.what, one.what_to_do)
        console.print(table)
    errors = sum(one.severity == "error" for one in findings)
    whole = sum(one.exams > 0 for one in made)
    again = sum(one.again for one in made)
    exams, courses = sum(one.exams for one in made), sum(one.courses for one in made)
    console.print(
        f"{whole} patients ({again} unchanged) with {exams} exams and {courses} courses, {errors} errors",
        highlight=False,
    )
    console.print(f"What each series was taken for, and why: {intake / 'series.tsv'}", highlight=False, soft_wrap=True)
    if errors:
        raise typer.Exit(3)


def _ids(path: Path | None) -> tuple[str, ...]:
    """Ids from a file: on the command line everybody on the machine could read them."""
    from flame.errors import ConfigError

    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{path} cannot be read as UTF-8 text", "Check the path and the file.") from None
    ids = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not ids:
        raise ConfigError(f"{path} holds no patient", "Write one id a line.")
    return ids


def _day(text: str | None, option: str) -> "date | None":
    from flame.errors import ConfigError

    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise ConfigError(f"{option}: {text!r} is not a date", "Write it as 2024-03-05.") from None
