"""A user's own NIfTI files, named by a table; what is known of the patients in a second table beside it.

`TABLE.tsv`, a line per file: `patient`, `day`, `kind`, `path` (from the table's folder), and if known `author`, `frame`
(images of one frame lie where they are without alignment) and `prepared`. `patients.tsv`, a line per patient: see
`PATIENT_COLUMNS`. `n/a` is unknown. Days count from any day; the first course, or exam, becomes day 0.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from flame.errors import DataError
from flame.records.finding import Finding
from flame.records.intake import IntakeCourse, IntakeExam, IntakeImage, Outline, Shows
from flame.records.patient import SEQUENCES, Resection, Sequence, Sex
from flame.records.sources.draft import FLAME_ORDER, Draft, Gathering, LabelFile, PublicSet
from flame.records.sources.supplement import course_of
from flame.records.tables import Row, number, one_of, read_table, whole_number, yes

__all__ = ["FILE_COLUMNS", "KINDS", "PATIENT_COLUMNS", "open_set"]

NAME = "nifti"
Author = Literal["human", "machine", "rough"]
Prepared = Literal["skull_stripped", "aligned", "zscored"]
Grid = Literal["dose", "dose_rbe", "letd", "ct"]
GRIDS: tuple[str, ...] = get_args(Grid)
OUTLINES: tuple[str, ...] = tuple(one for one in get_args(Shows) if one != "other")
KINDS: tuple[str, ...] = (*SEQUENCES, *OUTLINES, *GRIDS)
"""What a file can be: a sequence, a label map (`labels`, 0 to 4 as in FLAME) or a mask, or a grid of the course."""

FILE_COLUMNS = ("patient", "day", "kind", "path", "author", "frame", "prepared")
PATIENT_COLUMNS = (
    "patient",
    "age",
    "sex",
    "performance_status",
    "mgmt",
    "idh",
    "resection",
    "diagnosis_day",
    "death_day",
    "last_contact_day",
    "also_known_as",
    "arm",
    "prescription_gy",
    "fractions",
    "start_day",
    "end_day",
    "rbe_model",
)
_ID = re.compile("[0-9a-zA-Z]+")


@dataclass(frozen=True)
class _File:
    """One line of the table of files, read."""

    row: Row
    day: int | None
    kind: str
    path: Path
    author: Author | None
    frame: str | None
    prepared: tuple[Prepared, ...]


def open_set(source: Path) -> PublicSet:
    """The files that the table `source` names.

    Raises: DataError: if the table is missing or malformed, or names a column that nobody reads; a value that cannot be
        read, or a file that is not there, is the matter of its patient alone.
    """
    rows = read_table(source, "path")
    if not rows:
        raise DataError(f"{source} names no file", "Add a line per file.")
    _refuse_columns(rows[0], FILE_COLUMNS)
    lines: dict[str, list[Row]] = {}
    for row in rows:
        lines.setdefault(row.value("patient", _identity), []).append(row)
    beside = source.with_name("patients.tsv")
    people = {row.value("patient", _identity): row for row in read_table(beside, "patient")} if beside.is_file() else {}
    for row in people.values():
        _refuse_columns(row, PATIENT_COLUMNS)
    findings = [
        Finding("warning", one, f"{beside.name} tells of a patient of whom no file is named", "Add the files.")
        for one in sorted(people.keys() - lines.keys())
    ]
    patients = {one: partial(_draft, one, its, people.get(one)) for one, its in sorted(lines.items())}
    return PublicSet(NAME, patients, tuple(findings))


def _refuse_columns(row: Row, known: tuple[str, ...]) -> None:
    for column in row.cells:
        if column not in known:
            raise DataError(
                f"{row.path}, line 1: there is no column {column!r}", f"Columns are {', '.join(known)}; correct it."
            )


def _identity(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError("is not made of letters and digits")
    return text


def _draft(one: str, rows: list[Row], person: Row | None) -> Draft:
    found = Gathering(one)
    files = [_file(row) for row in rows]
    course = _course(found, [file for file in files if file.kind in GRIDS], person)
    exams: dict[int, list[_File]] = {}
    for file in files:
        if file.kind not in GRIDS:
            if file.day is None:
                raise file.row.error("column day: an image or outline needs its day")
            exams.setdefault(file.day, []).append(file)
    return found.draft(
        source=NAME,
        exams=tuple(_exam(found, day, its) for day, its in sorted(exams.items())),
        courses=() if course is None else (course,),
        **_person(person),
    )


def _file(row: Row) -> _File:
    """Read a line. Raises: DataError: if a value cannot be read, or the file is not there."""
    path = row.path.parent / row.value("path", str)
    if not path.is_file():
        raise row.error(f"column path: {row.cells['path']!r} is not there")
    return _File(
        row=row,
        day=row.known("day", whole_number),
        kind=row.value("kind", _kind),
        path=path,
        author=row.known("author", one_of(Author)),
        frame=row.known("frame", str),
        prepared=row.known("prepared", lambda text: tuple(one_of(Prepared)(word) for word in text.split())) or (),
    )


def _kind(text: str) -> str:
    if text not in KINDS:
        raise ValueError(f"is none of {', '.join(KINDS)}")
    return text


def _exam(found: Gathering, day: int, files: list[_File]) -> IntakeExam:
    images: dict[Sequence, IntakeImage] = {}
    outlines: tuple[Outline, ...] = ()
    kinds: set[str] = set()
    for file in files:
        if file.kind in kinds:
            raise file.row.error(f"column kind: the exam of day {day} has a {file.kind} already")
        kinds.add(file.kind)
        exam = f"day{day}".replace("-", "pre")
        if file.kind == "labels":
            outlines += found.labels(exam, LabelFile(file.path, (FLAME_ORDER,)), file.frame, file.author)
        elif file.kind in OUTLINES:
            outlines += found.outline(exam, one_of(Shows)(file.kind), file.path, file.frame, file.author)
        else:
            images |= found.images(exam, {one_of(Sequence)(file.kind): file.path}, file.frame)
    prepared = frozenset(word for file in files for word in file.prepared)
    return IntakeExam(day=day, images=images, outlines=outlines, already_prepared=prepared)


def _course(found: Gathering, grids: list[_File], person: Row | None) -> IntakeCourse | None:
    if person is None or person.known("arm", str) is None:
        if grids:
            raise grids[0].row.error("column kind: a dose belongs to a course, which patients.tsv does not state")
        return None
    kinds: Mapping[str, _File] = {file.kind: file for file in grids}
    if len(kinds) < len(grids):
        raise grids[-1].row.error("column kind: two grids of one kind; a dose is the sum over the whole course")
    images: dict[str, Any] = {
        kind: found.image(f"course-1/{kind}", file.path, file.frame) for kind, file in kinds.items()
    }
    return course_of(person, **images)


def _person(row: Row | None) -> dict[str, Any]:
    if row is None:
        return {}
    return {
        "age": row.known("age", number),
        "sex": row.known("sex", one_of(Sex)),
        "performance_status": row.known("performance_status", whole_number),
        "mgmt_methylated": row.known("mgmt", yes),
        "idh_mutant": row.known("idh", yes),
        "resection": row.known("resection", one_of(Resection)),
        "diagnosis_day": row.known("diagnosis_day", whole_number),
        "death_day": row.known("death_day", whole_number),
        "last_contact_day": row.known("last_contact_day", whole_number),
        "also_known_as": row.known("also_known_as", lambda text: tuple(text.split())) or (),
    }
