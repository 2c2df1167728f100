"""Scores of many resamples at once against the same scores of each resample written out, and against scikit-learn."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from flame.metrics import classification, resampled


def resamples(replicates: int = 60) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    generator = np.random.default_rng(11)
    probability = generator.random(25).round(1)
    positive = generator.random(25) < 0.3 + 0.4 * probability
    return probability, positive, generator.multinomial(25, np.full(25, 1 / 25), replicates).astype(float)


@pytest.mark.parametrize(
    ("at_once", "single"),
    [
        (resampled.auroc, classification.auroc),
        (resampled.auprc, classification.auprc),
        (resampled.balanced_accuracy, classification.balanced_accuracy),
        (resampled.brier, classification.brier),
        (resampled.scaled_brier, classification.scaled_brier),
        (resampled.calibration_slope, classification.calibration_slope),
        (resampled.calibration_intercept, classification.calibration_intercept),
    ],
)
def test_counts_mean_repeated_patients(
    at_once: Callable[..., NDArray[np.float64]], single: Callable[..., float]
) -> None:
    p, y, counts = resamples()
    rows = [np.repeat(np.arange(25), row.astype(int)) for row in counts]
    expected = [single(p[row], y[row]) for row in rows]
    np.testing.assert_allclose(at_once(p, y, counts), expected, rtol=1e-8, atol=1e-10)


def test_weighted_ranking_agrees_with_scikit_learn() -> None:
    p, y, _ = resamples()
    weights = np.random.default_rng(1).gamma(1.0, size=(5, 25))
    expected = [roc_auc_score(y, p, sample_weight=row) for row in weights]
    np.testing.assert_allclose(resampled.auroc(p, y, weights), expected, rtol=1e-12)
    expected = [average_precision_score(y, p, sample_weight=row) for row in weights]
    np.testing.assert_allclose(resampled.auprc(p, y, weights), expected, rtol=1e-12)


def test_weighted_slope_agrees_with_scikit_learn() -> None:
    p, y, _ = resamples()
    weights = np.random.default_rng(2).gamma(1.0, size=(3, 25))
    x = resampled.log_odds(np.clip(p, 0.1, 0.9))[:, None]
    fits = [LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(x, y, row).coef_[0, 0] for row in weights]
    np.testing.assert_allclose(resampled.calibration_slope(np.clip(p, 0.1, 0.9), y, weights), fits, atol=1e-5)


@pytest.mark.parametrize(
    "score", [resampled.auroc, resampled.auprc, resampled.balanced_accuracy, resampled.calibration_slope]
)
def test_a_replicate_of_one_class_is_nan_and_spoils_no_other(score: Callable[..., NDArray[np.float64]]) -> None:
    p, y = np.array([0.2, 0.6, 0.4, 0.8]), np.array([False, False, True, True])
    counts = np.array([[1.0, 1, 1, 1], [2, 2, 0, 0], [0, 0, 1, 3]])
    assert np.isfinite(score(p, y, counts)).tolist() == [True, False, False]


def test_slope_survives_probabilities_of_zero_and_one() -> None:
    p, y = np.array([0.0, 1.0, 1.0, 0.0, 0.5]), np.array([True, True, False, False, True])
    assert resampled.calibration_slope(p, y, np.ones((1, 5)))[0] == pytest.approx(0.0, abs=1e-8)  # by symmetry
