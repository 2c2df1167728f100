"""What the user knows beyond a set: courses that it does not state, as a table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flame.records.intake import IntakeCourse
from flame.records.patient import Arm
from flame.records.sources.days import last_fraction
from flame.records.sources.draft import Draft, rebased
from flame.records.tables import Row, number, one_of, read_table, whole_number

__all__ = ["course_of", "read_courses", "with_course"]


def read_courses(path: Path) -> dict[str, Row]:
    """The lines of a table of courses by patient, as the set's importer names them.

    Columns: `patient`, `arm`, `prescription_gy`, `fractions`, `start_day`, and if known `end_day` and `rbe_model`. Days
    count from the first exam.

    Raises: DataError: if the table is malformed; values are read when they are needed.
    """
    return {row.cells["patient"]: row for row in read_table(path, "patient")}


def course_of(row: Row, **grids: Any) -> IntakeCourse:
    """The course that a line states, in the line's own days; without an end day five fractions a week are taken.

    Raises: DataError: if a value is missing or cannot be; the message names line and column.
    """
    fractions, start = row.value("fractions", whole_number), row.value("start_day", whole_number)
    prescription = row.value("prescription_gy", number)
    if fractions < 1 or not prescription > 0:
        raise row.error("columns prescription_gy and fractions: both must be above 0")
    end = row.known("end_day", whole_number)
    if end is not None and end < start:
        raise row.error(f"column end_day: a course cannot end (day {end}) before it starts (day {start})")
    return IntakeCourse(
        arm=row.value("arm", one_of(Arm)),
        prescription_gy=prescription,
        fractions=fractions,
        start_day=start,
        end_day=last_fraction(fractions, start) if end is None else end,
        rbe_model=row.known("rbe_model", str),
        **grids,
    )


def with_course(draft: Draft, courses: Mapping[str, Row]) -> Draft:
    """The draft with the course that the user states, days counted from its start; a course of the set stays as it is.

    A dose grid that had no course goes into it.

    Raises: DataError: if a value of the patient's line cannot be read.
    """
    row = courses.get(draft.patient.id)
    if row is None or draft.patient.courses:
        return draft
    course = course_of(row, dose=draft.dose)
    patient, shift = rebased(draft.patient.model_copy(update={"courses": (course,)}))
    return draft.shifted(patient, shift)
