"""Findings in a patient's record alone: days, ages and courses that contradict each other. No image is read."""

from collections.abc import Iterator

from flame.records.finding import Finding
from flame.records.patient import SEQUENCES, Course, Exam, Patient

__all__ = ["chart_findings"]

BEFORE_DIAGNOSIS_DAYS = 30
"""An exam this many days before diagnosis may still be the one that led to it."""

AGES = (18.0, 100.0)
OLDEST = 120.0
HIGHEST_PRESCRIPTION_GY = 200.0
"""No course comes near; the highest prescribed for glioblastoma is 96.6 Gy(RBE). Above it the unit is cGy."""

IONS = ("proton", "carbon")


def chart_findings(patient: Patient) -> Iterator[Finding]:
    """What is wrong in a patient's record, as far as it can be seen without opening an image."""
    yield from _age(patient)
    yield from _death(patient)
    for exam in patient.exams:
        yield from _exam(patient, exam)
    if not patient.exams:
        yield Finding("error", patient.id, "no exam", "Add the exams, or leave the patient out.")
    elif all(exam.brain_mask is None for exam in patient.exams):
        yield Finding("error", patient.id, "no brain mask in any exam", "Add a brain mask to at least one exam.")
    if not patient.courses:
        yield Finding(
            "warning", patient.id, "no radiotherapy course", "Add the course: a patient without one teaches nothing."
        )
    for number, course in enumerate(patient.courses, start=1):
        yield from _course(patient, number, course)


def _age(patient: Patient) -> Iterator[Finding]:
    low, high = AGES
    if patient.age is not None and not low <= patient.age <= high:
        yield Finding(
            "warning" if 0 <= patient.age <= OLDEST else "error",
            patient.id,
            f"age {patient.age:g} years is outside {low:g} to {high:g}",
            "Check the age; it is in years at the start of radiotherapy.",
        )


def _death(patient: Patient) -> Iterator[Finding]:
    death, contact = patient.outcome.death_day, patient.outcome.last_contact_day
    if death is not None:
        later = [f"exam of day {exam.day}" for exam in patient.exams if exam.day > death]
        later += [f"course from day {course.start_day}" for course in patient.courses if course.start_day > death]
        later += [f"last contact on day {contact}"] if contact is not None and contact > death else []
        for what in later:
            yield Finding("error", patient.id, f"{what} after death on day {death}", "Correct one of the two days.")
    elif contact is not None and patient.exams and patient.exams[-1].day > contact:
        yield Finding(
            "warning",
            patient.id,
            f"exam of day {patient.exams[-1].day} after the last contact on day {contact}",
            "Correct last_contact_day: the patient was alive at the exam.",
        )


def _exam(patient: Patient, exam: Exam) -> Iterator[Finding]:
    where = f"exam of day {exam.day}"
    if patient.diagnosis_day is not None and exam.day < patient.diagnosis_day:
        early = patient.diagnosis_day - exam.day
        yield Finding(
            "error" if early > BEFORE_DIAGNOSIS_DAYS else "note",
            patient.id,
            f"{where} is {early} days before diagnosis (day {patient.diagnosis_day})",
            "Check both days; they count from the start of the first course.",
        )
    missing = [sequence for sequence in SEQUENCES if sequence not in exam.sequences]
    if missing:
        yield Finding(
            "error" if len(missing) == len(SEQUENCES) else "warning",
            patient.id,
            f"{where}: missing sequence {', '.join(missing)}",
            "Add the image if it was acquired; models take a missing sequence as zero.",
        )
    if exam.label_map is None:
        yield Finding("warning", patient.id, f"{where}: missing label map", "Outline the tumour in this exam.")
    elif exam.unknown_regions:
        yield Finding(
            "warning",
            patient.id,
            f"{where}: the label map does not show {', '.join(exam.unknown_regions)}",
            "Outline all regions: patients of whom one is unknown are left out of training.",
        )


def _course(patient: Patient, number: int, course: Course) -> Iterator[Finding]:
    where = f"course {number} ({course.arm})"
    baseline = next((exam for exam in reversed(patient.exams) if exam.day <= course.start_day), None)
    if baseline is None:
        yield Finding(
            "error",
            patient.id,
            f"{where}: no exam before its start on day {course.start_day}",
            "Add the baseline exam.",
        )
    elif baseline.label_map is None:
        yield Finding(
            "error",
            patient.id,
            f"{where}: its baseline, the exam of day {baseline.day}, has no label map",
            "Outline the tumour: every model starts from the baseline.",
        )
    if not any(exam.day > course.end_day for exam in patient.exams):
        yield Finding(
            "warning", patient.id, f"{where}: no exam after its end on day {course.end_day}", "Add the follow-up exams."
        )
    if course.prescription_gy > HIGHEST_PRESCRIPTION_GY:
        yield Finding(
            "error",
            patient.id,
            f"{where}: a prescription of {course.prescription_gy:g} Gy looks like cGy",
            "Divide it by 100.",
        )
    if course.dose is None and course.dose_rbe is None:
        yield Finding("warning", patient.id, f"{where}: no dose grid", "Add the dose grid of the plan.")
    if course.arm in IONS:
        yield from _ions(patient, where, course)


def _ions(patient: Patient, where: str, course: Course) -> Iterator[Finding]:
    if course.letd is None:
        yield Finding("warning", patient.id, f"{where}: no LETd grid", "Add the LETd grid of the plan, in keV/um.")
    if course.rbe_model is None:
        yield Finding(
            "warning",
            patient.id,
            f"{where}: rbe_model is unknown",
            "Name the RBE model: Gy(RBE) of different models are not the same.",
        )
