"""The response endpoint of a prepared patient."""

from flame.imaging.prepare import PreparedCourse, PreparedPatient
from flame.rano.endpoints import assess, disease_control

__all__ = ["is_responder"]


def is_responder(patient: PreparedPatient, course: PreparedCourse) -> bool | None:
    """Disease control 182 days after the end of the course; None if it is not known."""
    end = course.course.end_day
    later = {exam.exam.day - end: exam.label_map for exam in patient.exams if exam.exam.day > end}
    death = patient.patient.outcome.death_day
    death_horizon = None if death is None else death - end
    return disease_control(assess(later, patient.grid.spacing_mm), death_horizon=death_horizon)
