"""A site's folder on disk (BIDS) as records, and back."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

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
from flame.records.patient import SEQUENCES, Arm, ClinicalStatus, Course, Exam, Outcome, Patient, Region, Resection, Sex
from flame.records.sidecars import BIDSIGNORE, BRAIN_MASK, COURSES, EXAMS, LABEL_MAP, LABELS_TABLE, PARTICIPANTS, README
from flame.records.tables import Row, number, one_of, read_table, whole_number, write_table, yes

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

_ID = re.compile("[0-9a-zA-Z]+")


@dataclass(frozen=True)
class Site:
    """A hospital's folder: its name, where it is, and its patients in order of id."""

    name: str
    folder: Path
    patients: tuple[Patient, ...]

    def __post_init__(self) -> None:
        ids = [patient.id for patient in self.patients]
        if ids != sorted(set(ids)):
            raise ValueError(f"patients of {self.name} are not in order of id, or one is there twice: {ids}")


def write_site(site: Site) -> None:
    """Write all tables and sidecars of a site whose image files lie, or will lie, under `site.folder`.

    Each file is written atomically, the table of patients last: a patient who is not in it does not exist for
    `read_site`.

    Raises: ValueError: if an id is not of letters and digits, or a path is not where `records.layout` puts it; nothing
        is written then.
    """
    for patient in site.patients:
        _refuse_misplaced(site.folder, patient)
    _write_descriptions(site)
    for patient in site.patients:
        _write_patient(site.folder, patient)
    write_table(site.folder / "participants.tsv", ["participant_id", *PARTICIPANTS], map(_participant, site.patients))


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
    if not isinstance(name, str):
        raise DataError(f"{description} names no dataset", 'Add "Name" and "BIDSVersion".')
    patients = [_read_patient(folder, row) for row in read_table(folder / "participants.tsv", "participant_id")]
    return Site(name, folder, tuple(sorted(patients, key=lambda patient: patient.id)))


def _refuse_misplaced(folder: Path, patient: Patient) -> None:
    if not _ID.fullmatch(patient.id):
        raise ValueError(f"patient id {patient.id!r} is not made of letters and digits")
    twice = [day for day, times in Counter(exam.day for exam in patient.exams).items() if times > 1]
    if twice:
        raise ValueError(f"patient {patient.id} has two exams on day {twice[0]}")
    for path, expected in _places(folder, patient):
        if path is not None and expected not in (path, folder / path):
            raise ValueError(f"{path} of patient {patient.id} belongs at {expected}")


def _places(folder: Path, patient: Patient) -> Iterator[tuple[Path | None, Path]]:
    """Every path of a record with where it belongs."""
    for exam in patient.exams:
        for sequence, path in exam.sequences.items():
            yield path, sequence_path(folder, patient.id, exam.day, sequence)
        yield exam.label_map, label_map_path(folder, patient.id, exam.day)
        yield exam.brain_mask, brain_mask_path(folder, patient.id, exam.day)
    for order, course in enumerate(patient.courses, start=1):
        yield course.dose, dose_path(folder, patient.id, order, "dose")
        yield course.dose_rbe, dose_path(folder, patient.id, order, "dose_rbe")
        yield course.letd, dose_path(folder, patient.id, order, "letd")


def _write_descriptions(site: Site) -> None:
    """What describes the whole folder; sidecars in an upper folder hold for all files of that name below it."""
    derivatives = site.folder / DERIVATIVES
    description = {"Name": site.name, "BIDSVersion": "1.10.0"}
    write_json(site.folder / "dataset_description.json", description | {"DatasetType": "raw"})
    generated = {"DatasetType": "derivative", "GeneratedBy": [{"Name": "flame", "Version": flame.__version__}]}
    write_json(derivatives / "dataset_description.json", description | generated)
    if not any(site.folder.glob("README*")):
        write_text(site.folder / "README.md", README.format(site=site.name))
    write_text(derivatives / ".bidsignore", BIDSIGNORE)
    write_json(derivatives / "desc-tumour_dseg.json", dict(LABEL_MAP))
    write_table(derivatives / "desc-tumour_dseg.tsv", list(LABELS_TABLE[0]), LABELS_TABLE)
    write_json(derivatives / "desc-brain_mask.json", dict(BRAIN_MASK))
    write_json(site.folder / "participants.json", dict(PARTICIPANTS))


def _write_patient(folder: Path, patient: Patient) -> None:
    path = exams_path(folder, patient.id)
    write_json(path.with_suffix(".json"), dict(EXAMS))
    write_table(path, ["session_id", *EXAMS], map(_exam, patient.exams))
    path = courses_path(folder, patient.id)
    write_json(path.with_suffix(".json"), dict(COURSES))
    write_table(path, list(COURSES), [_course(order, one) for order, one in enumerate(patient.courses, start=1)])


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
        "also_known_as": _words(patient.also_known_as),
    }


