"""Bootstrap intervals against the exact bootstrap distribution, scipy, the coverage that they promise, and pairing."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from flame.metrics import intervals
from flame.metrics.intervals import bootstrap, mean, paired_difference, repeated, resample


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_quantiles_are_those_of_all_possible_resamples() -> None:
    values = [0.0, 1.0, 3.0, 10.0]
    exact = np.array([np.mean(draw) for draw in itertools.product(values, repeat=4)])
    drawn = mean(np.array(values), resample(4, generator(), 40_000))
    for level in (0.1, 0.5, 0.9):
        assert np.mean(drawn <= np.quantile(exact, level)) == pytest.approx(
            np.mean(exact <= np.quantile(exact, level)), abs=0.01
        )


def test_agrees_with_scipy() -> None:
    values = generator(1).gamma(2.0, size=40)
    found = bootstrap(list(values), mean, generator(2), 20_000)
    reference = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=generator(3))
    assert found.estimate == pytest.approx(values.mean())
    assert found.low == pytest.approx(reference.confidence_interval.low, abs=0.02)
    assert found.high == pytest.approx(reference.confidence_interval.high, abs=0.02)


def test_covers_a_known_mean_about_as_often_as_it_says() -> None:
    draws = generator(4)
    hits = 0
    for _ in range(300):
        found = bootstrap(list(draws.normal(5.0, 2.0, size=50)), mean, draws, 400)
        hits += found.low <= 5.0 <= found.high
    assert 0.90 <= hits / 300 <= 0.98  # a percentile interval of 50 covers about 94 %, 1.4 points standard error


def test_a_patient_s_exams_are_drawn_together() -> None:
    by_patient = [np.full(20, value) for value in generator(5).normal(size=30)]
    together = bootstrap(by_patient, mean, generator(6))
    apart = bootstrap(np.concatenate(by_patient).tolist(), mean, generator(6))
    one_each = bootstrap([part[0] for part in by_patient], mean, generator(6))
    assert (together.low, together.high) == pytest.approx((one_each.low, one_each.high))
    assert together.high - together.low > 3 * (apart.high - apart.low)  # sqrt(20) = 4.5 in the limit


def test_strata_keep_their_number_of_patients() -> None:
    sites = ["a", "b", "a", "c", "b", "a"]
    counts = resample(6, generator(), 50, sites)
    for site, size in (("a", 3), ("b", 2), ("c", 1)):
        assert (counts[:, [at == site for at in sites]].sum(1) == size).all()


def test_strata_take_the_difference_between_sites_out_of_the_interval() -> None:
    values = np.concatenate([generator(7).normal(0, 1, 30), generator(8).normal(50, 1, 30)])
    whole, within = (bootstrap(list(values), mean, generator(9), strata=s) for s in (None, ["a"] * 30 + ["b"] * 30))
    assert within.high - within.low < 0.1 * (whole.high - whole.low)


def test_a_paired_difference_excludes_zero_where_two_intervals_overlap() -> None:
    patients = generator(10).normal(0.6, 0.2, size=40)
    better = patients + generator(11).normal(0.03, 0.03, size=40)
    found = paired_difference(list(better), list(patients), mean, generator(12))
    assert found.low > 0.015
    assert found.estimate == pytest.approx(np.mean(better - patients))
    first, second = (bootstrap(list(each), mean, generator(12)) for each in (better, patients))
    assert first.low < second.high


def test_a_paired_difference_of_a_model_with_itself_is_exactly_zero() -> None:
    values = list(generator(13).normal(size=20))
    found = paired_difference(values, values, mean, generator(14))
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)


def test_auroc_interval_has_the_width_of_hanley_and_mcneil() -> None:
    draws = generator(15)
    truth = np.arange(100) < 30
    score = stats.norm.cdf(draws.normal(size=100) + 0.954 * truth)  # AUROC 0.75 = Phi(0.954 / sqrt(2))
    found = bootstrap(list(np.stack([score, truth], axis=1)[:, None]), intervals.auroc, draws)
    a = found.estimate
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    error = math.sqrt((a * (1 - a) + 29 * (q1 - a * a) + 69 * (q2 - a * a)) / (30 * 70))
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.15)


def test_any_function_of_rows_can_be_a_statistic() -> None:
    values = list(generator(16).normal(size=15))
    slow = bootstrap(values, repeated(lambda rows: float(np.mean(rows))), generator(17), 200)
    fast = bootstrap(values, mean, generator(17), 200)
    assert (slow.low, slow.high) == pytest.approx((fast.low, fast.high))


def test_undefined_replicates_are_left_out_and_counted() -> None:
    rows = [[[0.2, 0.0]], [[0.4, 0.0]], [[0.6, 1.0]], [[0.7, 1.0]]]
    found = bootstrap(rows, intervals.auroc, generator(18))
    assert found.estimate == 1.0
    assert found.replicates / 2000 == pytest.approx(1 - 2 * 0.5**4, abs=0.03)  # both classes are there in 7 of 8


def test_an_estimate_that_most_resamples_do_not_define_has_no_bounds() -> None:
    found = bootstrap([math.nan, math.nan, math.nan, 2.0], repeated(lambda rows: float(rows.mean())), generator(19))
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_missing_values_are_left_out_of_a_mean() -> None:
    assert bootstrap([1.0, math.nan, 3.0], mean, generator(20)).estimate == 2.0


def test_same_generator_same_interval() -> None:
    values = list(generator(21).normal(size=12))
    assert bootstrap(values, mean, generator(22)) == bootstrap(values, mean, generator(22))


def test_refuses_missing_strata_and_unpaired_models() -> None:
    with pytest.raises(ValueError, match="stratum"):
        bootstrap([1.0, 2.0], mean, generator(), strata=["a"])
    with pytest.raises(ValueError, match="same patients"):
        paired_difference([1.0], [1.0, 2.0], mean, generator())
    with pytest.raises(ValueError, match="level"):
        bootstrap([1.0, 2.0], mean, generator(), level=95)
