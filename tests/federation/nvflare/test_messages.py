"""What crosses the line: FLAME's own bytes, and nothing that is executed."""

import pytest
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import make_reply

from flame.errors import EngineError
from flame.federation.gate import Answer
from flame.federation.nvflare.messages import accepted, asking, read_answer, read_asking, refused
from flame.site.ledger import Head


def test_a_question_is_from_this_version_of_flame() -> None:
    assert read_asking(asking(b"content")) == b"content"
    for key, value in (("flame_version", "0.0.9"), ("flame_content", None)):
        message = asking(b"content")
        message[key] = value
        with pytest.raises(EngineError, match=r"The coordinator runs FLAME .*, this site"):
            read_asking(message)


def test_an_answer_is_an_update_or_a_reason() -> None:
    answer = Answer(b"bytes", Head(count=3, hash="0" * 64, signature="1" * 128))
    assert read_answer(accepted(answer)) == answer
    assert read_answer(refused("not approved")) == "not approved"
    assert "EXECUTION_EXCEPTION" in read_answer(make_reply(ReturnCode.EXECUTION_EXCEPTION))  # type: ignore[operator]


def test_an_answer_that_hides_how_far_the_ledger_has_come_does_not_count() -> None:
    reply = accepted(Answer(b"bytes", Head(count=3, hash="0" * 64)))
    reply["flame_head"] = "{}"
    assert read_answer(reply) == "it does not say how far the site's ledger has come"
