"""One set of bootstrap resamples for a whole comparison, so that every difference is between the same patients.

The unit is the patient; resampling is within sites, for the sites are the design of the trial and not a sample.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from flame.metrics import intervals
from flame.metrics.intervals import Interval

__all__ = ["Resamples", "draw", "mean", "within_site_auroc"]

Weights = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Resamples:
    """`weights` float64 (1 + replicates, patients): how often a patient counts; the first row counts everyone once."""

    weights: Weights

    def interval(self, statistic: Callable[[Weights], NDArray[np.float64]]) -> Interval:
        """Estimate and percentile 95 % interval of `statistic(weights) -> (rows,)`; NaN replicates are left out."""
        values = statistic(self.weights)
        replicates = values[1:][np.isfinite(values[1:])]
        if not np.isfinite(values[0]) or replicates.size < 0.5 * (values.size - 1):
            return Interval(float("nan"), float("nan"), float("nan"), int(replicates.size))
        low, high = np.percentile(replicates, [2.5, 97.5])
        return Interval(float(values[0]), float(low), float(high), int(replicates.size))


def draw(sites: Sequence[str], replicates: int, generator: np.random.Generator) -> Resamples:
    """Resample patients with replacement within each site.

    Args:
        sites: the site of each patient.
        replicates: number of resamples, >= 1.
        generator: source of the draws.
    """
    drawn = intervals.resample(len(sites), generator, replicates, strata=sites)
    return Resamples(np.vstack([np.ones((1, len(sites))), drawn]))


def mean(values: NDArray[np.float64]) -> Callable[[Weights], NDArray[np.float64]]:
    """Statistic: mean over patients of `values` (patients,), those that are NaN left out."""
    return partial(intervals.mean, values)


def within_site_auroc(
    probability: NDArray[np.float64], responder: NDArray[np.bool_], sites: NDArray[np.str_]
) -> Callable[[Weights], NDArray[np.float64]]:
    """Statistic: share of pairs of a responder and a non-responder of one site that are ranked rightly (ties: half).

    Models that never saw a site are compared within it, so that neither a site's prevalence nor the scale of another
    model's probabilities counts. Patients whose `probability` (patients,) is NaN are left out.
    """
    parts = []
    for site in np.unique(sites):
        known = (sites == site) & np.isfinite(probability)
        positive, negative = np.flatnonzero(known & responder), np.flatnonzero(known & ~responder)
        gap = probability[positive][:, None] - probability[negative][None, :]
        parts.append((positive, negative, 0.5 * (1.0 + np.sign(gap))))

    def statistic(weights: Weights) -> NDArray[np.float64]:
        right, pairs = np.zeros(len(weights)), np.zeros(len(weights))
        for positive, negative, ranked in parts:
            right += ((weights[:, positive] @ ranked) * weights[:, negative]).sum(1)
            pairs += weights[:, positive].sum(1) * weights[:, negative].sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return right / pairs

    return statistic
