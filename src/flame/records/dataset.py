"""A site's folder on disk (BIDS) as records, and back."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import flame
from flame.errors import DataError
from flame.files import read_json, write_json, write_text
from flame.records.layout import (
    DERIVATIVES,
    Grids,
    brain_mask_path,
    courses_path,
    dose_path,
    exams_path,
    label_map_path,
    sequence_path,
    ses_day,
    ses_label,
)
from flame.records.patient import SEQUENCES, Arm, ClinicalStatus, Course, Exam, Outcome, Patient, Resection, Sex
from flame.records.sidecars import BIDSIGNORE, COURSES, EXAMS, LABEL_MAP, PARTICIPANTS, README, image_sidecar

__all__ = [
    "Site",
    "brain_mask_path",
    "dose_path",
    "label_map_path",
    "read_site",
    "sequence_path",
    "ses_label",
    "write_site",
]

UNKNOWN = "n/a"
T = TypeVar("T")
Row = Mapping[str, str]


@dataclass(frozen=True)
class Site:
    """A hospital's folder: its name, where it is, and its patients in order of id."""

    name: str
    folder: Path
    patients: tuple[Patient, ...]


def write_site(site: Site) -> None:
    """Write all tables and sidecars of a site whose image files already lie under `site.folder`, each atomically.

    A patient whose images are not listed in the tables does not exist for `read_site`.
    """
    description = {"Name": site.name, "BIDSVersion": "1.10.0", "License": "n/a", "Authors": ["FLAME"]}
    generated = [{"Name": "flame", "Version": flame.__version__}]
    write_json(site.folder / "dataset_description.json", description | {"DatasetType": "raw"})
    write_json(
        site.folder / DERIVATIVES / "dataset_description.json",
        description | {"DatasetType": "derivative", "GeneratedBy": generated},
    )
    write_text(site.folder / DERIVATIVES / ".bidsignore", BIDSIGNORE)
    write_text(site.folder / "README.md", README.format(site=site.name))
    write_json(site.folder / "participants.json", dict(PARTICIPANTS))
    for patient in site.patients:
        _write_patient(site.folder, patient)
    _write_table(site.folder / "participants.tsv", ["participant_id", *PARTICIPANTS], map(_participant, site.patients))


def read_site(folder: Path) -> Site:
    """Read a site's BIDS folder.

    Paths of images are those of files that exist; whether they can be read is for `records.check` to say.

    Raises: DataError: if the folder is missing or not BIDS, or a table is malformed; the message names file, line,
        column and value.
    """
    if not folder.is_dir():
        raise DataError(f"The folder {folder} does not exist", "Check the path.")
    description = folder / "dataset_description.json"
    if not description.exists():
        raise DataError(f"{folder} is not a BIDS folder: it has no dataset_description.json", "Check the path.")
    content = read_json(description)
    name = content.get("Name") if isinstance(content, dict) else None
    table = _Table(folder / "participants.tsv")
    patients = [_read_patient(folder, table, number, row) for number, row in table.rows]
    return Site(str(name or folder.name), folder, tuple(sorted(patients, key=lambda patient: patient.id)))


def _write_patient(folder: Path, patient: Patient) -> None:
    exams = [
        {
            "session_id": f"ses-{ses_label(exam.day)}",
            "day": exam.day,
            "steroid_mg": exam.steroid_mg,
            "clinical_status": exam.clinical_status,
        }
        for exam in patient.exams
    ]
    path = exams_path(folder, patient.id)
    write_json(path.with_suffix(".json"), dict(EXAMS))
    _write_table(path, ["session_id", *EXAMS], exams)
    columns = ["arm", "prescription_gy", "fractions", "start_day", "end_day", "rbe_model"]
    courses = [{name: getattr(course, name) for name in columns} for course in patient.courses]
    path = courses_path(folder, patient.id)
    write_json(path.with_suffix(".json"), dict(COURSES))
    _write_table(path, columns, courses)
    for exam in patient.exams:
        for sequence, image in exam.sequences.items():
            write_json(_sidecar(folder / image), image_sidecar(sequence))
        if exam.label_map is not None:
            write_json(_sidecar(folder / exam.label_map), dict(LABEL_MAP))
        if exam.brain_mask is not None:
            write_json(_sidecar(folder / exam.brain_mask), {"Type": "Brain", "SkullStripped": True})


def _sidecar(image: Path) -> Path:
    return image.with_name(image.name.removesuffix(".nii.gz") + ".json")


def _participant(patient: Patient) -> dict[str, Any]:
    return {
        "participant_id": f"sub-{patient.id}",
        "age": patient.age,
        "sex": patient.sex,
        "performance_status": patient.performance_status,
        "mgmt": patient.mgmt_methylated,
        "idh": patient.idh_mutant,
        "resection": patient.resection,
        "diagnosis_day": patient.diagnosis_day,
        "death_day": patient.outcome.death_day,
        "last_contact_day": patient.outcome.last_contact_day,
    }


