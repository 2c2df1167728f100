"""What is guaranteed: an update that passes every check and is meant to spoil the model can do so under a mean, and not
under a median or a trimmed mean. No value of their step leaves the range of the honest sites' values, and the model
stays as good. Not guaranteed: anything where half of the sites are poisoned, or more than are trimmed.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tests.federation import logistic

from flame.federation.embedded import run
from flame.federation.folder import read_model
from flame.federation.job import Aggregation, FedAvg, Job, Median, TrimmedMean
from flame.federation.rounds import close_round, first_state
from flame.federation.steps import answer
from flame.federation.update import LocalResult, decode

POISONED = "site-3"
SIZE = 49.0
"""Norm of the poisoned update; the job allows 50, and the honest ones have at most about 1."""

ROBUST = [Median(), TrimmedMean(trim=0.25)]


@dataclass(frozen=True)
class Poisoned:
    """Trains as `site` does and sends the opposite, as far as the bound allows."""

    site: logistic.LogisticSite

    def __call__(self, arrays, round):
        before = {name: array.copy() for name, array in arrays.items()}
        trained = self.site(arrays, round)
        change = {name: trained.arrays[name].astype(float) - array for name, array in before.items()}
        size = np.sqrt(sum(np.square(array).sum() for array in change.values()))
        away = {name: (array - SIZE / size * change[name]).astype(np.float32) for name, array in before.items()}
        return LocalResult(away, trained.samples, trained.scalars)


def sites():
    return logistic.sites() | {POISONED: Poisoned(logistic.sites()[POISONED])}


def job(aggregation: Aggregation) -> Job:
    return logistic.JOB.model_copy(update={"rounds": 8, "aggregation": aggregation})


def accuracy(folder: Path) -> float:
    """Of the final model, on the honest sites' patients."""
    model = read_model(folder)[1]
    data = [site.data() for name, site in logistic.sites().items() if name != POISONED]
    right = [(x @ model["weight"].astype(float) + model["bias"] > 0) == y for x, y in data]
    return float(np.concatenate(right).mean())


def outside(aggregation: Aggregation) -> list[int]:
    """Of the 13 values of each round's step, how many lie outside of what the honest sites sent."""
    state, found = first_state(job(aggregation), tuple(sites()), logistic.INITIAL), []
    for _ in range(8):
        updates = [decode(answer(site, name, state)) for name, site in sites().items()]
        following = close_round(state, updates)
        honest = [update.arrays for update in updates if update.site != POISONED]
        strays = 0
        for name, array in state.arrays.items():
            ends = [array.astype(float) + one[name] for one in honest]
            step, slack = following.arrays[name].astype(float), 1e-6 * np.abs(ends).max()
            strays += int(np.sum((step < np.min(ends, 0) - slack) | (step > np.max(ends, 0) + slack)))
        found.append(strays)
        state = following
    return found


@pytest.mark.parametrize("aggregation", ROBUST, ids=lambda one: one.name)
def test_a_robust_step_stays_among_the_honest(aggregation: Aggregation) -> None:
    assert outside(aggregation) == [0] * 8


def test_a_mean_does_not() -> None:
    assert min(outside(FedAvg())) >= 10  # of 13 values, in every round; 12 or 13 were seen


@pytest.mark.parametrize("aggregation", ROBUST, ids=lambda one: one.name)
def test_a_robust_model_stays_as_good(aggregation: Aggregation, tmp_path: Path) -> None:
    """0.97 of the honest sites' patients are classified rightly, with the poisoned site as without its poison."""
    reports = list(run(job(aggregation), sites(), tmp_path / "poisoned", logistic.INITIAL))
    assert all(not report.refused and POISONED in report.samples for report in reports)  # no check can see it
    list(run(job(aggregation), logistic.sites(), tmp_path / "clean", logistic.INITIAL))
    assert accuracy(tmp_path / "poisoned") >= accuracy(tmp_path / "clean") - 0.02 > 0.93


def test_a_mean_is_turned_over(tmp_path: Path) -> None:
    """0.23: worse than a coin."""
    list(run(job(FedAvg()), sites(), tmp_path, logistic.INITIAL))
    assert accuracy(tmp_path) < 0.4
