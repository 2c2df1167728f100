"""Score every model that may predict a site's patients, patient by patient."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flame.evaluation.scores import EvolutionScore, ResponseScore
from flame.imaging.prepare import PreparedCourse, PreparedExam, PreparedPatient
from flame.learning.endpoint import is_responder
from flame.metrics.overlap import overlap
from flame.models.encoding import Context, region_maps, visible_exams
from flame.models.prediction import EvolutionModel, ResponseModel
from flame.records.patient import REGIONS

__all__ = ["HORIZONS", "Predictor", "score_evolution", "score_response", "targets"]

HORIZONS = (91, 182, 273, 365)
"""Horizons that are scored [days since the end of radiotherapy]."""

WINDOW_DAYS = 30
"""An exam counts for the horizon that it is nearest to, if it is no further away than this."""


@dataclass(frozen=True)
class Predictor:
    """A model and where it comes from: `trained` (none, local, federated, pooled), `origin` (a site or `trained`)."""

    name: str
    trained: str
    origin: str
    model: EvolutionModel | ResponseModel


def targets(patient: PreparedPatient, course: PreparedCourse) -> Iterator[tuple[int, int, PreparedExam]]:
    """Nominal horizon, true horizon [days since the end of the course] and exam, for each horizon that was imaged."""
    for nominal in HORIZONS:
        days = [(abs(exam.exam.day - course.course.end_day - nominal), exam) for exam in patient.exams]
        near = [(away, exam) for away, exam in days if away <= WINDOW_DAYS and exam.label_map is not None]
        if near:
            exam = min(near, key=lambda pair: pair[0])[1]
            yield nominal, exam.exam.day - course.course.end_day, exam


def score_evolution(
    predictors: Sequence[Predictor], site: str, patient: PreparedPatient, context: Context
) -> list[EvolutionScore]:
    """Score all predictors at all imaged horizons of a patient's first course.

    Maps are binary where the probability is at least one half. Baselines and networks are scored on the same voxels:
    those of the learning grid.

    Raises: DataError: if the patient lacks an exam that the context needs.
    """
    course = patient.courses[0]
    last = region_maps(_labels(visible_exams(patient, course, context)[-1]))
    wanted = list(targets(patient, course))
    found = []
    for predictor in predictors:
        predicted = predictor.model.predict_many(patient, course, [day for _, day, _ in wanted])
        for (nominal, _, exam), maps in zip(wanted, predicted, strict=True):
            truth = region_maps(_labels(exam))
            for number, region in enumerate(REGIONS):
                result = overlap(maps[number] >= 0.5, truth[number], patient.grid.spacing_mm, last[number])
                found.append(
                    EvolutionScore(
                        context=context,
                        model=predictor.name,
                        trained=predictor.trained,
                        origin=predictor.origin,
                        site=site,
                        patient=patient.patient.id,
                        horizon=nominal,
                        region=region,
                        dice=result.dice,
                        hd95=result.hd95_mm,
                        surface_dice=result.surface_dice,
                        change_dice=result.change_dice,
                        volume_ml=result.volume_ml,
                        true_volume_ml=result.true_volume_ml,
                    )
                )
    return found


def score_response(
    predictors: Sequence[Predictor], site: str, patient: PreparedPatient, context: Context
) -> list[ResponseScore]:
    """Score all predictors of a patient's response; nothing if the endpoint is not known.

    Raises: DataError: if the patient lacks an exam that the context needs.
    """
    course = patient.courses[0]
    visible_exams(patient, course, context)
    responder = is_responder(patient, course)
    if responder is None:
        return []
    return [
        ResponseScore(
            context=context,
            model=predictor.name,
            trained=predictor.trained,
            origin=predictor.origin,
            site=site,
            patient=patient.patient.id,
            responder=responder,
            probability=predictor.model.predict(patient, course, 182),
        )
        for predictor in predictors
    ]


def _labels(exam: PreparedExam) -> NDArray[np.uint8]:
    assert exam.label_map is not None
    return exam.label_map
