"""What the engine carries: a model to a site, an update or a reason back. Bytes in FLAME's own forms, and names."""

from typing import Any

from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import Shareable, make_reply

from flame.errors import EngineError
from flame.federation.folder import encode_model
from flame.federation.gate import Answer
from flame.federation.job import Job
from flame.federation.rounds import State
from flame.federation.store import decode_arrays
from flame.site.ledger import Head

__all__ = ["STOP", "TRAIN", "accepted", "question", "read_answer", "read_question", "refused"]

TRAIN = "train"
"""The only thing that a site is asked to do."""

STOP = "flame.stop"
"""What a running job is asked to end after its present round."""

_JOB, _ROUND, _MODEL, _UPDATE, _REASON = "flame_job", "flame_round", "flame_model", "flame_update", "flame_reason"
_HEAD = "flame_head"
_LONGEST = 500  # characters of a reason; a site's text must not fill the coordinator's disk


def question(state: State) -> Any:
    """The running round as a site is asked it: the job, the round's number, the model."""
    message = Shareable()
    message[_JOB] = state.job.model_dump_json()
    message[_ROUND] = state.round
    message[_MODEL] = encode_model(state.arrays)
    return message


def read_question(message: Any, site: str) -> State:
    """The state that a site trains on; it knows of no other site.

    Raises: EngineError: if it is no question of this version of FLAME.
    """
    try:
        job, round, model = message[_JOB], message[_ROUND], message[_MODEL]
        return State(Job.model_validate_json(job), (site,), int(round), decode_arrays(model)[1], {})
    except (KeyError, TypeError, ValueError) as error:
        raise EngineError(
            "The coordinator's question can't be read", "Install the coordinator's version of FLAME."
        ) from error


def accepted(answer: Answer) -> Any:
    """A site's update as its reply, and how far its ledger has come."""
    reply = make_reply(ReturnCode.OK)
    reply[_UPDATE] = answer.content
    reply[_HEAD] = answer.head.model_dump_json()
    return reply


def refused(reason: str) -> Any:
    """Why a site sends no update. The reason names no patient."""
    reply = make_reply(ReturnCode.OK)
    reply[_REASON] = reason
    return reply


def read_answer(reply: Any) -> Answer | str:
    """The update in a site's reply, or why there is none."""
    update, head = reply.get(_UPDATE), reply.get(_HEAD)
    if not isinstance(update, bytes):
        return str(reply.get(_REASON) or f"the engine says {reply.get_return_code()}")[:_LONGEST]
    try:
        return Answer(update, Head.model_validate_json(head))
    except ValueError:
        return "it does not say how far the site's ledger has come"
