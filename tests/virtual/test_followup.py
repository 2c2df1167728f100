"""Censoring: no exam after death or dropout, and an outcome that says only what was observed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame.virtual.assignment import make_site
from flame.virtual.followup import acquired, attended, clinical_status, outcome, steroid_mg
from flame.virtual.population import Fate

HORIZONS = (28, 91, 182, 273, 365)


@given(
    seed=st.integers(0, 1000),
    dropout=st.floats(1, 900),
    death=st.one_of(st.none(), st.integers(40, 500)),
    end_day=st.sampled_from([18, 39, 44]),
)
@settings(deadline=None, derandomize=True)
def test_no_exam_after_death_or_dropout(seed, dropout, death, end_day):
    fate = Fate(endurance=1.0, dropout_day=dropout)
    came = attended(np.random.default_rng(seed), fate, end_day, HORIZONS, death, missed=0.1)
    assert set(came) <= set(HORIZONS)
    assert list(came) == sorted(came)
    last = min(dropout, np.inf if death is None else death)
    assert all(end_day + horizon < last for horizon in came)
    result = outcome(fate, end_day, HORIZONS[-1], death)
    assert result.last_contact_day is not None
    assert all(end_day + horizon <= result.last_contact_day for horizon in came)
    if result.death_day is not None:
        assert result.death_day == death == result.last_contact_day
        assert death <= dropout


def test_death_after_dropout_is_not_known():
    result = outcome(Fate(endurance=1.0, dropout_day=100.5), 39, 365, death_day=200)
    assert (result.death_day, result.last_contact_day) == (None, 100)


def test_alive_to_the_end_is_last_seen_at_the_last_exam():
    result = outcome(Fate(endurance=1.0, dropout_day=1e6), 39, 365, death_day=None)
    assert (result.death_day, result.last_contact_day) == (None, 404)


def test_missed_exams_have_the_stated_rate():
    fate = Fate(endurance=1.0, dropout_day=np.inf)
    came = [len(attended(np.random.default_rng(s), fate, 39, HORIZONS, None, missed=0.2)) for s in range(400)]
    assert np.mean(came) == pytest.approx(4.0, abs=0.2)


def test_t1ce_is_always_acquired():
    scanner = make_site(7, 0).scanner
    draws = np.random.default_rng(0)
    assert all("T1ce" in acquired(draws, scanner) for _ in range(200))


def test_more_oedema_more_steroids():
    some, much = np.zeros((40, 40, 40), np.uint8), np.zeros((40, 40, 40), np.uint8)
    some[:10], much[:30] = 2, 2
    doses = [
        np.mean([steroid_mg(np.random.default_rng(s), labels, 0.008) for s in range(200)]) for labels in (some, much)
    ]
    assert doses[0] < doses[1] <= 16.0
    assert steroid_mg(np.random.default_rng(0), np.zeros((2, 2, 2), np.uint8), 0.008) == 0.0


def test_status_follows_the_core():
    draws = np.random.default_rng(0)
    worse = [clinical_status(draws, 40.0, 5.0) for _ in range(50)]
    better = [clinical_status(draws, 2.0, 40.0) for _ in range(50)]
    assert worse.count("worse") > 45
    assert better.count("improved") > 45
