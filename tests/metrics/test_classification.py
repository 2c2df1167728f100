"""Classification scores against values worked out by hand and against scikit-learn."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    matthews_corrcoef,
    roc_auc_score,
    roc_curve,
)

from flame.metrics import classification
from flame.metrics.classification import ReliabilityBin

PROBABILITY = np.array([0.1, 0.4, 0.35, 0.8])
TRUTH = np.array([0, 0, 1, 1])


def sample(seed: int, size: int = 80, decimals: int = 2) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Probabilities with ties, and truths that follow them loosely."""
    generator = np.random.default_rng(seed)
    probability = generator.beta(1.5, 2.0, size).round(decimals)
    truth = generator.random(size) < 0.2 + 0.5 * probability
    truth[:2] = (True, False)
    return probability, truth


def calibrated(size: int = 200_000) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    generator = np.random.default_rng(5)
    probability = generator.beta(2.0, 2.0, size)
    return probability, generator.random(size) < probability


def test_auroc_counts_pairs() -> None:
    assert classification.auroc(PROBABILITY, TRUTH) == 0.75  # of 4 pairs, only 0.35 against 0.4 is wrong


def test_auroc_counts_a_tie_half() -> None:
    assert classification.auroc([0.5, 0.5, 0.5], [0, 1, 1]) == 0.5


