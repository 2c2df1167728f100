"""Run the trainings of a comparison: each a job of its own, resumable, ending in a model with its card."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flame.evaluation.plan import ComparisonSettings, Training
from flame.federation import embedded
from flame.federation.folder import read_model
from flame.federation.local import SiteTraining, initial_arrays
from flame.imaging.prepare import Context
from flame.learning.samples import SampleStore, open_store
from flame.models.checkpoint import ModelCard, save_model
from flame.models.encoding import scalar_names, volume_names
from flame.models.familiarity import features, summarise

__all__ = ["TrainingOrder", "TrainingProgress", "model_folder", "run_training"]


@dataclass(frozen=True)
class TrainingOrder:
    """A training with the run folder and the sample stores (by site) that it uses."""

    training: Training
    settings: ComparisonSettings
    folder: Path
    stores: Mapping[str, Path]


@dataclass(frozen=True)
class TrainingProgress:
    """A closed round: the training's name, rounds done and in all, the mean loss of its sites."""

    training: str
    done: int
    rounds: int
    loss: float


def model_folder(folder: Path, training: Training) -> Path:
    """Where a comparison in `folder` keeps the finished model of a training."""
    return folder / "models" / training.name


def run_training(order: TrainingOrder, emit: Callable[[TrainingProgress], None]) -> None:
    """Run a training to its end, going on where it stood; a finished one is left alone."""
    training, target = order.training, model_folder(order.folder, order.training)
    if (target / "model.json").exists():
        return
    job = training.job(order.settings)
    stores = {site: order.stores[site] for site in training.sites}
    if training.kind == "pooled":
        participants = {"pooled": SiteTraining(job, "pooled", tuple(stores.values()))}
    else:
        participants = {site: SiteTraining(job, site, (store,)) for site, store in stores.items()}
    job_folder = order.folder / "jobs" / training.name
    initial = initial_arrays(job)
    for report in embedded.run(job, participants, job_folder, initial):
        losses = [scalars["loss"] for scalars in report.scalars.values() if "loss" in scalars]  # noise hides it
        loss = sum(losses) / len(losses) if losses else math.nan
        emit(TrainingProgress(training.name, report.round + 1, job.rounds, loss))
    _, arrays = read_model(job_folder)
    opened = {site: open_store(store) for site, store in stores.items()}
    card = ModelCard(
        task=job.task,
        model=job.model,
        context=job.context,
        crop=job.crop,
        trained=training.kind,
        samples={site: len(store.patients) for site, store in opened.items()},
        offered={site: store.offered() for site, store in opened.items()},
        rounds=job.rounds,
        parameters=sum(array.size for array in arrays.values()),
        inputs=summarise((row for store in opened.values() for row in _features(store, job.context)), job.context),
        channels=volume_names(job.context),
        scalars=scalar_names(job.context),
    )
    save_model(target, arrays, card)


def _features(store: SampleStore, context: Context) -> Iterator[NDArray[np.float64]]:
    """What the training patients of a site look like to a model."""
    for halved, scalars in zip(store.halved, store.scalars, strict=True):
        yield features(scalars, halved, context)
