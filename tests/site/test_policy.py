"""A policy allows what it names and nothing else."""

from dataclasses import replace
from datetime import datetime, time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flame.errors import ConfigError, PolicyError
from flame.site.policy import Hours, Policy, Request, read_policy, refusals, refuse_update

POLICY = Policy(
    tasks=("response",),
    models=("network",),
    min_patients=20,
    max_rounds=30,
    arrays=("head.*", "stem.weight"),
    max_update_bytes=100,
    max_update_norm=3.0,
)
REQUEST = Request("response", "network", rounds=30, patients=20)
NOON = datetime(2026, 3, 1, 12)


def update(**changes: np.ndarray) -> dict[str, np.ndarray]:
    return {"head.bias": np.ones(4, np.float32), "stem.weight": np.zeros((2, 3), np.float32)} | changes


def test_what_is_named_is_allowed() -> None:
    assert refusals(POLICY, REQUEST, NOON) == ()
    refuse_update(POLICY, update())


def test_a_policy_that_names_nothing_allows_nothing() -> None:
    reasons = refusals(Policy(), REQUEST, NOON)
    assert [reason.split("'")[0] for reason in reasons] == ["task ", "model "]
    assert reasons[0].endswith("allowed: nothing")
    with pytest.raises(PolicyError, match=r"'head.bias' may not leave; allowed: nothing"):
        refuse_update(Policy(), update())


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (Request("evolution", "network", 30, 20), "task 'evolution'"),
        (Request("response", "unet", 30, 20), "model 'unet'"),
        (Request("response", "network", 31, 20), "31 rounds"),
        (Request("response", "network", 30, 19), "fewer than 20 patients"),
        (Request("response", "network", 30, 20, passes_on=True), "the job passes a model trained on this site's"),
    ],
)
def test_each_bound_is_a_reason_of_its_own(request_: Request, says: str) -> None:
    (reason,) = refusals(POLICY, request_, NOON)
    assert reason.startswith(says)
    assert "19" not in reason  # how many patients there are is nobody's business


def test_all_reasons_are_told_at_once() -> None:
    assert len(refusals(POLICY, Request("evolution", "unet", 99, 1), NOON)) == 4


def test_a_budget_asks_for_noise_and_has_an_end() -> None:
    budget = POLICY.model_copy(update={"max_epsilon": 4.0})
    (plain,) = refusals(budget, REQUEST, NOON)
    assert plain == "the job adds no noise; this site's policy asks for it, and for an epsilon of 4 at most"
    noisy = replace(REQUEST, noise_multiplier=1.0)
    assert refusals(budget, noisy, NOON) == refusals(budget, replace(noisy, epsilon=4.0), NOON) == ()
    (spent,) = refusals(budget, replace(noisy, epsilon=4.0004), NOON)
    assert spent == "with this round the patients' epsilon would be 4.0004, more than the 4 allowed (delta 1e-05)"
    (many,) = refusals(budget.model_copy(update={"delta": 0.01}), replace(noisy, patients=100), NOON)
    assert many == "a delta of 0.01 is too large for the number of patients here"
    assert refusals(POLICY, replace(noisy, epsilon=1e9), NOON) == ()  # without a budget nothing is asked


@given(begin=st.times(), end=st.times(), moment=st.times())
def test_hours_and_the_hours_left_over_share_out_the_day(begin: time, end: time, moment: time) -> None:
    if begin != end:
        assert Hours(begin=begin, end=end).hold(moment) != Hours(begin=end, end=begin).hold(moment)


def test_outside_its_hours_a_site_does_not_train() -> None:
    night = POLICY.model_copy(update={"hours": (Hours(begin=time(20), end=time(6)),)})
    assert refusals(night, REQUEST, datetime(2026, 3, 1, 23)) == ()
    assert refusals(night, REQUEST, datetime(2026, 3, 1, 6)) == ("06:00 is outside the hours allowed: 20:00 to 06:00",)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        (update(patients=np.ones(3, np.float32)), "'patients' may not leave"),
        (update(**{"stem.weight": np.zeros(3)}), "float64"),
        (update(**{"stem.weight": np.array([np.nan], np.float32)}), "not finite"),
        (update(**{"stem.weight": np.zeros(40, np.float32)}), "176 bytes"),
        (update(**{"head.bias": np.full(4, 2.0, np.float32)}), "norm of 4"),
    ],
)
def test_an_update_beyond_a_bound_stays(arrays: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        refuse_update(POLICY, arrays)


def test_it_is_read_from_the_hospitals_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('tasks = ["response"]\n[[hours]]\nbegin = "20:00:00"\nend = "06:00:00"\n')
    assert read_policy(path) == Policy(tasks=("response",), hours=(Hours(begin=time(20), end=time(6)),))
    path.write_text("min_patients = 1\n")
    with pytest.raises(ConfigError, match="min_patients = 1"):
        read_policy(path)
    path.write_text("min_patients = 20\ndelta = 0.05\n")
    with pytest.raises(ConfigError, match=r"delta = 0.05: .* below one in min_patients, 1/20"):
        read_policy(path)
    path.write_text('allow = "all"\n')
    with pytest.raises(ConfigError, match="allow"):
        read_policy(path)
