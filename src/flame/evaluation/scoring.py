"""Score every model that may predict a site's patients, patient by patient."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from flame.evaluation.scores import EvolutionScore, ResponseScore
from flame.imaging.prepare import Context, PreparedExam, PreparedPatient, observed
from flame.learning.endpoint import is_responder
from flame.learning.targets import HORIZONS, targets
from flame.metrics.overlap import overlap
from flame.models.encoding import region_maps
from flame.models.prediction import EvolutionModel, ResponseModel
from flame.records.patient import REGIONS

__all__ = ["Predictor", "score_evolution", "score_response"]

Model = TypeVar("Model", EvolutionModel, ResponseModel)


@dataclass(frozen=True)
class Predictor(Generic[Model]):
    """A model and where it comes from: `trained` (none, local, federated, pooled), `origin` (a site or `trained`)."""

    name: str
    trained: str
    origin: str
    model: Model


def score_evolution(
    predictors: Sequence[Predictor[EvolutionModel]], site: str, patient: PreparedPatient, context: Context
) -> list[EvolutionScore]:
    """Score all predictors at all imaged horizons of a patient's first course.

    Maps are binary where the probability is at least one half. Baselines and networks are scored on the same voxels:
    those of the learning grid.

    Raises: DataError: if the patient lacks an exam that the context needs.
    """
    course = patient.courses[0]
    last = region_maps(_labels(observed(patient, course, context)[-1]))
    wanted = targets(patient, course, HORIZONS)
    found = []
    for predictor in predictors:
        predicted = predictor.model.predict_many(patient, course, [target.horizon for target in wanted])
        for target, maps in zip(wanted, predicted, strict=True):
            truth = region_maps(target.label_map)
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
                        horizon=target.nominal,
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
    predictors: Sequence[Predictor[ResponseModel]], site: str, patient: PreparedPatient, context: Context
) -> list[ResponseScore]:
    """Score all predictors of a patient's response; nothing if the endpoint is not known.

    Raises: DataError: if the patient lacks an exam that the context needs.
    """
    course = patient.courses[0]
    observed(patient, course, context)
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