def test_auprc_by_hand() -> None:
    assert classification.auprc(PROBABILITY, TRUTH) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_scikit_learn(seed: int) -> None:
    p, y = sample(seed)
    assert classification.auroc(p, y) == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert classification.auprc(p, y) == pytest.approx(average_precision_score(y, p), abs=1e-12)
    assert classification.brier(p, y) == pytest.approx(brier_score_loss(y, p), abs=1e-12)
    for threshold in (0.3, 0.5):
        called = p >= threshold
        expected = balanced_accuracy_score(y, called)
        assert classification.balanced_accuracy(p, y, threshold) == pytest.approx(expected, abs=1e-12)
        assert classification.mcc(p, y, threshold) == pytest.approx(matthews_corrcoef(y, called), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_sensitivity_is_read_off_the_roc_curve(seed: int) -> None:
    p, y = sample(seed)
    false_positive_rate, sensitivity, _ = roc_curve(y, p)
    for specificity in (0.0, 0.5, 0.8, 0.9, 1.0):
        expected = sensitivity[1 - false_positive_rate >= specificity - 1e-12].max()
        assert classification.sensitivity_at_specificity(p, y, specificity) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_slope_is_that_of_unpenalised_logistic_regression(seed: int) -> None:
    p, y = sample(seed)
    x = np.log(np.clip(p, 1e-6, 1 - 1e-6) / (1 - np.clip(p, 1e-6, 1 - 1e-6)))
    fit = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(x[:, None], y)
    assert classification.calibration_slope(p, y) == pytest.approx(fit.coef_[0, 0], abs=1e-5)


def test_calibrated_probabilities_are_found_calibrated() -> None:
    p, y = calibrated()
    assert classification.calibration_slope(p, y) == pytest.approx(1.0, abs=0.02)
    assert classification.calibration_intercept(p, y) == pytest.approx(0.0, abs=0.02)
    assert classification.expected_calibration_error(p, y) < 0.006


def test_a_shift_and_a_stretch_of_the_log_odds_are_found() -> None:
    p, y = calibrated()
    odds = p / (1 - p)
    too_high = odds * math.exp(0.7) / (1 + odds * math.exp(0.7))
    assert classification.calibration_intercept(too_high, y) == pytest.approx(-0.7, abs=0.02)
    assert classification.calibration_slope(too_high, y) == pytest.approx(1.0, abs=0.02)
    too_extreme = odds**2 / (1 + odds**2)
    assert classification.calibration_slope(too_extreme, y) == pytest.approx(0.5, abs=0.02)


def test_intercept_of_a_constant_is_the_gap_of_log_odds() -> None:
    found = classification.calibration_intercept([0.5] * 5, [1, 1, 1, 1, 0])
    assert found == pytest.approx(math.log(4), abs=1e-9)


@pytest.mark.parametrize("truth", [[0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1]])
def test_slope_does_not_exist_where_probabilities_separate_the_classes(truth: list[int]) -> None:
    assert math.isnan(classification.calibration_slope([0.1, 0.2, 0.6, 0.7], truth))


def test_slope_does_not_exist_where_classes_only_touch() -> None:
    assert math.isnan(classification.calibration_slope([0.1, 0.4, 0.4, 0.7], [0, 0, 1, 1]))
    assert math.isnan(classification.calibration_slope([0.4, 0.4, 0.4], [0, 1, 1]))


def test_scaled_brier_is_zero_for_the_prevalence_and_one_for_the_truth() -> None:
    assert classification.scaled_brier([0.25] * 4, [1, 0, 0, 0]) == pytest.approx(0.0)
    assert classification.scaled_brier([1.0, 0.0, 0.0], [1, 0, 0]) == 1.0


def test_net_benefit_by_hand() -> None:
    p, y = [0.9, 0.6, 0.3, 0.1], [1, 0, 1, 0]
    assert classification.net_benefit(p, y, 0.2) == pytest.approx(2 / 4 - 1 / 4 * 0.25)
    assert classification.net_benefit_of_treating_all(y, 0.2) == pytest.approx(2 / 4 - 2 / 4 * 0.25)
    assert classification.net_benefit(p, y, 0.95) == 0.0  # nobody is treated


def test_mcc_of_calling_all_alike_is_zero() -> None:
    assert classification.mcc([0.9, 0.8], [0, 1]) == 0.0


def test_reliability_curve_has_equal_bins() -> None:
    curve = classification.reliability_curve([0.1, 0.2, 0.3, 0.4, 0.6, 0.8], [0, 0, 0, 1, 1, 1], bins=3)
    assert [part.samples for part in curve] == [2, 2, 2]
    assert [part.predicted for part in curve] == pytest.approx([0.15, 0.35, 0.7])
    assert [part.observed for part in curve] == [0.0, 0.5, 1.0]


def test_equal_probabilities_share_a_bin() -> None:
    assert classification.reliability_curve([0.5] * 4, [1, 0, 0, 0], bins=4) == (ReliabilityBin(0.5, 0.25, 4),)


def test_expected_calibration_error_by_hand() -> None:
    found = classification.expected_calibration_error([0.1, 0.3, 0.7, 0.9], [0, 0, 1, 1], bins=2)
    assert found == pytest.approx(0.2)  # bins predict 0.2 and 0.8, observed are 0 and 1


@pytest.mark.parametrize("truth", [0, 1])
@pytest.mark.parametrize(
    "score",
    [
        classification.auroc,
        classification.auprc,
        classification.balanced_accuracy,
        classification.scaled_brier,
        classification.calibration_slope,
        classification.calibration_intercept,
        classification.mcc,
        lambda p, y: classification.sensitivity_at_specificity(p, y, 0.9),
    ],
)
def test_one_class_only_is_not_defined(score: Callable[..., float], truth: int) -> None:
    assert math.isnan(score([0.2, 0.7, 0.5], [truth] * 3))


def test_one_class_only_still_has_a_brier_score() -> None:
    assert classification.brier([0.5, 1.0], [1, 1]) == 0.125


@settings(deadline=None, derandomize=True, max_examples=50)
@given(seed=st.integers(0, 10_000))
def test_ranking_is_unchanged_by_any_rising_map_and_turned_by_falling_ones(seed: int) -> None:
    p, y = sample(seed, size=20, decimals=1)
    score = classification.auroc(p, y)
    assert classification.auroc(p**3, y) == pytest.approx(score)
    assert classification.auroc(1 - p, y) == pytest.approx(1 - score)
    assert classification.auroc(p, ~y) == pytest.approx(1 - score)


def test_refuses_what_is_no_probability_or_truth() -> None:
    with pytest.raises(ValueError, match=r"1\.2"):
        classification.auroc([0.2, 1.2], [0, 1])
    with pytest.raises(ValueError, match="0 and 1"):
        classification.auroc([0.2, 0.3], [0, 2])
    with pytest.raises(ValueError, match="shapes"):
        classification.brier([0.2, 0.3], [0])
    with pytest.raises(ValueError, match="shapes"):
        classification.brier([], [])
    with pytest.raises(ValueError, match="nan"):
        classification.brier([math.nan], [0])
