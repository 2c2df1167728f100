"""SAILOR (Oslo): frequent early exams, a dose map, one mask for oedema and one for enhancement.

Layout: `sub-01/ses-01/{T1,T1c,T2,Flair,EdemaMask-CL,ContrastEnhancedMask-CL}.nii.gz`, and beside the exams
`age-years.txt`, `intervals-days.txt`, `overall-survival-months.txt`, `DoseMap.nii.gz`. The set states no prescription:
the dose map waits until the user gives the course.
"""

from functools import partial
from pathlib import Path

from flame.errors import DataError
from flame.records.intake import IntakeExam
from flame.records.patient import Sequence
from flame.records.sources.days import DAYS_PER_MONTH, span
from flame.records.sources.draft import Draft, Gathering, PublicSet
from flame.records.sources.overlap import public_name
from flame.records.sources.spreadsheet import find_table, spreadsheet
from flame.records.tables import Row, number

__all__ = ["open_set"]

NAME = "sailor"
FRAME = "patient"
SEQUENCES: dict[Sequence, str] = {"T1w": "T1", "T1ce": "T1c", "T2w": "T2", "FLAIR": "Flair"}


def open_set(source: Path) -> PublicSet:
    """The set in `source`, which holds `sub-01` and so on.

    Raises: DataError: if there is no such folder.
    """
    folders = sorted(path for path in source.glob("sub-*") if path.is_dir())
    if not folders:
        raise DataError(f"{source} holds no folder of a SAILOR patient", "Name the folder that holds sub-01.")
    table = find_table(source, "sailor_info.csv")
    rows = spreadsheet(table) if table else []
    lines = {row.value("patients", str).removeprefix("sub-"): row for row in rows}
    patients = {
        f"SAI{one.name.removeprefix('sub-')}": partial(_draft, one, lines.get(one.name.removeprefix("sub-")))
        for one in folders
    }
    return PublicSet(NAME, patients)


def _draft(folder: Path, line: Row | None) -> Draft:
    number_of = folder.name.removeprefix("sub-")
    found = Gathering(f"SAI{number_of}")
    places = sorted(folder.glob("ses-*"), key=lambda path: int(path.name.removeprefix("ses-")))
    days = _days(folder, len(places))
    exams = []
    for place, day in zip(places, days, strict=True):
        images = found.images(place.name, {name: place / f"{one}.nii.gz" for name, one in SEQUENCES.items()}, FRAME)
        if not images:
            found.say("warning", f"exam {place.name} is left out: no image", "Download it again.")
            continue
        outlines = found.outline(place.name, "SNFH", place / "EdemaMask-CL.nii.gz", FRAME)
        outlines += found.outline(place.name, "ET", place / "ContrastEnhancedMask-CL.nii.gz", FRAME)
        if len(outlines) < 2:
            found.say("warning", f"exam {place.name}: {2 - len(outlines)} of 2 masks missing", "Outline the tumour.")
        exams.append(IntakeExam(day=day, images=images, outlines=outlines, already_prepared=frozenset({"aligned"})))
    dose = found.image("course-1/dose", folder / "DoseMap.nii.gz", FRAME)
    if dose is not None:
        found.say("warning", "no course: the set states no prescription", "Give the course with --courses.")
    age, months = (_text(folder / name) for name in ("age-years.txt", "overall-survival-months.txt"))
    if line is not None:
        age = age or line.known("age", str)
        months = months or line.known("survival_months", str)
    return found.draft(
        dose=dose,
        source=NAME,
        also_known_as=(public_name(NAME, number_of),),
        age=None if age is None else number(age),
        death_day=None if months is None else round(span(months, DAYS_PER_MONTH)[0]),
        exams=tuple(exams),
    )


def _days(folder: Path, exams: int) -> list[int]:
    """Days of all exams from the first: the file holds the intervals between neighbours.

    Raises: DataError: if there are not as many intervals as there are gaps between exams.
    """
    path = folder / "intervals-days.txt"
    text = (_text(path) or "").replace(",", " ").split()
    try:
        gaps = [number(word) for word in text]
    except ValueError as error:
        raise DataError(f"{path}: an interval {error}", "Restore the file.") from error
    if len(gaps) != exams - 1 or any(gap < 0 for gap in gaps):
        raise DataError(
            f"{path} holds {len(gaps)} intervals for {exams} exams", "Restore it: one interval between neighbours."
        )
    days = [0.0]
    for gap in gaps:
        days.append(days[-1] + gap)
    return [round(day) for day in days]


def _text(path: Path) -> str | None:
    """The words of a file of one line, or None if it is not there or says nothing."""
    return path.read_text(encoding="utf-8").strip() or None if path.is_file() else None
