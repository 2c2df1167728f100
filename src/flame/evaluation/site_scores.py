"""Let every model that never saw a site predict its patients, and keep the scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flame.errors import DataError
from flame.evaluation.plan import ComparisonSettings, QuestionSettings, Training
from flame.evaluation.scores import EvolutionScore, ResponseScore, write_scores
from flame.evaluation.scoring import Predictor, score_evolution, score_response
from flame.evaluation.trainings import model_folder
from flame.imaging.prepare import Context, prepare_patient
from flame.models.baselines import BASELINES
from flame.models.checkpoint import load_model
from flame.models.prediction import EvolutionModel, ResponseModel
from flame.records.dataset import read_site
from flame.workers import Emit

__all__ = ["ScoringOrder", "evolution_path", "predictors_for", "response_path", "score_site"]


@dataclass(frozen=True)
class ScoringOrder:
    """A site whose patients are predicted in one context, within the comparison in `out` of all `sites`."""

    out: Path
    settings: ComparisonSettings
    folder: Path
    site: str
    context: Context
    sites: tuple[str, ...]


def response_path(out: Path, site: str, context: Context) -> Path:
    """The table of response scores of a site."""
    return out / "scores" / f"response-{context}-{site}.csv"


def evolution_path(out: Path, site: str, context: Context) -> Path:
    """The table of evolution scores of a site."""
    return out / "scores" / f"evolution-{context}-{site}.csv"


def score_site(order: ScoringOrder, emit: Emit) -> None:
    """Score every model that may predict this site's patients, unless that was done before; emits the site's name."""
    paths = response_path(order.out, order.site, order.context), evolution_path(order.out, order.site, order.context)
    if not all(path.exists() for path in paths):
        response: list[Predictor[ResponseModel]] = []
        evolution: list[Predictor[EvolutionModel]] = []
        for question in order.settings.questions:
            if question.context == order.context:
                found = predictors_for(order.out, question, order.site, order.sites, order.settings.held_out)
                (response if question.task == "response" else evolution).extend(found)
        if evolution:
            evolution += [Predictor(name, "none", "none", make(order.context)) for name, make in BASELINES.items()]
        responses, evolutions = _scores(order, response, evolution)
        write_scores(paths[0], responses)
        write_scores(paths[1], evolutions)
    emit(f"{order.site} {order.context}")


def predictors_for(
    out: Path, question: QuestionSettings, site: str, sites: Sequence[str], held_out: Sequence[str]
) -> list[Predictor[Any]]:
    """The trained models of a question that never saw `site`: all other sites' own, and federated and pooled if any."""
    trainings = [Training(question, "local", (other,)) for other in sites if other != site]
    if site in held_out:
        others = tuple(other for other in sites if other != site)
        trainings += [Training(question, "federated", others, site), Training(question, "pooled", others, site)]
    found: list[Predictor[Any]] = []
    for training in trainings:
        model, _ = load_model(model_folder(out, training))
        origin = training.sites[0] if training.kind == "local" else training.kind
        found.append(Predictor[Any](question.model, training.kind, origin, model))
    return found


def _scores(
    order: ScoringOrder, response: Sequence[Predictor[ResponseModel]], evolution: Sequence[Predictor[EvolutionModel]]
) -> tuple[list[ResponseScore], list[EvolutionScore]]:
    responses: list[ResponseScore] = []
    evolutions: list[EvolutionScore] = []
    for record in read_site(order.folder).patients:
        try:
            patient = prepare_patient(record, order.settings.crop)
            responses += score_response(response, order.site, patient, order.context)
            evolutions += score_evolution(evolution, order.site, patient, order.context)
        except DataError:
            continue  # excluded, and listed as such, when the samples were prepared
    return responses, evolutions
