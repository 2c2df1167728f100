"""What a person decided about series: `overrides.tsv`, kept beside the store and read on every run."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from flame.dicom.images.exams import exams_of
from flame.dicom.series import Series
from flame.records import patient as records
from flame.records.tables import Row, one_of, read_table, whole_number

__all__ = ["Override", "read_overrides", "short_key"]

T = TypeVar("T")
_NONE = "none"


@dataclass(frozen=True)
class Override:
    """One line: what a series is (None: nothing that is used), and the number of its exam if it was moved."""

    sequence: records.Sequence | None
    exam: int | None
    row: Row


def short_key(uid: str) -> str:
    """The short name of a series in tables: eight characters, always the same for one series of the store."""
    return hashlib.sha256(uid.encode()).hexdigest()[:8]


def read_overrides(
    path: Path, known: Mapping[str, Sequence[Series]], damaged: Collection[str] = ()
) -> dict[str, Override]:
    """Read `overrides.tsv`: columns `patient`, `series` (key or uid), `sequence` (or `none`), and `exam` if needed.

    An exam is named by any series that lies in it, or by its number. Numbers count in order of time, so they change
    when an earlier exam comes in.

    Args:
        path: a file that is not there means that nobody decided anything.
        known: all series of the store by patient.
        damaged: patients whose series cannot be read; what is said of them waits.

    Returns: by uid of the series.
    Raises: DataError: naming file, line and column, if the table is malformed, or a patient, a series or a
        word is unknown.
    """
    if not path.exists():
        return {}
    found: dict[str, Override] = {}
    for row in read_table(path, "series"):
        patient = row.value("patient", _among({**known, **dict.fromkeys(damaged)}))
        if patient in damaged:
            continue
        series = {name: one.uid for one in known[patient] for name in (one.uid, short_key(one.uid))}
        uid = series[row.value("series", _among(series))]
        if uid in found:
            raise row.error(f"column series: it is on line {found[uid].row.line} already, by its other name")
        word = row.value("sequence", _sequence)
        found[uid] = Override(
            None if word == _NONE else one_of(records.Sequence)(word), row.known("exam", _exam(known[patient])), row
        )
    return found


def _among(names: Mapping[str, object]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in names:
            raise ValueError("is not in the store")
        return text

    return parse


def _exam(series: Sequence[Series]) -> Callable[[str], int]:
    def parse(text: str) -> int:
        for exam in exams_of(series):
            if any(text in (one.uid, short_key(one.uid)) for one in exam.series):
                return exam.number
        return whole_number(text)

    return parse


def _sequence(text: str) -> str:
    if text not in (*records.SEQUENCES, _NONE):
        raise ValueError(f"is none of {', '.join(records.SEQUENCES)}, {_NONE}")
    return text
