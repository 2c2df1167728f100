"""Every arm for every patient of a held-out site: predictions by the federated model, scores where truth is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.evaluation.counterfactual import assumed_course, planned_courses
from flame.evaluation.pictures import Outcomes, evolution_arrays, keep_evolution
from flame.evaluation.plan import ComparisonSettings, QuestionSettings, Training
from flame.evaluation.scores import ArmScore, write_scores
from flame.evaluation.support import Offered, support
from flame.evaluation.trainings import model_folder
from flame.imaging.cube import resample
from flame.imaging.prepare import CONTEXTS, Context, PreparedCourse, PreparedPatient, observed, prepare_patient
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
    "given_course",
    "potential_outcomes",
    "predict_arms",
    "score_arms",
]

PICTURES_PER_SITE = 2


@dataclass(frozen=True)
class ArmsOrder:
    """A held-out site, and its part of the truth, if there is one."""

    out: Path
    settings: ComparisonSettings
    folder: Path
    site: str
    sites: tuple[str, ...]
    truth: Path | None

    def training(self, question: QuestionSettings) -> Training:
        """The federated training that never saw the site."""
        others = tuple(site for site in self.sites if site != self.site)
        return Training(question, "federated", others, self.site)


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


def given_course(patient: PreparedPatient) -> Course:
    """The patient's first course, or `assumed_course` where there is none."""
    return patient.courses[0].course if patient.courses else assumed_course(patient)


def predict_arms(
    model: EvolutionModel,
    offered: Offered,
    patient: PreparedPatient,
    courses: Mapping[Arm, PreparedCourse],
    horizons: Sequence[int] = HORIZONS,
) -> ArmsPredicted:
    """Predict a patient under each arm of `courses`.

    The exams are those that were seen under the delivered arm, also where they come after radiotherapy.

    Args:
        model: an evolution model.
        offered: arms at the sites that it was trained on.
        patient: whose exams the model's context needs.
        courses: of `planned_courses` for the `given_course`, at least one.
        horizons: days since the end of each arm's course.

    Raises: DataError: if an exam that the model needs is missing.
    """
    delivered = patient.courses[0].course.arm if patient.courses else None
    maps = {
        arm: dict(zip(horizons, model.predict_many(patient, course, horizons), strict=True))
        for arm, course in courses.items()
    }
    rests_on = {arm: support(arm, delivered, offered) for arm in courses}
    return ArmsPredicted(given_course(patient), maps, courses, rests_on)


def score_arms(order: ArmsOrder, emit: Emit) -> None:
    """Predict a held-out site's patients under all arms, keep scores and a few pictures; emits the site's name.

    Every context predicts the same plans, which are made once for each patient. Pictures are of the latest context.
    """
    questions = [question for question in order.settings.questions if question.task == "evolution"]
    latest = max(questions, key=lambda question: CONTEXTS.index(question.context))
    missing = [question for question in questions if not arms_path(order.out, order.site, question.context).exists()]
    tables = [_Table(order, question, PICTURES_PER_SITE if question is latest else 0) for question in missing]
    for record in read_site(order.folder).patients if tables else ():
        truth = None if order.truth is None else order.truth / record.id
        if truth is None and not any(table.pictures_to_keep for table in tables):
            break
        try:
            patient = prepare_patient(record, order.settings.crop)
            courses = planned_courses(patient, given_course(patient), ARMS)
        except DataError:
            continue  # excluded, and listed as such, when the samples were prepared
        outcomes = potential_outcomes(truth, patient)
        for table in tables:
            table.add(patient, courses, outcomes)
    for table in tables:
        write_scores(table.path, table.scores)
    emit(order.site)


class _Table:
    """The scores of a site's patients by the federated model of one question, and pictures of the first few."""

    def __init__(self, order: ArmsOrder, question: QuestionSettings, pictures: int) -> None:
        self.order = order
        self.context = question.context
        self.training = order.training(question)
        self.path = arms_path(order.out, order.site, question.context)
        self.model, self.card = load_evolution(model_folder(order.out, self.training))
        self.scores: list[ArmScore] = []
        self.pictures_to_keep = pictures

    def add(self, patient: PreparedPatient, courses: Mapping[Arm, PreparedCourse], outcomes: Outcomes) -> None:
        """Score a patient; one who lacks an exam of this context has no row."""
        try:
            predicted = predict_arms(self.model, self.card.offered, patient, courses)
        except DataError:
            return  # excluded, and listed as such, when the samples were prepared
        self.scores += _scores(self.order.site, self.context, patient, predicted, outcomes)
        if self.pictures_to_keep:
            self._keep(patient, predicted, outcomes)
            self.pictures_to_keep -= 1

    def _keep(self, patient: PreparedPatient, predicted: ArmsPredicted, outcomes: Outcomes) -> None:
        last = observed(patient, patient.courses[0], self.context)[-1]
        arrays = evolution_arrays(patient, last, predicted.maps, outcomes)
        facts = describe_arms(self.order.site, self.training.name, patient, self.context, predicted, outcomes)
        keep_evolution(self.order.out / "pictures", self.order.site, patient, arrays, facts)


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
