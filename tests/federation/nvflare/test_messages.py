"""What crosses the line: FLAME's own bytes, and nothing that is executed."""

import numpy as np
import pytest
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import make_reply

from flame.errors import EngineError
from flame.federation.gate import Answer
from flame.federation.job import Job
from flame.federation.nvflare.messages import accepted, question, read_answer, read_question, refused
from flame.federation.rounds import State, first_state
from flame.site.ledger import Head

JOB = Job(task="response", model="clinical", context="pre_rt", seed=0, rounds=2)


def state() -> State:
    return first_state(JOB, ("a", "b"), {"w": np.arange(3, dtype=np.float32)})


def test_a_site_is_asked_with_the_job_the_round_and_the_model_and_told_of_no_other_site() -> None:
    found = read_question(question(state()), "a")
    assert (found.job, found.round, found.sites) == (JOB, 0, ("a",))
    assert np.array_equal(found.arrays["w"], [0, 1, 2])


@pytest.mark.parametrize("key", ["flame_job", "flame_round", "flame_model"])
def test_a_question_that_lacks_a_part_is_refused(key: str) -> None:
    message = question(state())
    del message[key]
    with pytest.raises(EngineError, match="can't be read"):
        read_question(message, "a")


def test_an_answer_is_an_update_or_a_reason() -> None:
    answer = Answer(b"bytes", Head(count=3, hash="0" * 64, signature="1" * 128))
    assert read_answer(accepted(answer)) == answer
    assert read_answer(refused("not approved")) == "not approved"
    assert "EXECUTION_EXCEPTION" in read_answer(make_reply(ReturnCode.EXECUTION_EXCEPTION))  # type: ignore[operator]


def test_an_answer_that_hides_how_far_the_ledger_has_come_does_not_count() -> None:
    reply = accepted(Answer(b"bytes", Head(count=3, hash="0" * 64)))
    reply["flame_head"] = "{}"
    assert read_answer(reply) == "it does not say how far the site's ledger has come"
