"""A finished patient's record as JSON, so that an interrupted trial need not make the patient again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from flame.files import read_json
from flame.records.patient import Course, Exam, Patient

__all__ = ["dump_chart", "load_chart", "rooted"]

_PATIENT = TypeAdapter(Patient)


def dump_chart(patient: Patient) -> Any:
    """The record as JSON values."""
    return _PATIENT.dump_python(patient, mode="json")


def load_chart(path: Path) -> Patient:
    """The record under the key `chart` of a JSON file."""
    return _PATIENT.validate_python(read_json(path)["chart"], strict=False)


def rooted(patient: Patient, folder: Path) -> Patient:
    """The same record with every relative path put under `folder`."""

    def put(path: Path | None) -> Path | None:
        return None if path is None else folder / path

    def exam(old: Exam) -> Exam:
        sequences = {name: folder / path for name, path in old.sequences.items()}
        return replace(old, sequences=sequences, label_map=put(old.label_map), brain_mask=put(old.brain_mask))

    def course(old: Course) -> Course:
        return replace(old, dose=put(old.dose), dose_rbe=put(old.dose_rbe), letd=put(old.letd))

    return replace(
        patient,
        exams=tuple(exam(old) for old in patient.exams),
        courses=tuple(course(old) for old in patient.courses),
    )
