"""The report of a comparison: one HTML file that needs nothing else, not even a network or a script."""

from pathlib import Path
from typing import Any

from flame.files import write_text
from flame.report.about import cards_section, limits_section, settings_section, sites_section
from flame.report.answer import answer
from flame.report.arms import arms_section
from flame.report.attacks import attacks_section
from flame.report.blocks import Section
from flame.report.colours import THEME
from flame.report.evolution import evolution_section
from flame.report.gallery import maps_section, montage_section
from flame.report.opening import goals_section, main_section
from flame.report.response import response_section
from flame.report.run import Run, read_run
from flame.report.traffic import refused_section, traffic_section, training_section

__all__ = ["write_report"]


def write_report(folder: Path) -> Path:
    """Write `report.html` from what a comparison left in its run folder; the same folder gives the same bytes.

    Args:
        folder: run folder with `comparison.json` and, if there are any, `pictures/` and `models/`.

    Returns: the path of the report; it replaces an older one in one step.
    Raises: DataError: if `comparison.json` is missing or a file in the folder is damaged; nothing is written then.
    """
    run = read_run(folder)
    path = folder / "report.html"
    write_text(path, _rendered(run))
    return path


def _sections(run: Run) -> list[Section]:
    comparison = run.comparison
    trainings: list[Any] = comparison.get("trainings") or []
    return [
        main_section(comparison),
        goals_section(comparison),
        response_section(comparison.get("response") or []),
        evolution_section(comparison.get("evolution") or []),
        maps_section(run),
        arms_section(comparison),
        montage_section(run),
        traffic_section(trainings),
        refused_section(trainings),
        *([attacks_section(run.attacks)] if run.attacks else []),
        training_section(trainings),
        sites_section(comparison),
        settings_section(comparison),
        cards_section(run.cards),
        limits_section(comparison),
    ]


def _rendered(run: Run) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("flame.report"),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    sites = run.comparison.get("sites") or []
    return environment.get_template("report.html").render(
        answer=answer(run.comparison),
        sections=_sections(run),
        theme={key.replace("_", "-"): shades for key, shades in THEME.items()},
        site_count=len(sites),
        patient_count=sum(site["patients"] for site in sites),
        version=str(run.comparison.get("flame", "unknown")),
    )
