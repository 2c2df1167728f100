"""Steps of a job: what is kept of an answer, and why not."""

from pathlib import Path

import numpy as np
import pytest

from flame.federation.folder import read_refusal, read_update
from flame.federation.job import Job, job_hash
from flame.federation.rounds import State, first_state
from flame.federation.steps import begin, has_answered, keep
from flame.federation.update import Update, encode

JOB = Job(task="response", model="clinical", context="pre_rt", seed=0, rounds=2)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return begin(tmp_path, first_state(JOB, ("a", "b"), {"w": np.zeros(3, np.float32)}))


def content(site: str = "a", round: int = 0, value: float = 1.0) -> bytes:
    return encode(Update(job_hash(JOB), site, round, {"w": np.full(3, value, np.float32)}, 4, {}))


def test_a_valid_update_is_kept_as_it_was_sent(state: State, tmp_path: Path) -> None:
    assert not has_answered(tmp_path, 0, "a")
    assert keep(tmp_path, state, "a", content()) is None
    stored = read_update(tmp_path, 0, "a")
    assert stored is not None
    assert stored[1] == len(content())
    assert has_answered(tmp_path, 0, "a")
    assert not has_answered(tmp_path, 0, "b")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (content(site="b"), "it says that it is from 'b', and 'a' sent it"),
        (content(round=1), "it belongs to round 1, not 0"),
        (content(value=float("inf")), "holds NaN or infinity"),
        (content(value=1e4), "is above the bound"),
        (b"not an update", ""),
    ],
)
def test_any_other_answer_is_kept_as_a_reason(state: State, tmp_path: Path, sent: bytes, reason: str) -> None:
    told = keep(tmp_path, state, "a", sent)
    assert told is not None
    assert reason in told
    assert read_refusal(tmp_path, 0, "a") == told
    assert read_update(tmp_path, 0, "a") is None
    assert has_answered(tmp_path, 0, "a")
