"""The response endpoint of a prepared patient."""

import numpy as np

from flame.imaging.prepare import PreparedCourse, PreparedPatient
from flame.rano.endpoints import Assessment, disease_control
from flame.records.patient import LABELS

__all__ = ["is_responder"]


def is_responder(patient: PreparedPatient, course: PreparedCourse) -> bool | None:
    """Disease control 182 days after the end of the course; None if it is not known."""
    end = course.course.end_day
    voxel_ml = float(np.prod(patient.grid.spacing_mm)) / 1000
    assessments = [
        Assessment(exam.exam.day - end, float((exam.label_map == LABELS["ET"]).sum()) * voxel_ml)
        for exam in patient.exams
        if exam.label_map is not None and exam.exam.day > end
    ]
    death = patient.patient.outcome.death_day
    return disease_control(assessments, death_horizon=None if death is None else death - end)