def _exam(exam: Exam) -> dict[str, Any]:
    return {
        "session_id": f"ses-{ses_label(exam.day)}",
        "day": exam.day,
        "steroid_mg": exam.steroid_mg,
        "clinical_status": exam.clinical_status,
        "surgery": exam.surgery,
        "regions": None if exam.regions is None else _words(exam.regions) or "none",
        "day_tolerance": exam.day_tolerance or None,
    }


def _course(order: int, course: Course) -> dict[str, Any]:
    return {
        "course": order,
        "arm": course.arm,
        "prescription_gy": course.prescription_gy,
        "fractions": course.fractions,
        "start_day": course.start_day,
        "end_day": course.end_day,
        "rbe_model": course.rbe_model,
    }


def _read_patient(folder: Path, row: Row) -> Patient:
    identity = row.value("participant_id", _subject)
    try:
        return Patient(
            id=identity,
            age=row.known("age", number),
            sex=row.known("sex", one_of(Sex)),
            performance_status=row.known("performance_status", whole_number),
            mgmt_methylated=row.known("mgmt", yes),
            idh_mutant=row.known("idh", yes),
            resection=row.known("resection", one_of(Resection)),
            diagnosis_day=row.known("diagnosis_day", whole_number),
            exams=_read_exams(folder, identity),
            courses=_read_courses(folder, identity),
            outcome=Outcome(
                death_day=row.known("death_day", whole_number),
                last_contact_day=row.known("last_contact_day", whole_number),
            ),
            also_known_as=row.known("also_known_as", lambda text: tuple(text.split())) or (),
        )
    except ValueError as error:
        raise row.error(str(error)) from error


def _read_exams(folder: Path, identity: str) -> tuple[Exam, ...]:
    exams = []
    for row in read_table(exams_path(folder, identity), "session_id"):
        day = row.value("session_id", _session_day)
        if row.known("day", whole_number) not in (None, day):
            raise row.error(f"column day: {row.cells['day']!r} contradicts {row.cells['session_id']}")
        images = {sequence: sequence_path(folder, identity, day, sequence) for sequence in SEQUENCES}
        exams.append(
            Exam(
                day=day,
                sequences={sequence: path for sequence, path in images.items() if path.exists()},
                label_map=_existing(label_map_path(folder, identity, day)),
                brain_mask=_existing(brain_mask_path(folder, identity, day)),
                steroid_mg=row.known("steroid_mg", number),
                clinical_status=row.known("clinical_status", one_of(ClinicalStatus)),
                surgery=row.known("surgery", yes),
                regions=row.known("regions", _regions),
                day_tolerance=row.known("day_tolerance", number) or 0.0,
            )
        )
    return tuple(sorted(exams, key=lambda exam: exam.day))


def _read_courses(folder: Path, identity: str) -> tuple[Course, ...]:
    path = courses_path(folder, identity)
    courses: list[Course] = []
    for order, row in enumerate(read_table(path, "course") if path.exists() else [], start=1):
        if row.value("course", whole_number) != order:
            raise row.error(f"column course: {row.cells['course']!r}, but courses are numbered from 1 in order of day")
        grids = {kind: _existing(dose_path(folder, identity, order, kind)) for kind in get_args(Grids)}
        try:
            course = Course(
                arm=row.value("arm", one_of(Arm)),
                prescription_gy=row.value("prescription_gy", number),
                fractions=row.value("fractions", whole_number),
                start_day=row.value("start_day", whole_number),
                end_day=row.value("end_day", whole_number),
                rbe_model=row.known("rbe_model", str),
                **grids,
            )
        except ValueError as error:
            raise row.error(str(error)) from error
        if courses and course.start_day < courses[-1].start_day:
            raise row.error(f"column start_day: {course.start_day} lies before that of the course above")
        courses.append(course)
    return tuple(courses)


def _words(names: tuple[str, ...]) -> str | None:
    return " ".join(names) or None


def _regions(text: str) -> tuple[Region, ...]:
    return () if text == "none" else tuple(one_of(Region)(name) for name in text.split())


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None


def _subject(text: str) -> str:
    identity = text.removeprefix("sub-")
    if identity == text or not _ID.fullmatch(identity):
        raise ValueError("is not sub- and letters or digits")
    return identity


def _session_day(text: str) -> int:
    try:
        return ses_day(text.removeprefix("ses-"))
    except ValueError:
        raise ValueError("is not ses- and a day, as ses-pre0014 or ses-0070") from None
