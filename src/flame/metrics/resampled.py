"""Scores of predicted probabilities for many resamples at once: the bootstrap of a whole table in one array.

Every function takes `probability` float64 (patients,), `positive` bool (patients,) and `counts` float64 (replicates,
patients), how often each patient counts in each replicate, and returns float64 (replicates,). A row of ones is the
sample itself. A score that a replicate does not define (one class only) is NaN.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "auprc",
    "auroc",
    "balanced_accuracy",
    "brier",
    "calibration_intercept",
    "calibration_slope",
    "log_odds",
    "scaled_brier",
]

Column = NDArray[np.float64]
Truth = NDArray[np.bool_]
Counts = NDArray[np.float64]

_CLOSEST = 1e-6  # probabilities nearer to 0 or 1 are pulled to this distance before their log odds are taken
_STEPS = 50


def auroc(probability: Column, positive: Truth, counts: Counts) -> Column:
    """Share of pairs of a positive and a negative that are ranked rightly; ties count half (Mann-Whitney)."""
    order, ends = _ranks(probability)
    hits = np.cumsum(counts[:, order] * positive[order], axis=1)[:, ends]
    falses = np.cumsum(counts[:, order] * ~positive[order], axis=1)[:, ends]
    new_falses = np.diff(falses, axis=1, prepend=0.0)
    new_hits = np.diff(hits, axis=1, prepend=0.0)
    right = (new_falses * (hits - 0.5 * new_hits)).sum(axis=1)
    return _ratio(right, hits[:, -1] * falses[:, -1])


def auprc(probability: Column, positive: Truth, counts: Counts) -> Column:
    """Average precision: the precision at each threshold, weighted by the recall gained there, not interpolated."""
    order, ends = _ranks(probability)
    hits = np.cumsum(counts[:, order] * positive[order], axis=1)[:, ends]
    called = np.cumsum(counts[:, order], axis=1)[:, ends]
    precision = hits / np.maximum(called, 1e-300)
    gained = np.diff(hits, axis=1, prepend=0.0)
    value = _ratio((precision * gained).sum(axis=1), hits[:, -1])
    value[called[:, -1] == hits[:, -1]] = np.nan
    return value


def balanced_accuracy(probability: Column, positive: Truth, counts: Counts, threshold: float = 0.5) -> Column:
    """Mean of sensitivity and specificity where `probability >= threshold` is called positive."""
    right = counts * ((probability >= threshold) == positive)
    sensitivity = _ratio(right[:, positive].sum(1), counts[:, positive].sum(1))
    specificity = _ratio(right[:, ~positive].sum(1), counts[:, ~positive].sum(1))
    return 0.5 * (sensitivity + specificity)


def brier(probability: Column, positive: Truth, counts: Counts) -> Column:
    """Mean squared difference of probability and truth (Brier 1950); defined for one class too."""
    return _ratio(counts @ (probability - positive) ** 2, counts.sum(1))


def scaled_brier(probability: Column, positive: Truth, counts: Counts) -> Column:
    """1 - Brier over that of always saying the prevalence: 1 is perfect, 0 is no better than the prevalence."""
    prevalence = _ratio(counts @ positive.astype(np.float64), counts.sum(1))
    return 1.0 - _ratio(brier(probability, positive, counts), prevalence * (1.0 - prevalence))


def calibration_slope(probability: Column, positive: Truth, counts: Counts) -> Column:
    """Slope b of the logistic recalibration `log odds(positive) = a + b * log odds(probability)` (Cox 1958).

    1 is right; below 1 the probabilities are too extreme. NaN where the fit does not exist: one class only, or classes
    that the probabilities separate.
    """
    x = log_odds(probability)
    slopes = np.full(len(counts), np.nan)
    fits = _overlapping(x, positive, counts)
    if fits.any():
        slopes[fits] = _recalibrate(x, positive.astype(np.float64), counts[fits])[:, 1]
    return slopes


def calibration_intercept(probability: Column, positive: Truth, counts: Counts) -> Column:
    """Calibration in the large: the shift a of `log odds(positive) = a + log odds(probability)`, slope held at 1.

    0 is right; above 0 the probabilities are too low on the whole. NaN where only one class is there.
    """
    x = log_odds(probability)
    shifts = np.full(len(counts), np.nan)
    fits = (counts[:, positive].sum(1) > 0) & (counts[:, ~positive].sum(1) > 0)
    shifts[fits] = _shift(x, positive.astype(np.float64), counts[fits])
    return shifts


def log_odds(probability: Column) -> Column:
    """`log(p / (1 - p))`, with probabilities kept at least 1e-6 away from 0 and 1."""
    clipped = np.clip(probability, _CLOSEST, 1.0 - _CLOSEST)
    odds: Column = np.log(clipped / (1.0 - clipped))
    return odds


def _ranks(probability: Column) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order of falling probability, and the last place of each group of equal ones in it."""
    order = np.argsort(-probability, kind="stable")
    sorted_ = probability[order]
    return order, np.flatnonzero(np.append(sorted_[1:] != sorted_[:-1], True))


