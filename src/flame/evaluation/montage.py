"""One patient of every site as the trial shows them: every exam, every sequence, every arm that was simulated."""

from dataclasses import dataclass
from pathlib import Path

from flame.errors import DataError
from flame.evaluation.arms import potential_outcomes
from flame.evaluation.pictures import keep_montage
from flame.imaging.cube import Crop
from flame.imaging.prepare import prepare_patient
from flame.learning.endpoint import is_responder
from flame.records.dataset import read_site
from flame.workers import Emit

__all__ = ["MontageOrder", "make_montage"]


@dataclass(frozen=True)
class MontageOrder:
    """A site, the learning grid, and its part of a virtual trial's truth, if there is one."""

    out: Path
    crop: Crop
    folder: Path
    truth: Path | None


def make_montage(order: MontageOrder, emit: Emit) -> None:
    """Keep slices of the patient with most exams, the first of several; emits the site's name."""
    site = read_site(order.folder)
    for record in sorted(site.patients, key=lambda patient: -len(patient.exams)):
        try:
            patient = prepare_patient(record, order.crop)
        except DataError:
            continue
        if patient.courses:
            course = patient.courses[0]
            truth = None if order.truth is None else order.truth / record.id
            outcomes = potential_outcomes(truth, patient)
            responder = is_responder(patient, course)
            keep_montage(order.out / "pictures", site.name, patient, course, responder, outcomes)
            break
    emit(site.name)
