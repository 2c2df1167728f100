"""A site's part once the rounds are over: it scores models, and, where the job says so, trains one alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import with_config

from flame.errors import UpdateRejected
from flame.federation.folder import encode_model
from flame.federation.job import FedAvg, job_hash
from flame.federation.messages import WIRE
from flame.federation.rounds import State, close_round, first_state
from flame.federation.steps import Participant, answer
from flame.federation.update import LocalScore, Update, decode, difference
from flame.site.entries import digest

__all__ = ["NOBODY", "ModelScore", "Scorer", "check_score", "scored", "trained_alone"]

NOBODY = "too few patients are held back here to score a model"
"""What a site says that scores nothing."""


@with_config(WIRE)
@dataclass(frozen=True)
class ModelScore:
    """What a site says of a model.

    Args:
        job: hash of the job.
        site: who says it.
        model: SHA-256 of the model, see `folder.encode_model`.
        score: 0 to 1, larger is better.
        patients: number of patients held back, whose mean the score is.
    """

    job: str
    site: str
    model: str
    score: float
    patients: int


@runtime_checkable
class Scorer(Protocol):
    """A participant that can score models; others take part in the rounds alone."""

    def score(self, arrays: Mapping[str, NDArray[np.float32]], /) -> LocalScore | None:
        """How good a model is on the patients held back; None if too few are."""
        ...


def scored(participant: Participant, site: str, state: State) -> ModelScore | None:
    """What the site says of the model in `state`; None if it scores none."""
    if not isinstance(participant, Scorer):
        return None
    found = participant.score({name: array.copy() for name, array in state.arrays.items()})
    if found is None:
        return None
    return ModelScore(job_hash(state.job), site, digest(encode_model(state.arrays)), found.score, found.patients)


def check_score(content: ModelScore, state: State, site: str) -> None:
    """Refuse a score that is not this site's, of the model in `state`, or can't be one.

    Raises: UpdateRejected: the message names the first reason.
    """
    what = (content.job, content.site, content.model)
    if what != (job_hash(state.job), site, digest(encode_model(state.arrays))):
        raise UpdateRejected("the score is of another job, site or model", "Look at the site.")
    if not 0.0 <= content.score <= 1.0 or content.patients < 1:
        raise UpdateRejected(f"score = {content.score:.6g} of {content.patients} patients is none", "Look at the site.")


def trained_alone(participant: Participant, site: str, state: State) -> Update:
    """The model that the site gets without the others, by a job of its own with all rounds (ADR 7).

    Args:
        participant: the site's training.
        site: its name.
        state: with the model that the job began with.

    Returns: what all rounds together have changed, as an update of the round of `state`.
    """
    limits = state.job.limits.model_copy(update={"quorum": 1})
    now = first_state(state.job.model_copy(update={"limits": limits, "aggregation": FedAvg()}), (site,), state.arrays)
    samples = 0
    while now.round < now.job.rounds:
        update = decode(answer(participant, site, now))
        samples, now = update.samples, close_round(now, [update])
    changed = difference(now.arrays, state.arrays)
    return Update(job_hash(state.job), site, state.round, changed, samples, {})