def _ratio(numerator: Column, denominator: Column) -> Column:
    ratio = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio


def _overlapping(x: Column, positive: Truth, counts: Counts) -> NDArray[np.bool_]:
    """Replicates whose classes overlap in `x`, which is when the logistic fit exists (Albert and Anderson 1984)."""
    present = counts > 0
    low = np.where(present, x, np.inf)
    high = np.where(present, x, -np.inf)
    highest_negative = high[:, ~positive].max(axis=1, initial=-np.inf)
    highest_positive = high[:, positive].max(axis=1, initial=-np.inf)
    overlap: NDArray[np.bool_] = (highest_negative > low[:, positive].min(axis=1, initial=np.inf)) & (
        highest_positive > low[:, ~positive].min(axis=1, initial=np.inf)
    )
    return overlap


def _recalibrate(x: Column, y: Column, counts: Counts) -> NDArray[np.float64]:
    """Intercept and slope (replicates, 2) of weighted logistic regression of `y` on `x`: Newton with halved steps."""
    coefficients = np.zeros((len(counts), 2))
    loss = _loss(coefficients, x, y, counts)
    for _ in range(_STEPS):
        p = _sigmoid(coefficients[:, :1] + coefficients[:, 1:] * x)
        rest, spread = counts * (y - p), counts * p * (1.0 - p)
        gradient = np.stack([rest.sum(1), rest @ x], axis=1)
        h00, h01, h11 = spread.sum(1), spread @ x, spread @ x**2
        scaled = (h11 * gradient[:, 0] - h01 * gradient[:, 1], h00 * gradient[:, 1] - h01 * gradient[:, 0])
        step = np.stack([_ratio(each, h00 * h11 - h01**2) for each in scaled], axis=1)
        coefficients, loss = _descend(coefficients, step, loss, x, y, counts)
        if not (np.abs(step) > 1e-10).any():
            break
    return coefficients


def _descend(
    coefficients: NDArray[np.float64], step: NDArray[np.float64], loss: Column, x: Column, y: Column, counts: Counts
) -> tuple[NDArray[np.float64], Column]:
    """Take each replicate's step, halved until its loss does not rise."""
    share = np.ones(len(counts))
    while True:
        moved = coefficients + share[:, None] * step
        new = _loss(moved, x, y, counts)
        worse = new > loss + 1e-9 * (1.0 + np.abs(loss))
        if not worse.any():
            return moved, new
        share[worse] /= 2.0


def _loss(coefficients: NDArray[np.float64], x: Column, y: Column, counts: Counts) -> Column:
    z = coefficients[:, :1] + coefficients[:, 1:] * x
    loss: Column = (counts * (np.logaddexp(0.0, z) - y * z)).sum(1)
    return loss


def _shift(x: Column, y: Column, counts: Counts) -> Column:
    """Root of `sum counts * (y - sigmoid(a + x))`, which falls in a: Newton inside bounds that always hold the root."""
    prevalence = (counts @ y) / counts.sum(1)
    centre = np.log(prevalence / (1.0 - prevalence))
    low, high = centre - x.max(), centre - x.min()
    shift: Column = 0.5 * (low + high)
    for _ in range(_STEPS):
        p = _sigmoid(shift[:, None] + x)
        rest = (counts * (y - p)).sum(1)
        low, high = np.where(rest > 0, shift, low), np.where(rest > 0, high, shift)
        step = _ratio(rest, (counts * p * (1.0 - p)).sum(1))
        inside = (shift + step >= low) & (shift + step <= high)
        shift = np.where(inside, shift + step, 0.5 * (low + high))
        if not (np.abs(step) > 1e-10).any():
            break
    return shift


def _sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    half: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * z))
    return half
