"""Every arm for every patient of a held-out site: predictions by the federated model, scores where truth is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.evaluation.counterfactual import assumed_course, planned_course
from flame.evaluation.pictures import Outcomes, evolution_arrays, keep_evolution
from flame.evaluation.plan import ComparisonSettings, QuestionSettings, Training
from flame.evaluation.scores import ArmScore, write_scores
from flame.evaluation.support import Offered, support
from flame.evaluation.trainings import model_folder
from flame.imaging.cube import resample
from flame.imaging.prepare import Context, PreparedCourse, PreparedPatient, observed, prepare_patient
from flame.learning.targets import HORIZONS
from flame.metrics.overlap import dice, volume_ml
from flame.models.checkpoint import load_evolution
from flame.models.encoding import region_maps
from flame.models.prediction import EvolutionModel, Maps
from flame.records.dataset import read_site
from flame.records.patient import ARMS, REGIONS, Arm, Course
from flame.records.volume import read_volume
from flame.workers import Emit

__all__ = [
    "ArmsOrder",
    "ArmsPredicted",
    "arms_path",
    "describe_arms",
    "potential_outcomes",
    "predict_arms",
    "score_arms",
]

PICTURES_PER_SITE = 2


@dataclass(frozen=True)
class ArmsOrder:
    """A held-out site, the question whose federated model predicts it, and its part of the truth, if there is one."""

    out: Path
    settings: ComparisonSettings
    question: QuestionSettings
    folder: Path
    site: str
    sites: tuple[str, ...]
    truth: Path | None

    @property
    def training(self) -> Training:
        """The federated training that never saw the site."""
        others = tuple(site for site in self.sites if site != self.site)
        return Training(self.question, "federated", others, self.site)


@dataclass(frozen=True, eq=False)
class ArmsPredicted:
    """Maps by arm and horizon, the course of each arm, and on what each rests.

    `given` is the course that was delivered, or assumed where there is none.
    """

    given: Course
    maps: Mapping[Arm, Mapping[int, Maps]]
    courses: Mapping[Arm, PreparedCourse]
    support: Mapping[Arm, str]


def arms_path(out: Path, site: str, context: Context) -> Path:
    """The table of arm scores of a site."""
    return out / "scores" / f"arms-{context}-{site}.csv"


def predict_arms(
    model: EvolutionModel,
    offered: Offered,
    patient: PreparedPatient,
    arms: Sequence[Arm] = ARMS,
    horizons: Sequence[int] = HORIZONS,
) -> ArmsPredicted:
    """Predict a patient's first course under each arm; arms that were not delivered are planned by physics.

    The exams are those that were seen under the delivered arm, also where they come after radiotherapy. A patient
    without a course is predicted under `assumed_course`, and under the other arms that follow from it.

    Args:
        model: an evolution model.
        offered: arms at the sites that it was trained on.
        patient: whose exams the model's context needs.
        arms: to predict, at least one.
        horizons: days since the end of each arm's course.

    Raises: DataError: if an exam that the model needs is missing, or no plan can be made.
    """
    given = patient.courses[0].course if patient.courses else assumed_course(patient)
    delivered = given.arm if patient.courses else None
    courses = {arm: planned_course(patient, given, arm) for arm in arms}
    maps = {
        arm: dict(zip(horizons, model.predict_many(patient, course, horizons), strict=True))
        for arm, course in courses.items()
    }
    return ArmsPredicted(given, maps, courses, {arm: support(arm, delivered, offered) for arm in arms})


def score_arms(order: ArmsOrder, emit: Emit) -> None:
    """Predict a held-out site's patients under all arms, keep scores and a few pictures; emits the site's name."""
    context = order.question.context
    path = arms_path(order.out, order.site, context)
    if not path.exists():
        model, card = load_evolution(model_folder(order.out, order.training))
        scores: list[ArmScore] = []
        pictures = 0
        for record in read_site(order.folder).patients:
            truth = None if order.truth is None else order.truth / record.id
            if truth is None and pictures >= PICTURES_PER_SITE:
                break
            try:
                patient = prepare_patient(record, order.settings.crop)
                predicted = predict_arms(model, card.offered, patient)
            except DataError:
                continue  # excluded, and listed as such, when the samples were prepared
            outcomes = potential_outcomes(truth, patient)
            scores += _scores(order.site, context, patient, predicted, outcomes)
            if pictures < PICTURES_PER_SITE:
                _keep(order, patient, predicted, outcomes)
                pictures += 1
        write_scores(path, scores)
    emit(f"{order.site} {context}")


def potential_outcomes(truth: Path | None, patient: PreparedPatient) -> Outcomes:
    """Label maps under each simulated arm, on the patient's grid, from a virtual trial's truth about this patient."""
    if truth is None or not truth.is_dir():
        return {}
    paths = {(arm, horizon): truth / f"{arm}_{horizon}_dseg.nii.gz" for arm in ARMS for horizon in HORIZONS}
    return {
        key: resample(read_volume(path), patient.grid, nearest=True).astype(np.uint8)
        for key, path in paths.items()
        if path.exists()
    }


def _scores(
    site: str, context: Context, patient: PreparedPatient, predicted: ArmsPredicted, outcomes: Outcomes
) -> list[ArmScore]:
    delivered = patient.courses[0]
    last_map = observed(patient, delivered, context)[-1].label_map
    assert last_map is not None
    last = region_maps(last_map)
    found = []
    for (arm, horizon), labels in outcomes.items():
        if horizon not in predicted.maps.get(arm, {}):
            continue
        maps, truth = predicted.maps[arm][horizon], region_maps(labels)
        for number, region in enumerate(REGIONS):
            found.append(
                ArmScore(
                    context=context,
                    site=site,
                    patient=patient.patient.id,
                    arm=arm,
                    delivered=arm == delivered.course.arm,
                    support=predicted.support[arm],
                    horizon=horizon,
                    region=region,
                    dice=dice(maps[number] >= 0.5, truth[number]),
                    persistence=dice(last[number], truth[number]),
                )
            )
    return found


def describe_arms(
    site: str, training: str, patient: PreparedPatient, context: Context, predicted: ArmsPredicted, outcomes: Outcomes
) -> dict[str, Any]:
    """Volumes and prescriptions of what was predicted and observed, as `pictures/evolution-*.json` holds them."""
    course = patient.courses[0] if patient.courses else next(iter(predicted.courses.values()))
    exams = observed(patient, course, context)
    spacing = patient.grid.spacing_mm

    def volumes(regions: NDArray[np.bool_]) -> dict[str, float]:
        return {region: round(volume_ml(mask, spacing), 3) for region, mask in zip(REGIONS, regions, strict=True)}

    seen = [volumes(region_maps(exam.label_map)) for exam in exams if exam.label_map is not None]
    arms = {}
    for arm, horizons in predicted.maps.items():
        foreseen = [volumes(maps >= 0.5) for maps in horizons.values()]
        true = [volumes(region_maps(outcomes[arm, h])) if (arm, h) in outcomes else None for h in horizons]
        given = predicted.courses[arm].course
        arms[arm] = {
            "support": predicted.support[arm],
            "predicted_ml": {region: [at[region] for at in foreseen] for region in REGIONS},
            "true_ml": {region: [None if at is None else at[region] for at in true] for region in REGIONS},
            "prescription_gy": given.prescription_gy,
            "fractions": given.fractions,
            "rbe_model": given.rbe_model,
        }
    return {
        "patient": patient.patient.id,
        "site": site,
        "context": context,
        "arm": predicted.given.arm if patient.courses else None,
        "training": training,
        "horizons": list(next(iter(predicted.maps.values()))),
        "observed": {
            "horizons": [exam.exam.day - predicted.given.end_day for exam in exams],
            "volumes_ml": {region: [at[region] for at in seen] for region in REGIONS},
        },
        "arms": arms,
    }


def _keep(order: ArmsOrder, patient: PreparedPatient, predicted: ArmsPredicted, outcomes: Outcomes) -> None:
    context = order.question.context
    last = observed(patient, patient.courses[0], context)[-1]
    arrays = evolution_arrays(patient, last, predicted.maps, outcomes)
    facts = describe_arms(order.site, order.training.name, patient, context, predicted, outcomes)
    keep_evolution(order.out / "pictures", order.site, patient, arrays, facts)
