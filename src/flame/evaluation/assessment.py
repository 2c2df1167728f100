"""Assess one patient by response criteria: from a site's files to calls, endpoints, and what `flame rano` writes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.imaging.prepare import aligned_label_maps, on_grid
from flame.learning.endpoint import follow_up, scan
from flame.rano.criteria import assess
from flame.rano.endpoints import (
    ENDPOINTS,
    Duration,
    FollowUp,
    best_response,
    overall_survival,
    progression_free_survival,
    time_to_progression,
)
from flame.rano.lesions import high_dose_region
from flame.rano.measure import VolumeEstimate
from flame.rano.presets import Criteria
from flame.rano.readings import Call
from flame.rano.series import Findings, read
from flame.records.patient import Course, Exam, Patient, Region
from flame.records.volume import Grid

__all__ = ["AssessedExam", "PatientAssessment", "assess_patient", "course_facts", "exam_rows"]


@dataclass(frozen=True, eq=False)
class AssessedExam:
    """An exam, its label map uint8 (x, y, z) if there is one, what was found in it, and the call."""

    exam: Exam
    label_map: NDArray[np.uint8] | None
    findings: Findings
    call: Call


@dataclass(frozen=True, eq=False)
class PatientAssessment:
    """A patient's exams by one set of criteria; all label maps lie on `grid`."""

    patient: Patient
    course: Course
    criteria: Criteria
    grid: Grid
    exams: tuple[AssessedExam, ...]

    @property
    def calls(self) -> tuple[Call, ...]:
        """One for each exam."""
        return tuple(one.call for one in self.exams)

    @property
    def follow_up(self) -> FollowUp:
        """The calls with how follow-up ended."""
        return follow_up(self.calls, self.patient.outcome, self.course.end_day)


def assess_patient(patient: Patient, criteria: Criteria) -> PatientAssessment:
    """Measure and call all exams of a patient, in days since the end of the first course.

    Raises: DataError: if there is no course or no label map, a label map does not show what the criteria measure, a
        file can't be read, or grids differ.
    """
    if not patient.courses:
        raise DataError(
            f"Patient {patient.id} has no radiotherapy course", "Add the course: exams are dated from its end."
        )
    _refuse_unknown(patient, criteria)
    course = patient.courses[0]
    label_maps, grid = aligned_label_maps(patient)
    scans = [scan(exam, course.end_day, found) for exam, found in zip(patient.exams, label_maps, strict=True)]
    try:
        findings = read(scans, grid.spacing_mm, criteria, high_dose=_high_dose(patient, course, grid))
    except ValueError as error:
        raise DataError(f"Patient {patient.id}: {error}", "Correct the value in the site's tables.") from error
    calls = assess([one.reading for one in findings], criteria)
    exams = zip(patient.exams, label_maps, findings, calls, strict=True)
    return PatientAssessment(patient, course, criteria, grid, tuple(AssessedExam(*parts) for parts in exams))


def _refuse_unknown(patient: Patient, criteria: Criteria) -> None:
    measured: Region = "TC" if criteria.quantity == "tc_ml" else "ET"
    for exam in patient.exams:
        if exam.label_map is not None and measured in exam.unknown_regions:
            raise DataError(
                f"Patient {patient.id}, exam of day {exam.day}: the label map does not show {measured}, which "
                f"{criteria.name} measures",
                "Outline it, or use criteria for what was outlined: cfb_v2 for a tumour core.",
            )


def _high_dose(patient: Patient, course: Course, grid: Grid) -> NDArray[np.bool_] | None:
    path = course.prescribed_dose
    return None if path is None else high_dose_region(on_grid(patient, path, grid).array, course.prescription_gy)


