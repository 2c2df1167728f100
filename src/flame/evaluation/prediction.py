"""Predict one patient with a trained model: maps on the patient's own grid, a summary and a picture's content."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.evaluation.arms import describe_arms, predict_arms
from flame.evaluation.pictures import evolution_arrays
from flame.imaging.cube import resample
from flame.imaging.prepare import PreparedPatient, observed, prepare_patient
from flame.models.checkpoint import load_evolution
from flame.models.prediction import Maps
from flame.records.dataset import Site
from flame.records.patient import REGIONS, Arm, Patient
from flame.records.volume import Grid, Volume, read_volume, write_volume

__all__ = ["PatientPrediction", "find_patient", "predict_patient", "write_maps"]


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
    model_folder: Path, site: Site, patient_id: str, arms: Sequence[Arm], horizons: Sequence[int]
) -> PatientPrediction:
    """Predict where a patient's tumour will be under each arm.

    Args:
        model_folder: of an evolution model.
        site: the patient's site.
        patient_id: with or without `sub-`.
        arms: to predict; those that were not delivered are planned by physics.
        horizons: days since the end of the course.

    Raises: DataError, ConfigError: as `load_evolution`, `prepare_patient` and `predict_arms`.
    """
    model, card = load_evolution(model_folder)
    record = find_patient(site, patient_id)
    if not record.courses:
        raise DataError(f"Patient {record.id} has no radiotherapy course", "Add the course to the site's tables.")
    patient = prepare_patient(record, card.crop)
    predicted = predict_arms(model, card.offered, patient, arms, horizons)
    facts = describe_arms(site.name, card.trained, patient, card.context, predicted, {})
    facts["model"] = {"name": card.model, "trained": card.trained, "sites": sorted(card.samples), "flame": card.flame}
    facts["intended_use"] = card.intended_use
    last = observed(patient, patient.courses[0], card.context)[-1]
    assert last.exam.label_map is not None
    arrays = evolution_arrays(patient, last, predicted.maps, {})
    maps = {(arm, horizon): of for arm, at in predicted.maps.items() for horizon, of in at.items()}
    return PatientPrediction(patient, read_volume(last.exam.label_map).grid, maps, facts, arrays)


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
