"""A patient's radiotherapy objects put together: courses with their doses and the planning CT, and alignments."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from flame.dicom.radiotherapy import (
    CourseDoses,
    DatedCourse,
    Dose,
    course_doses,
    courses,
    read_alignments,
    read_dose,
    read_planned,
    read_treatment_record,
)
from flame.dicom.reading import read_instance
from flame.dicom.series import Series
from flame.dicom.therapy.objects import items, text
from flame.errors import DataError
from flame.records.finding import Finding, Severity
from flame.records.intake import Alignment

__all__ = ["Treatment", "doses_of", "planning_ct", "read_treatment"]

T = TypeVar("T")
_LOOK = "Export it again if it belongs to the treatment, else leave it out."
_CHECK = "Compare with the hospital's own records; leave out plans and doses that were not given."


@dataclass(frozen=True, eq=False)
class Treatment:
    """What a patient's objects tell of radiotherapy; `files` are all of them by modality."""

    courses: tuple[DatedCourse, ...]
    alignments: tuple[Alignment, ...]
    files: Mapping[str, tuple[Path, ...]]
    findings: tuple[Finding, ...]


def read_treatment(patient: str, series: Sequence[Series]) -> Treatment:
    """Read plans, treatment records and registrations; what cannot be read becomes a finding and stops nothing else.

    Args:
        patient: the site's id.
        series: all of the patient, of the store.
    """
    files = {
        kind: tuple(path for one in series if one.kind == kind for path in one.files)
        for kind in ("RTPLAN", "RTRECORD", "RTDOSE", "RTSTRUCT", "REG", "SEG")
    }
    findings: list[Finding] = []
    plans = list(_each(files["RTPLAN"], read_planned, patient, "a plan", findings))
    records = [one for one in _each(files["RTRECORD"], read_treatment_record, patient, "a record", findings) if one]
    aligned = _each(files["REG"], read_alignments, patient, "a registration", findings)
    alignments = tuple(alignment for several in aligned for alignment in several)
    found: tuple[DatedCourse, ...] = ()
    if plans:
        try:
            found = courses(plans, records)
        except DataError as error:
            findings.append(Finding("error", patient, f"courses: {error.message}", error.hint))
    if files["RTDOSE"] and not found:
        what = "there is a dose, but no plan that can be used"
        findings.append(Finding("error", patient, what, "Bring in the plan that the dose belongs to."))
    for number, course in enumerate(found, 1):
        findings += _told(patient, f"course {number}", course.notes, course.doubts)
    return Treatment(found, alignments, files, tuple(findings))


def doses_of(patient: str, treatment: Treatment) -> tuple[list[CourseDoses], list[Finding]]:
    """Doses of each course, and findings about those that cannot be used."""
    findings: list[Finding] = []
    prescribed = {part.plan.uid: part.plan.prescription_gy for course in treatment.courses for part in course.parts}

    def read(path: Path) -> Dose:
        dataset = read_instance(path)
        plans = [text(one, "ReferencedSOPInstanceUID") for one in items(dataset, "ReferencedRTPlanSequence")]
        known = [prescribed[plan] for plan in plans if plan in prescribed]
        return read_dose(dataset, sum(known) if known else None)

    doses = list(_each(treatment.files["RTDOSE"], read, patient, "a dose", findings, "error"))
    found = []
    for number, course in enumerate(treatment.courses, 1):
        try:
            of_course = course_doses(doses, course, treatment.alignments)
        except DataError as error:
            findings.append(Finding("error", patient, f"dose of course {number}: {error.message}", error.hint))
            of_course = CourseDoses(None, None)
        found.append(of_course)
        findings += _told(patient, f"dose of course {number}", of_course.notes, of_course.doubts)
        if of_course.dose is None and of_course.dose_rbe is None:
            what = f"course {number} has no dose that can be used"
            findings.append(Finding("warning", patient, what, "Bring in the dose of its plans."))
    return found, findings


def planning_ct(course: DatedCourse, doses: CourseDoses, series: Sequence[Series]) -> Series | None:
    """The CT on which a course was planned: of the frame of its plans or doses; of several the one with most slices."""
    frames = {part.plan.frame for part in course.parts}
    frames |= {dose.frame for dose in (doses.dose, doses.dose_rbe) if dose is not None}
    frames.discard(None)
    fitting = [one for one in series if one.kind == "CT" and one.frame in frames and one.trouble is None]
    return max(fitting, key=lambda one: (one.slices, one.uid), default=None)


def _told(patient: str, what: str, notes: Sequence[str], doubts: Sequence[str]) -> list[Finding]:
    return [
        *(Finding("warning", patient, f"{what}: {doubt}", _CHECK) for doubt in doubts),
        *(Finding("note", patient, f"{what}: {note}", "Nothing.") for note in notes),
    ]


def _each(
    paths: Sequence[Path],
    read: Callable[[Path], T],
    patient: str,
    what: str,
    findings: list[Finding],
    severity: Severity = "warning",
) -> Iterator[T]:
    """What can be read; of the rest a finding."""
    for path in paths:
        try:
            yield read(path)
        except DataError as error:
            findings.append(Finding(severity, patient, f"{what} was left out: {error.message}", error.hint or _LOOK))
