"""One set of resamples: patients within sites, pairs within sites."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from flame.evaluation.resampling import draw, mean, within_site_auroc

SITES = ["a"] * 6 + ["b"] * 9


def test_every_resample_keeps_the_size_of_each_site() -> None:
    weights = draw(SITES, 50, np.random.default_rng(0)).weights
    assert weights.shape == (51, 15)
    assert (weights[0] == 1).all()
    assert (weights[:, :6].sum(1) == 6).all()
    assert (weights[:, 6:].sum(1) == 9).all()


def test_one_site_gives_the_plain_area_under_the_curve() -> None:
    generator = np.random.default_rng(1)
    responder = np.arange(40) % 3 == 0
    probability = np.clip(0.3 + 0.3 * responder + generator.normal(0, 0.3, 40), 0, 1)
    statistic = within_site_auroc(probability, responder, np.full(40, "a"))
    assert statistic(np.ones((1, 40)))[0] == pytest.approx(roc_auc_score(responder, probability), abs=1e-12)


def test_patients_of_different_sites_are_never_ranked_against_each_other() -> None:
    # Within both sites the ranking is perfect; across them it is inverted.
    probability = np.array([0.1, 0.2, 0.8, 0.9])
    responder = np.array([False, True, False, True])
    apart = within_site_auroc(probability, responder, np.array(["a", "a", "b", "b"]))
    together = within_site_auroc(probability, responder, np.array(["a"] * 4))
    assert apart(np.ones((1, 4)))[0] == 1.0
    assert together(np.ones((1, 4)))[0] == 0.75


def test_weights_count_as_repeated_patients() -> None:
    generator = np.random.default_rng(2)
    probability, responder = generator.uniform(size=12), np.arange(12) % 2 == 0
    counts = generator.integers(0, 4, 12)
    repeated = np.repeat(np.arange(12), counts)
    weighted = within_site_auroc(probability, responder, np.full(12, "a"))(counts[None].astype(float))[0]
    assert weighted == pytest.approx(roc_auc_score(responder[repeated], probability[repeated]), abs=1e-12)


def test_a_site_with_one_class_only_has_no_pairs() -> None:
    statistic = within_site_auroc(np.array([0.2, 0.7]), np.array([True, True]), np.array(["a", "a"]))
    assert np.isnan(draw(["a", "a"], 200, np.random.default_rng(0)).interval(statistic).estimate)


def test_the_interval_of_a_mean_agrees_with_its_standard_error() -> None:
    values = np.random.default_rng(3).normal(0, 1, 400)
    interval = draw(["a"] * 400, 2000, np.random.default_rng(4)).interval(mean(values))
    assert interval.estimate == pytest.approx(values.mean(), abs=1e-12)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_patients_without_a_value_are_left_out_of_the_mean() -> None:
    interval = draw(SITES, 200, np.random.default_rng(5)).interval(mean(np.array([np.nan] * 6 + [2.0] * 9)))
    assert (interval.estimate, interval.low, interval.high) == (2.0, 2.0, 2.0)
