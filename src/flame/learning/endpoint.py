"""The response endpoint of a prepared patient."""

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from flame.imaging.prepare import PreparedCourse, PreparedPatient
from flame.rano.criteria import assess
from flame.rano.endpoints import FollowUp, disease_control
from flame.rano.lesions import high_dose_region
from flame.rano.presets import RANO_2
from flame.rano.readings import Call
from flame.rano.series import Scan, read
from flame.records.patient import Exam, Outcome

__all__ = ["IMAGING_ONLY", "follow_up", "is_responder", "scan"]

IMAGING_ONLY = replace(RANO_2, name="rano_2_imaging", clinical=False, steroids=False)
"""RANO 2.0 as far as images tell. Steroids and clinical state are prescribed and noted by other habits at each site;
a label that depended on them would teach a model the habits. Models see them as inputs."""


def is_responder(patient: PreparedPatient, course: PreparedCourse) -> bool | None:
    """Disease control 182 days after the end of the course; None if it is not known."""
    end = course.course.end_day
    scans = [scan(exam.exam, end, exam.label_map) for exam in patient.exams]
    high_dose = None
    if course.course.prescribed_dose is not None:
        high_dose = high_dose_region(course.dose_rbe_gy, course.course.prescription_gy)
    findings = read(scans, patient.grid.spacing_mm, IMAGING_ONLY, high_dose=high_dose)
    calls = assess([one.reading for one in findings], IMAGING_ONLY)
    return disease_control(follow_up(calls, patient.patient.outcome, end))


def scan(exam: Exam, end_day: int, label_map: NDArray[Any] | None) -> Scan:
    """An exam as response criteria see it; a status that is worse counts as caused by the tumour.

    Args:
        exam: with what the chart says.
        end_day: last day of radiotherapy.
        label_map: of the exam, integers 0 to 4 (x, y, z).
    """
    worse = None if exam.clinical_status is None else exam.clinical_status == "worse"
    return Scan(exam.day - end_day, label_map, worse, exam.steroid_mg, exam.surgery)


def follow_up(calls: tuple[Call, ...], outcome: Outcome, end_day: int) -> FollowUp:
    """Calls with how follow-up ended, in days since the end of radiotherapy."""
    death, contact = outcome.death_day, outcome.last_contact_day
    return FollowUp(
        calls,
        death_horizon=None if death is None else death - end_day,
        contact_horizon=None if contact is None else contact - end_day,
    )
