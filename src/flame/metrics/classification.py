"""How good predicted probabilities of a yes-or-no endpoint are: ranking, calibration, usefulness.

All functions take `probability`, predicted probabilities in [0, 1] (patients,), and `positive`, the truth (patients,)
as bool or 0 and 1. A score that needs both classes is NaN where only one is there.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flame.metrics import resampled

__all__ = [
    "ReliabilityBin",
    "auprc",
    "auroc",
    "balanced_accuracy",
    "brier",
    "calibration_intercept",
    "calibration_slope",
    "expected_calibration_error",
    "mcc",
    "net_benefit",
    "net_benefit_of_treating_all",
    "reliability_curve",
    "scaled_brier",
    "sensitivity_at_specificity",
]

Column = NDArray[np.float64]
Truth = NDArray[np.bool_]


def auroc(probability: ArrayLike, positive: ArrayLike) -> float:
    """Area under the ROC curve: share of positive-negative pairs ranked rightly, ties half; NaN with one class."""
    p, y = _checked(probability, positive)
    return float(resampled.auroc(p, y, _once(p))[0])


def auprc(probability: ArrayLike, positive: ArrayLike) -> float:
    """Average precision; its chance level is the prevalence; NaN with one class."""
    p, y = _checked(probability, positive)
    return float(resampled.auprc(p, y, _once(p))[0])


def balanced_accuracy(probability: ArrayLike, positive: ArrayLike, threshold: float = 0.5) -> float:
    """Mean of sensitivity and specificity where `probability >= threshold` is called positive; NaN with one class."""
    p, y = _checked(probability, positive)
    return float(resampled.balanced_accuracy(p, y, _once(p), threshold)[0])


def brier(probability: ArrayLike, positive: ArrayLike) -> float:
    """Mean squared difference of probability and truth, in [0, 1], 0 is perfect; defined with one class."""
    p, y = _checked(probability, positive)
    return float(resampled.brier(p, y, _once(p))[0])


def scaled_brier(probability: ArrayLike, positive: ArrayLike) -> float:
    """1 - Brier over the Brier score of always saying the prevalence; 1 is perfect, can be < 0; NaN with one class."""
    p, y = _checked(probability, positive)
    return float(resampled.scaled_brier(p, y, _once(p))[0])


def calibration_slope(probability: ArrayLike, positive: ArrayLike) -> float:
    """Slope of the logistic recalibration on the log odds; 1 is right, < 1 too extreme.

    NaN with one class and where the probabilities separate the classes, for then no finite slope fits best.
    """
    p, y = _checked(probability, positive)
    return float(resampled.calibration_slope(p, y, _once(p))[0])


def calibration_intercept(probability: ArrayLike, positive: ArrayLike) -> float:
    """Calibration in the large: shift of the log odds at slope 1; 0 is right, > 0 too low; NaN with one class."""
    p, y = _checked(probability, positive)
    return float(resampled.calibration_intercept(p, y, _once(p))[0])


def mcc(probability: ArrayLike, positive: ArrayLike, threshold: float = 0.5) -> float:
    """Matthews correlation of `probability >= threshold` with the truth, in [-1, 1]; NaN with one class.

    0 where both classes are there but all are called alike.
    """
    p, y = _checked(probability, positive)
    if not _both_classes(y):
        return float("nan")
    called = p >= threshold
    if not _both_classes(called):
        return 0.0
    return float(np.corrcoef(called, y)[0, 1])


def sensitivity_at_specificity(probability: ArrayLike, positive: ArrayLike, specificity: float) -> float:
    """Largest sensitivity among all thresholds whose specificity is at least the one asked for; NaN with one class.

    Args:
        probability: predicted probabilities (patients,).
        positive: truth (patients,).
        specificity: in [0, 1].
    """
    p, y = _checked(probability, positive)
    if not 0 <= specificity <= 1:
        raise ValueError(f"specificity must lie in [0, 1], got {specificity}")
    if not _both_classes(y):
        return float("nan")
    thresholds = np.append(np.unique(p), np.inf)
    negatives, positives = np.sort(p[~y]), np.sort(p[y])
    specificities = np.searchsorted(negatives, thresholds, side="left") / negatives.size
    sensitivities = 1.0 - np.searchsorted(positives, thresholds, side="left") / positives.size
    return float(sensitivities[specificities >= specificity - 1e-12].max())


def net_benefit(probability: ArrayLike, positive: ArrayLike, threshold: float) -> float:
    """True positives less false positives at the threshold's odds, a patient (Vickers and Elkin 2006).

    `TP/n - FP/n * t/(1 - t)`; treating nobody is worth 0. Defined with one class.

    Args:
        probability: predicted probabilities (patients,).
        positive: truth (patients,).
        threshold: probability from which on one would act, in [0, 1).
    """
    p, y = _checked(probability, positive)
    return _net_benefit(p >= threshold, y, threshold)


def net_benefit_of_treating_all(positive: ArrayLike, threshold: float) -> float:
    """Net benefit of calling every patient positive, what a model must beat; `threshold` in [0, 1)."""
    _, y = _checked(np.ones(np.shape(positive)), positive)
    return _net_benefit(np.ones(y.shape, dtype=bool), y, threshold)


def _net_benefit(called: Truth, y: Truth, threshold: float) -> float:
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold must lie in [0, 1), got {threshold}")
    odds = threshold / (1.0 - threshold)
    return float(np.mean(called & y) - np.mean(called & ~y) * odds)


@dataclass(frozen=True)
class ReliabilityBin:
    """Patients of like probability: mean `predicted` probability, share `observed` positive, number of `samples`."""

    predicted: float
    observed: float
    samples: int


def reliability_curve(probability: ArrayLike, positive: ArrayLike, bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Observed against predicted in bins of as equal numbers of patients as ties allow; equal probabilities share one.

    Args:
        probability: predicted probabilities (patients,).
        positive: truth (patients,).
        bins: number of bins, >= 1; fewer come back where there are fewer distinct probabilities.

    Returns: bins that hold patients, in rising order of probability.
    """
    p, y = _checked(probability, positive)
    if bins < 1:
        raise ValueError(f"bins must be >= 1, got {bins}")
    order = np.argsort(p, kind="stable")
    p, y = p[order], y[order]
    first_of_ties = np.searchsorted(p, p, side="left")
    number = first_of_ties * bins // p.size
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    return tuple(
        ReliabilityBin(float(part.mean()), float(truth.mean()), part.size)
        for part, truth in zip(np.split(p, starts[1:]), np.split(y, starts[1:]), strict=True)
    )


