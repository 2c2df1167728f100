"""Predict one patient with trained models: maps on the patient's own grid, a summary and a picture's content."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.evaluation.arms import ArmsPredicted, describe_arms, given_course, predict_arms
from flame.evaluation.counterfactual import planned_courses
from flame.evaluation.pictures import evolution_arrays
from flame.imaging.cube import resample
from flame.imaging.prepare import PreparedPatient, observed, prepare_patient
from flame.models.checkpoint import ModelCard, load_evolution, load_response
from flame.models.encoding import encode
from flame.models.familiarity import Familiarity, judge
from flame.models.networks import NetworkResponse
from flame.models.prediction import Maps
from flame.records.dataset import Site
from flame.records.patient import REGIONS, Arm, Course, Patient
from flame.records.volume import Grid, Volume, read_volume, write_volume

__all__ = ["PatientPrediction", "find_patient", "predict_patient", "write_maps"]

HALF_A_YEAR = 182


@dataclass(frozen=True, eq=False)
class PatientPrediction:
    """What `flame predict` writes: the maps by arm and horizon, their grids, the facts, and a slice of each."""

    patient: PreparedPatient
    native: Grid
    maps: dict[tuple[Arm, int], Maps]
    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def find_patient(site: Site, patient_id: str) -> Patient:
    """The patient of this id, with or without `sub-`.

    Raises: DataError: if the site has no such patient.
    """
    wanted = patient_id.removeprefix("sub-")
    for patient in site.patients:
        if patient.id == wanted:
            return patient
    raise DataError(f"{site.name} has no patient {wanted!r}", "Look in participants.tsv for the ids there are.")


def predict_patient(
    model_folder: Path,
    site: Site,
    patient_id: str,
    arms: Sequence[Arm],
    horizons: Sequence[int],
    response_folder: Path | None = None,
) -> PatientPrediction:
    """Predict where a patient's tumour will be under each arm, and whether the patient will respond.

    A patient without a course is predicted under `counterfactual.assumed_course`, and the facts say so.

    Args:
        model_folder: of an evolution model.
        site: the patient's site.
        patient_id: with or without `sub-`.
        arms: to predict; those that were not delivered are planned by physics.
        horizons: days since the end of the course.
        response_folder: of a response model, if that question is asked too.

    Raises: DataError, ConfigError: as `load_evolution`, `load_response`, `prepare_patient`, `planned_courses` and
        `predict_arms`.
    """
    model, card = load_evolution(model_folder)
    response = None if response_folder is None else load_response(response_folder)
    record = find_patient(site, patient_id)
    patient = prepare_patient(record, card.crop)
    courses = planned_courses(patient, given_course(patient), arms)
    predicted = predict_arms(model, card.offered, patient, courses, horizons)
    facts = describe_arms(site.name, card.trained, patient, card.context, predicted, {})
    facts["course"] = "delivered" if record.courses else _assumed(predicted.given)
    facts["model"] = _model(card)
    facts["regions_unknown"] = sorted({region for exam in record.exams for region in exam.unknown_regions})
    facts["familiarity"] = _familiarity(patient, predicted, card)
    if response is not None:
        facts["response"] = _response(*response, record, predicted)
    facts["intended_use"] = card.intended_use
    last = observed(patient, next(iter(predicted.courses.values())), card.context)[-1]
    assert last.exam.label_map is not None
    arrays = evolution_arrays(patient, last, predicted.maps, {})
    maps = {(arm, horizon): of for arm, at in predicted.maps.items() for horizon, of in at.items()}
    return PatientPrediction(patient, read_volume(last.exam.label_map).grid, maps, facts, arrays)


def _assumed(course: Course) -> str:
    return (
        f"no course on record; assumed: {course.prescription_gy:g} Gy in {course.fractions} fractions from day "
        f"{course.start_day}, and the other arms that follow from it"
    )


def _model(card: ModelCard) -> dict[str, Any]:
    return {"name": card.model, "trained": card.trained, "sites": sorted(card.samples), "flame": card.flame}


def _familiarity(patient: PreparedPatient, predicted: ArmsPredicted, card: ModelCard) -> dict[str, Any]:
    """Whether the patient is like the model's training data, in words and figures."""
    if card.inputs is None:
        return {"unlike_training": None, "statement": "The model does not say what its training patients looked like."}
    course = predicted.courses.get(predicted.given.arm) or next(iter(predicted.courses.values()))
    found = judge(encode(patient, course, card.context), card.context, card.inputs)
    outside = [{"input": one.name, "deviations": round(one.deviations, 1)} for one in found.outside]
    statement = f"This patient is unlike the {card.inputs.patients} training patients: {_words(found)}."
    if not found.unlike:
        statement = f"This patient is within what the {card.inputs.patients} training patients looked like."
    return {"unlike_training": found.unlike, "statement": statement, "outside": outside}


def _words(found: Familiarity) -> str:
    """What is unknown here and was known in training, then what lies farthest outside."""
    unknown = [one.name.removesuffix("_unknown") for one in found.outside if one.name.endswith("_unknown")]
    other = [
        f"{one.name.replace('_', ' ')} {one.deviations:.1f} SD away"
        for one in found.outside
        if one.name.removesuffix("_unknown") not in unknown and not any(one.name.startswith(name) for name in unknown)
    ]
    parts = [f"not known: {', '.join(name.replace('_', ' ') for name in unknown)}"] if unknown else []
    return "; ".join([*parts, *other[:3]])


def _response(model: NetworkResponse, card: ModelCard, record: Patient, predicted: ArmsPredicted) -> dict[str, Any]:
    """The probability of response under each arm, and whether the response model knows such patients."""
    patient = prepare_patient(record, card.crop)
    probability = {
        arm: round(model.predict(patient, course, HALF_A_YEAR), 4) for arm, course in predicted.courses.items()
    }
    return {
        "probability": probability,
        "endpoint": "disease control half a year after radiotherapy",
        "model": _model(card),
        "familiarity": _familiarity(patient, predicted, card),
    }


def write_maps(folder: Path, prediction: PatientPrediction) -> list[Path]:
    """Write each map as NIfTI probabilities on the patient's own grid; zero outside the learning grid."""
    written = []
    for (arm, horizon), maps in prediction.maps.items():
        for region, values in zip(REGIONS, maps, strict=True):
            native = resample(Volume(values, prediction.patient.grid), prediction.native).astype(np.float32)
            path = folder / f"sub-{prediction.patient.patient.id}_arm-{arm}_day-{horizon}_{region}_probseg.nii.gz"
            write_volume(path, Volume(np.clip(native, 0, 1), prediction.native), step=1e-4)
            written.append(path)
    return written
