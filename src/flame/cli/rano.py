"""`flame rano`: a site's patients by response criteria, as tables and pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from flame.rano.endpoints import FollowUp
    from flame.rano.presets import Criteria
    from flame.rano.words import Language
    from flame.records.patient import Patient
    from flame.workers import Emit

__all__ = ["rano"]


@dataclass(frozen=True)
class _Order:
    """A patient, how to judge them, and where the files go."""

    patient: "Patient"
    criteria: "Criteria"
    out: Path
    language: "Language"


def rano(
    site: Annotated[Path, typer.Argument(help="A site's BIDS folder.")],
    preset: Annotated[str, typer.Option(help="Criteria: rano_2, mrano_2017, rano_2010 or cfb_v2.")] = "rano_2",
    patient: Annotated[str | None, typer.Option(help="The site's own id of one patient; all by default.")] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("rano"),
    language: Annotated[str, typer.Option(help="Of what is written: en or fr.")] = "en",
    processes: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 2,
) -> None:
    """Measure and call every exam of a site's patients. Research use only."""
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from flame import workers
    from flame.errors import ConfigError, DataError
    from flame.evaluation.prediction import find_patient
    from flame.rano.words import word
    from flame.records.dataset import read_site

    criteria, words = _criteria(preset), _language(language)
    found = read_site(site)
    chosen = found.patients if patient is None else (find_patient(found, patient),)
    orders = [_Order(one, criteria, out, words) for one in chosen]
    if not orders:
        raise DataError(f"{found.name} has no patients", "Look into participants.tsv.")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out: {out} is a file", "Name a folder.")
    console = Console()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("assessing", total=len(orders))
        results = workers.run(_assess, orders, processes, lambda _: progress.advance(bar))
    done = [one for one in results if isinstance(one, tuple)]
    left_out = [one for one in results if not isinstance(one, tuple)]
    if not done:
        raise (
            left_out[0]
            if len(left_out) == 1
            else DataError(
                f"{found.name}: none of {len(left_out)} patients can be assessed; the first: {left_out[0].message}",
                left_out[0].hint,
            )
        )
    if patient is None:
        _write_endpoints(out / "endpoints.tsv", [facts for facts, _ in done], [ended for _, ended in done])
    rows = [_summary(facts, words) for facts, _ in done]
    table = Table(*rows[0], title=f"{found.name}, {word(criteria.name, words)}")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
    for error in left_out:
        Console(stderr=True).print(f"left out: {error.message}. {error.hint}", style="yellow", markup=False)
    number = word("one_patient", words) if len(done) == 1 else word("patients", words, value=str(len(done)))
    typer.echo(word("assessed", words, done=number, left_out=str(len(left_out)), folder=str(out)))
    typer.echo(f"{word('disclaimer', words)}.")


def _assess(order: _Order, emit: "Emit") -> Any:
    """Assess one patient and write four files; the facts and the follow-up, or the error that the data gave."""
    from flame.errors import DataError
    from flame.evaluation.assessment import assess_patient, course_facts, exam_rows
    from flame.files import write_json
    from flame.rano.wording import call_text
    from flame.records.tables import write_table
    from flame.report.diameters import diameters_picture
    from flame.report.response_course import course_picture

    try:
        assessment = assess_patient(order.patient, order.criteria)
    except DataError as error:
        emit(order.patient.id)
        return error
    stem = order.out / f"sub-{order.patient.id}"
    rows = [
        {**row, "explanation": call_text(one.call, order.criteria, order.language)}
        for row, one in zip(exam_rows(assessment), assessment.exams, strict=True)
    ]
    facts = course_facts(assessment)
    write_table(stem.with_name(f"{stem.name}_rano.tsv"), list(rows[0]), rows)
    course_picture(assessment, stem.with_name(f"{stem.name}_course.png"), order.language)
    diameters_picture(assessment, stem.with_name(f"{stem.name}_diameters.png"), order.language)
    write_json(stem.with_name(f"{stem.name}_rano.json"), facts)
    emit(order.patient.id)
    return facts, assessment.follow_up


def _write_endpoints(path: Path, facts: "list[dict[str, Any]]", follow_ups: "list[FollowUp]") -> None:
    """All endpoints of all patients; whether a patient outlives the median is about this cohort."""
    from flame.rano.endpoints import outlives_median
    from flame.records.tables import write_table

    rows: list[dict[str, Any]] = []
    for one, outlives in zip(facts, outlives_median(follow_ups), strict=True):
        row = {"patient": one["patient"], "arm": one["course"]["arm"], "best_response": one["best_response"]}
        for name in ("progression_free_survival", "time_to_progression", "overall_survival"):
            duration = one[name] or {"days": None, "event": None}
            row |= {f"{name}_days": duration["days"], f"{name}_event": duration["event"]}
        rows.append({**row, **one["endpoints"], "outlives_median": outlives})
    write_table(path, list(rows[0]), rows)


def _summary(facts: dict[str, Any], language: "Language") -> dict[str, str]:
    """A patient's row of the printed table, columns named in the language."""
    from flame.rano.words import word

    free, control = facts["progression_free_survival"], facts["endpoints"]["disease_control"]
    unknown = word("unknown", language)
    return {
        word("column.patient", language): facts["patient"],
        word("column.arm", language): word(facts["course"]["arm"], language),
        word("column.calls", language): " ".join(
            exam["call"] + ("?" if exam["indeterminate"] else "") for exam in facts["exams"]
        ),
        word("column.best", language): facts["best_response"] or unknown,
        word("column.free", language): unknown if free is None else f"{free['days']}{'' if free['event'] else '+'}",
        word("disease_control", language): unknown if control is None else word("yes" if control else "no", language),
    }


def _criteria(name: str) -> "Criteria":
    from flame.errors import ConfigError
    from flame.rano.presets import PRESETS

    if name not in PRESETS:
        raise ConfigError(f"--preset: there are no criteria {name!r}", f"Choose from {', '.join(PRESETS)}.")
    return PRESETS[name]


def _language(name: str) -> "Language":
    from typing import get_args

    from flame.errors import ConfigError
    from flame.rano.words import Language

    for language in get_args(Language):
        if language == name:
            return language  # type: ignore[no-any-return]
    raise ConfigError(f"--language: {name!r} is not spoken here", f"Choose from {', '.join(get_args(Language))}.")