def expected_calibration_error(probability: ArrayLike, positive: ArrayLike, bins: int = 15) -> float:
    """Mean distance of observed from predicted over adaptive bins, weighted by patients; in [0, 1], 0 is right.

    Small samples overstate it: with n patients a bin, even perfect probabilities miss by about 0.4 / sqrt(n).
    Defined with one class.
    """
    curve = reliability_curve(probability, positive, bins)
    total = sum(part.samples for part in curve)
    return sum(part.samples * abs(part.predicted - part.observed) for part in curve) / total


def _checked(probability: ArrayLike, positive: ArrayLike) -> tuple[Column, Truth]:
    p, y = np.asarray(probability, dtype=np.float64), np.asarray(positive)
    if p.ndim != 1 or p.shape != y.shape or not p.size:
        raise ValueError(f"need as many probabilities as truths and at least one, got shapes {p.shape} and {y.shape}")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"probabilities must lie in [0, 1], got {p[~((p >= 0) & (p <= 1))][0]}")
    return p, _truth(y)


def _truth(values: NDArray[Any]) -> Truth:
    truth: Truth = values == 1
    if not (truth | (values == 0)).all():
        raise ValueError(f"truth must be 0 and 1, got {values[~(truth | (values == 0))][0]}")
    return truth


def _once(probability: Column) -> Column:
    return np.ones((1, probability.size))


def _both_classes(truth: Truth) -> bool:
    return bool(truth.any() and not truth.all())
