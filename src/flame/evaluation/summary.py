"""The content of `comparison.json`: tables out of scores, job histories and samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flame.evaluation.arm_summary import summarise_arms
from flame.evaluation.arms import arms_path
from flame.evaluation.evolution_summary import summarise_evolution
from flame.evaluation.goals import judge
from flame.evaluation.plan import ComparisonSettings, Training
from flame.evaluation.preparation import store_folder
from flame.evaluation.resampling import Resamples, draw
from flame.evaluation.response_summary import summarise_response
from flame.evaluation.scores import ArmScore, EvolutionScore, ResponseScore, read_scores
from flame.evaluation.site_scores import evolution_path, response_path
from flame.evaluation.support import arm_effects
from flame.evaluation.trainings import model_folder
from flame.federation.folder import history
from flame.imaging.prepare import Context
from flame.learning.samples import open_store
from flame.models.checkpoint import read_card
from flame.records.dataset import Site
from flame.seeds import stream

__all__ = ["summarise"]

Patients = list[tuple[str, str]]


def summarise(
    out: Path, settings: ComparisonSettings, sites: Sequence[Site], trainings: Sequence[Training]
) -> dict[str, Any]:
    """Everything that the report says, but versions and pictures; see docs/run-folder.md.

    Intervals are over the patients of held-out sites; matrices show all sites.
    """
    asked = {(question.task, question.context) for question in settings.questions}
    response = [_response(out, settings, sites, context) for task, context in sorted(asked) if task == "response"]
    evolution = [_evolution(out, settings, sites, context) for task, context in sorted(asked) if task == "evolution"]
    offered = {site.name: _offered(site) for site in sites}
    effects = arm_effects(offered)
    return {
        "settings": settings.model_dump(mode="json"),
        "sites": [_site(out, settings, site) for site in sites],
        "held_out": list(settings.held_out),
        "arm_effects": {"identified": effects.identified, "statement": effects.statement, "offered": offered},
        "goals": judge(response, evolution),
        "response": response,
        "evolution": evolution,
        "trainings": [_training(out, training) for training in trainings],
    }


def _offered(site: Site) -> dict[Any, int]:
    arms = [patient.courses[0].arm for patient in site.patients if patient.courses]
    return {arm: arms.count(arm) for arm in sorted(set(arms))}


def _site(out: Path, settings: ComparisonSettings, site: Site) -> dict[str, Any]:
    contexts = sorted({question.context for question in settings.questions})
    stores = {context: open_store(store_folder(out, site.name, context)) for context in contexts}
    excluded = [
        {"patient": patient, "reason": f"{context}: {reason}"}
        for context, store in stores.items()
        for patient, reason in store.excluded
    ]
    first = stores[contexts[-1]]
    return {
        "name": site.name,
        "patients": len(site.patients),
        "responders": int(np.nansum(first.responder)),
        "arms": _offered(site),
        "excluded": excluded,
    }


def _resamples(settings: ComparisonSettings, patients: Patients, context: Context) -> Resamples:
    generator = stream(settings.seed, "bootstrap", context)
    return draw([site for site, _ in patients], settings.replicates, generator)


def _response(out: Path, settings: ComparisonSettings, sites: Sequence[Site], context: Context) -> dict[str, Any]:
    tables = {site.name: read_scores(response_path(out, site.name, context), ResponseScore) for site in sites}
    everywhere = [score for scores in tables.values() for score in scores]
    unseen = [score for site in settings.held_out for score in tables[site]]
    patients = sorted({(score.site, score.patient) for score in unseen})
    found = summarise_response(unseen, patients, _resamples(settings, patients, context))
    everyone = sorted({(score.site, score.patient) for score in everywhere})
    whole = summarise_response(everywhere, everyone, draw([site for site, _ in everyone], 1, stream(0, "matrix")))
    return {"context": context, **found, "matrix": whole["matrix"]}


def _evolution(out: Path, settings: ComparisonSettings, sites: Sequence[Site], context: Context) -> dict[str, Any]:
    tables = {site.name: read_scores(evolution_path(out, site.name, context), EvolutionScore) for site in sites}
    everywhere = [score for scores in tables.values() for score in scores]
    unseen = [score for site in settings.held_out for score in tables[site]]
    patients = sorted({(score.site, score.patient) for score in unseen})
    resamples = _resamples(settings, patients, context)
    found = summarise_evolution(unseen, patients, resamples)
    everyone = sorted({(score.site, score.patient) for score in everywhere})
    whole = summarise_evolution(everywhere, everyone, draw([site for site, _ in everyone], 1, stream(0, "matrix")))
    arms = [one for site in settings.held_out for one in read_scores(arms_path(out, site, context), ArmScore)]
    by_arm = summarise_arms(arms, patients, resamples)
    return {"context": context, **found, "matrix": whole["matrix"], "arms": by_arm}


def _training(out: Path, training: Training) -> dict[str, Any]:
    card = read_card(model_folder(out, training))
    rounds = [
        {
            "round": report.round,
            "seconds": report.seconds,
            "sites": {
                site: {
                    "bytes_up": report.bytes_up.get(site, 0),
                    "bytes_down": report.bytes_down[site],
                    "scalars": dict(report.scalars.get(site, {})),
                }
                for site in report.bytes_down
            },
            "refused": dict(report.refused),
        }
        for report in history(out / "jobs" / training.name)
    ]
    return {
        "name": training.name,
        "sites": list(training.sites),
        "parameters": card.parameters,
        "samples": sum(card.samples.values()),
        "rounds": rounds,
    }
