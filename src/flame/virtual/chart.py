"""A finished patient's record as JSON, so that an interrupted trial need not make the patient again."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from flame.errors import DataError
from flame.files import read_json
from flame.records.patient import Patient

__all__ = ["dump_chart", "load_chart"]

_PATIENT = TypeAdapter(Patient)


def dump_chart(patient: Patient) -> Any:
    """The record as JSON values."""
    return _PATIENT.dump_python(patient, mode="json")


def load_chart(path: Path) -> Patient:
    """The record under the key `chart` of a JSON file.

    Raises: DataError: if the file is missing or holds no such record.
    """
    try:
        return _PATIENT.validate_python(read_json(path)["chart"], strict=False)
    except (KeyError, TypeError, ValidationError) as error:
        raise DataError(
            f"{path} holds no patient's record: {error}", "Remove it; the patient is then made again."
        ) from error