def exam_rows(assessment: PatientAssessment) -> list[dict[str, Any]]:
    """One row per exam for a table; volumes in ml, lengths in mm, shares of the reference, None where not known."""
    rows = []
    for one in assessment.exams:
        call, reading = one.call, one.findings.reading
        row: dict[str, Any] = {
            "day": one.exam.day,
            "horizon": call.horizon,
            "call": call.code,
            "since": call.since,
            "indeterminate": call.indeterminate,
        }
        for name, spread in _volumes(one.findings, assessment.criteria).items():
            value, low, high = (None, None, None) if spread is None else (round(ml, 3) for ml in spread)
            row |= {f"{name}_ml": value, f"{name}_low_ml": low, f"{name}_high_ml": high}
        row |= {
            "spd_mm2": None if reading.spd_mm2 is None else round(reading.spd_mm2, 1),
            "measurable": reading.measurable,
            "new_lesion": reading.new_lesion,
            "non_target_worse": reading.non_target_worse,
            "clinical_worse": reading.clinical_worse,
            "steroid_mg": reading.steroid_mg,
            "surgery": reading.surgery,
            "baseline": call.baseline,
            "nadir": call.nadir,
            "from_baseline": None if call.from_baseline is None else round(call.from_baseline, 4),
            "from_nadir": None if call.from_nadir is None else round(call.from_nadir, 4),
            "unknowns": " ".join(call.unknowns) or None,
        }
        rows.append(row)
    return rows


def _volumes(findings: Findings, criteria: Criteria) -> dict[str, tuple[float, float, float] | None]:
    """Volumes with their ranges [ml]; of enhancing tumour and core those that are compared."""
    reading, spread = findings.reading, criteria.reader_spread
    found = {"et": reading.interval("et_ml", spread), "tc": reading.interval("tc_ml", spread)}
    for name in ("wt", "rc"):
        one = None if findings.volumes is None else VolumeEstimate(getattr(findings.volumes, name).ml, spread)
        found[name] = None if one is None else (one.ml, one.low_ml, one.high_ml)
    return found


def course_facts(assessment: PatientAssessment) -> dict[str, Any]:
    """All that was found, for a JSON file: criteria, exams with their lesions, reasons, endpoints, times to events."""
    course, follow_up = assessment.course, assessment.follow_up
    exams = []
    for row, one in zip(exam_rows(assessment), assessment.exams, strict=True):
        reasons = [asdict(reason) for reason in one.call.reasons]
        lesions = {"lesions": _lesions(one.findings), "vanished": _vanished(one.findings)}
        exams.append({**row, "unknowns": list(one.call.unknowns), "reasons": reasons, **lesions})
    return {
        "patient": assessment.patient.id,
        "criteria": asdict(assessment.criteria),
        "course": {"arm": course.arm, "prescription_gy": course.prescription_gy, "end_day": course.end_day},
        "exams": exams,
        "best_response": best_response(follow_up),
        "endpoints": {name: definition.decide(follow_up) for name, definition in ENDPOINTS.items()},
        "definitions": {name: {"says": one.says, "source": one.source} for name, one in ENDPOINTS.items()},
        "progression_free_survival": _duration(progression_free_survival(follow_up)),
        "time_to_progression": _duration(time_to_progression(follow_up)),
        "overall_survival": _duration(overall_survival(follow_up)),
    }


def _lesions(findings: Findings) -> list[Mapping[str, Any]]:
    """Lesions with the ends of their diameters [mm from the outer corner of the grid's first voxel]."""
    if findings.measurement is None or findings.lesions is None:
        return []
    pairs: Sequence[Any] = list(zip(findings.measurement.lesions, findings.lesions.sightings, strict=True))
    return [
        {
            "track": sighting.track,
            "event": sighting.event,
            "side": sighting.side,
            "target": place in findings.targets,
            "product_mm2": lesion.product_mm2,
            **asdict(lesion),
        }
        for place, (lesion, sighting) in enumerate(pairs)
    ]


def _vanished(findings: Findings) -> list[int]:
    """Tracks of lesions that the exam before showed and this one does not."""
    return [] if findings.lesions is None else list(findings.lesions.vanished)


def _duration(duration: Duration | None) -> Mapping[str, Any] | None:
    return None if duration is None else asdict(duration)
