"""What the engine carries: a stage's question to a site, an answer or a reason back. Bytes in FLAME's own forms."""

from collections.abc import Callable
from typing import Any

from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import Shareable, make_reply

import flame
from flame.errors import EngineError
from flame.federation.folder import LONGEST
from flame.federation.gate import Answer
from flame.site.ledger import Head

__all__ = ["STOP", "accepted", "asking", "read_answer", "read_asking", "read_seal", "refused", "sealed"]

STOP = "flame.stop"
"""What a running job is asked to end after its present round."""

_VERSION, _CONTENT, _REASON, _HEAD = "flame_version", "flame_content", "flame_reason", "flame_head"
_SEAL = "flame_seal"


def asking(content: bytes) -> Any:
    """A question to a site, and which FLAME asks it."""
    message = Shareable()
    message[_VERSION], message[_CONTENT] = flame.__version__, content
    return message


def read_asking(message: Any) -> bytes:
    """The question in a message.

    Raises: EngineError: if it is from another version of FLAME.
    """
    version, content = message.get(_VERSION), message.get(_CONTENT)
    if version != flame.__version__ or not isinstance(content, bytes):
        raise EngineError(
            f"The coordinator runs FLAME {str(version)[:20]}, this site {flame.__version__}",
            "Install the coordinator's version of FLAME.",
        )
    return content


def accepted(answer: Answer) -> Any:
    """A site's answer as its reply, and how far its ledger has come."""
    reply = make_reply(ReturnCode.OK)
    reply[_CONTENT] = answer.content
    reply[_HEAD] = answer.head.model_dump_json()
    return reply


def refused(reason: str) -> Any:
    """Why a site does not answer. The reason names no patient."""
    reply = make_reply(ReturnCode.OK)
    reply[_REASON] = reason
    return reply


def read_answer(reply: Any) -> Answer | str:
    """The answer in a site's reply, or why there is none."""
    content, head = reply.get(_CONTENT), reply.get(_HEAD)
    if not isinstance(content, bytes):
        return str(reply.get(_REASON) or f"the engine says {reply.get_return_code()}")[:LONGEST]
    try:
        return Answer(content, Head.model_validate_json(head))
    except ValueError:
        return "it does not say how far the site's ledger has come"


def sealed(reply: Any, seal: Callable[[bytes], bytes]) -> Any:
    """A site's reply with its seal on what it says, for a region that carries it (`seal`)."""
    reply[_SEAL] = seal(_said(reply))
    return reply


def read_seal(reply: Any) -> tuple[bytes, bytes]:
    """The seal of a reply and what it is of; both empty where there is none.

    A reply without content or reason, as the engine makes them, says nothing that a site would seal.
    """
    seal, said = reply.get(_SEAL), _said(reply)
    return (seal, said) if isinstance(seal, bytes) else (b"", b"")


def _said(reply: Any) -> bytes:
    content = reply.get(_CONTENT)
    return content if isinstance(content, bytes) else str(reply.get(_REASON) or "").encode()
