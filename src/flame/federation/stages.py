"""What a site is asked: in a round to train, or, under masks, four things; after the last round to score models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from flame.errors import DataError, EngineError
from flame.federation.job import Limits
from flame.federation.rounds import State, decode_state, encode_state
from flame.site.entries import Carried

__all__ = [
    "ALONE",
    "KEYS",
    "SCORE",
    "SHARES",
    "STAGES",
    "SUM",
    "TRAIN",
    "UNMASK",
    "UPDATE",
    "Ask",
    "Keep",
    "Stage",
    "question",
    "read_question",
]


@dataclass(frozen=True)
class Stage:
    """A question to sites: its name, and what a ledger calls the question and its answer."""

    name: str
    question: Carried
    answer: Carried

    @property
    def asks_with_model(self) -> bool:
        """Whether the question is a state with a model, which ledgers name by the model's own hash."""
        return self.question.endswith("model")


TRAIN = Stage("train", "model", "update")
SUM = Stage("train", "model", "region sum")  # the same question, which a region passes on
KEYS = Stage("keys", "model", "keys")
SHARES = Stage("shares", "keys", "shares")
UPDATE = Stage("update", "shares", "masked update")
UNMASK = Stage("unmask", "unmasking", "unmasking")
ALONE = Stage("alone", "first model", "own model")
SCORE = Stage("score", "scored model", "score")
STAGES: Mapping[str, Stage] = {stage.name: stage for stage in (TRAIN, KEYS, SHARES, UPDATE, UNMASK, ALONE, SCORE)}

Keep = Callable[[str, bytes], str | None]
"""Stores a site's answer; returns why it does not count, None if it does."""


class Ask(Protocol):
    """What carries questions to sites and answers back; each engine has its own."""

    def __call__(
        self, state: State, stage: Stage, messages: Mapping[str, bytes], keep: Keep, limits: Limits, before: int = 0, /
    ) -> None:
        """Ask sites, and give each answer to `keep` as soon as it is there, one at a time, until enough has come.

        Args:
            state: the running round.
            stage: what is asked.
            messages: site -> the question.
            keep: takes the answers. What a site refuses to answer is stored as the reason of its absence.
            limits: how many answers are needed, and how long to wait; no answer is kept after that.
            before: answers that are there already.
        """
        ...


def question(state: State) -> bytes:
    """The running round as a site is asked it: job, sites, number and model; not what the optimiser remembers."""
    return encode_state(State(state.job, state.sites, state.round, state.arrays, {}))


def read_question(content: bytes) -> State:
    """The state that a site trains on.

    Raises: EngineError: if it is no question of this version of FLAME.
    """
    try:
        return decode_state(content)
    except DataError as error:
        raise EngineError(
            "The coordinator's question can't be read", "Install the coordinator's version of FLAME."
        ) from error