def _write_table(path: Path, columns: Sequence[str], rows: Any) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[column]) for column in columns] for row in rows)
    write_text(path, text.getvalue())


def _cell(value: object) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


class _Table:
    """A tab-separated table with errors that name file, line, column and value."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError as error:
            raise DataError(f"{path} does not exist", "Restore the table.") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not UTF-8 text", "Save the table as UTF-8.") from error
        reader = csv.DictReader(io.StringIO(text), delimiter="\t")
        self.rows: list[tuple[int, Row]] = [(number, row) for number, row in enumerate(reader, start=2)]

    def value(self, number: int, row: Row, column: str, parse: Callable[[str], T]) -> T:
        text = row.get(column)
        if text is None:
            raise DataError(f"{self.path}, line {number}: column {column} is missing", "Add the column.")
        try:
            return parse(text)
        except ValueError as error:
            raise DataError(
                f"{self.path}, line {number}, column {column}: {text!r} {error}", "Correct the value, or write n/a."
            ) from error

    def known(self, number: int, row: Row, column: str, parse: Callable[[str], T]) -> T | None:
        if row.get(column) in (None, UNKNOWN, ""):
            return None
        return self.value(number, row, column, parse)


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("is not a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("is not a number") from None


def _yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("is neither yes nor no")
    return text == "yes"


def _one_of(kind: Any) -> Callable[[str], Any]:
    allowed = get_args(kind)

    def parse(text: str) -> Any:
        if text not in allowed:
            raise ValueError(f"is none of {', '.join(allowed)}")
        return text

    return parse


def _subject(text: str) -> str:
    identity = text.removeprefix("sub-")
    if identity == text or not identity.isalnum():
        raise ValueError("is not sub- and letters or digits")
    return identity


def _read_patient(folder: Path, table: _Table, number: int, row: Row) -> Patient:
    identity = table.value(number, row, "participant_id", _subject)
    outcome = Outcome(
        death_day=table.known(number, row, "death_day", _integer),
        last_contact_day=table.known(number, row, "last_contact_day", _integer),
    )
    return Patient(
        id=identity,
        age=table.known(number, row, "age", _number),
        sex=table.known(number, row, "sex", _one_of(Sex)),
        performance_status=table.known(number, row, "performance_status", _integer),
        mgmt_methylated=table.known(number, row, "mgmt", _yes),
        idh_mutant=table.known(number, row, "idh", _yes),
        resection=table.known(number, row, "resection", _one_of(Resection)),
        diagnosis_day=table.known(number, row, "diagnosis_day", _integer),
        exams=_read_exams(folder, identity),
        courses=_read_courses(folder, identity),
        outcome=outcome,
    )


def _ses_day(text: str) -> int:
    try:
        return ses_day(text.removeprefix("ses-"))
    except ValueError:
        raise ValueError("is not ses- and a day, as ses-pre0014 or ses-0070") from None


def _read_exams(folder: Path, identity: str) -> tuple[Exam, ...]:
    table = _Table(exams_path(folder, identity))
    exams = []
    for number, row in table.rows:
        day = table.value(number, row, "session_id", _ses_day)
        images = {sequence: sequence_path(folder, identity, day, sequence) for sequence in SEQUENCES}
        label_map, brain = label_map_path(folder, identity, day), brain_mask_path(folder, identity, day)
        exams.append(
            Exam(
                day=day,
                sequences={sequence: image for sequence, image in images.items() if image.exists()},
                label_map=label_map if label_map.exists() else None,
                brain_mask=brain if brain.exists() else None,
                steroid_mg=table.known(number, row, "steroid_mg", _number),
                clinical_status=table.known(number, row, "clinical_status", _one_of(ClinicalStatus)),
            )
        )
    return tuple(sorted(exams, key=lambda exam: exam.day))


def _read_courses(folder: Path, identity: str) -> tuple[Course, ...]:
    path = courses_path(folder, identity)
    if not path.exists():
        return ()
    table = _Table(path)
    courses = []
    for order, (number, row) in enumerate(table.rows, start=1):
        grids: dict[Grids, Path] = {kind: dose_path(folder, identity, order, kind) for kind in get_args(Grids)}
        found = {kind: grid if grid.exists() else None for kind, grid in grids.items()}
        try:
            courses.append(
                Course(
                    arm=table.value(number, row, "arm", _one_of(Arm)),
                    prescription_gy=table.value(number, row, "prescription_gy", _number),
                    fractions=table.value(number, row, "fractions", _integer),
                    start_day=table.value(number, row, "start_day", _integer),
                    end_day=table.value(number, row, "end_day", _integer),
                    dose=found["dose"],
                    dose_rbe=found["dose_rbe"],
                    letd=found["letd"],
                    rbe_model=table.known(number, row, "rbe_model", str),
                )
            )
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}", "Correct the course.") from error
    return tuple(courses)
