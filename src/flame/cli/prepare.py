"""`flame prepare`: from an intake folder to a site's BIDS folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from flame.imaging.intake import PatientResult
    from flame.imaging.prepared import Prepared

__all__ = ["prepare"]

_COLOURS = {"green": "green", "amber": "yellow", "red": "red"}
_SEVERITIES = {"error": "red", "warning": "yellow", "note": "cyan"}


def prepare(
    intake: Annotated[Path, typer.Argument(help="An intake folder, from flame ingest or flame import.")],
    site: Annotated[Path, typer.Argument(help="The site's BIDS folder; made where it is not there.")],
    name: Annotated[str | None, typer.Option(help="Name of the site; by default that of the folder.")] = None,
    spacing: Annotated[float, typer.Option(min=0.5, max=4.0, help="Voxel size of the patient's grid [mm].")] = 1.0,
    brain: Annotated[
        str, typer.Option(help="Who finds the brain where no mask came in: auto, deepbet or atlas.")
    ] = "auto",
    scale: Annotated[
        Path | None, typer.Option(help="A scale of intensities, from flame scale combine; the same at every site.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 2,
) -> None:
    """Align, strip, even out and resample what came in, with a traffic light for every step. Research use only."""
    from typing import get_args

    from rich.console import Console

    from flame.errors import ConfigError
    from flame.imaging.brain import BrainMethod
    from flame.imaging.intake import Preparation, prepare_intake
    from flame.imaging.nyul import read_scale

    if brain not in get_args(BrainMethod):
        raise ConfigError(f"--brain: {brain!r} is not known", f"Choose one of {', '.join(get_args(BrainMethod))}.")
    if site.exists() and not site.is_dir():
        raise ConfigError(f"{site} is a file", "Name a folder.")
    console = Console()
    settings = Preparation.model_validate(
        {"spacing_mm": spacing, "brain": brain, "scale": None if scale is None else read_scale(scale)}
    )
    results = prepare_intake(
        intake, site, name or site.resolve().name, settings, workers, picture, lambda one: _tell(console, one)
    )
    _show(console, results)
    failed = sum(one.record is None for one in results)
    again = sum(one.again for one in results)
    console.print(f"{len(results) - failed} patients prepared ({again} of them before), {failed} not", highlight=False)
    if failed:
        raise typer.Exit(3)


def picture(path: Path, exam: "Prepared") -> None:
    """Write the picture of an exam by which a person sees whether it is aligned."""
    from flame.imaging.quality import worst
    from flame.report.alignment import alignment_picture

    images: dict[str, Any] = dict(exam.images.items())
    if exam.ct is not None:
        images["CT"] = exam.ct
    lights = {name: worst(one.light for one in exam.quality if one.about.endswith(name)) for name in images}
    alignment_picture(
        path, images, exam.brain, exam.label_map, exam.grid.spacing_mm[0], lights, f"Exam of day {exam.day}"
    )


def _tell(console: "Console", result: "PatientResult") -> None:
    word = "not prepared" if result.record is None else "as before" if result.again else "prepared"
    console.print(f"patient {result.patient}: {word}", highlight=False, markup=False)


def _show(console: "Console", results: "Sequence[PatientResult]") -> None:
    """A table of lights for each exam, and one of what was found."""
    from rich.table import Table

    from flame.imaging.quality import worst

    table = Table("patient", "day", "images", "brain", "label map", "what is not green", title="Prepared exams")
    for result in results:
        for exam in [] if result.record is None else result.record["exams"]:
            figures = exam["quality"]
            cells = []
            for group in (tuple(exam["images"]), ("brain",), ("label map",)):
                lights = [one["light"] for one in figures if one["about"] in group]
                cells.append(_dot(worst(lights)) if lights else "–")
            low = [one for one in figures if one["light"] != "green"]
            words = ", ".join(f"{one['about']}: {one['gauge']} {one['value']:.3g} {one['unit']}".strip() for one in low)
            table.add_row(result.patient, str(exam["day"]), *cells, words)
    console.print(table)
    findings = [one for result in results for one in result.findings]
    if findings:
        found = Table("severity", "patient", "what", "what to do", title="Findings")
        for one in findings:
            severity = f"[{_SEVERITIES[one.severity]}]{one.severity}[/]"
            found.add_row(severity, one.patient or "(site)", one.what, one.what_to_do)
        console.print(found)


def _dot(light: str) -> str:
    return f"[{_COLOURS[light]}]●[/] {light}"
