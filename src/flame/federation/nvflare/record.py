"""A coordinator's own ledger, the study's or a region's: what it sent to whom, and what came back."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from flame.federation.folder import encode_model
from flame.federation.gate import Answer
from flame.federation.job import job_hash
from flame.federation.rounds import State
from flame.federation.stages import SUM, Stage
from flame.site.entries import Received, Sent, SentArray, digest
from flame.site.identity import Identity, make_identity, read_identity
from flame.site.ledger import Head, Ledger, open_ledger

__all__ = ["LEDGER", "Record", "coordinator_identity"]

LEDGER = "ledger"
"""Folder of the ledger and its identity in the coordinator's kit."""


def coordinator_identity(folder: Path) -> Identity:
    """The identity that signs the coordinator's ledger; made when it is asked for first."""
    return read_identity(folder) if (folder / "identity.key").exists() else make_identity(folder)


class Record:
    """Writes entries one at a time; answers come in on several threads.

    Args:
        folder: of the ledger.
        owner: name of the coordinator.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self._folder, self._owner, self._lock = folder, owner, threading.Lock()

    def sent(self, state: State, stage: Stage, messages: Mapping[str, bytes]) -> None:
        """Questions of the running round are about to leave: site -> message."""
        about = {"job": job_hash(state.job), "round": state.round, "kind": stage.question, "arrays": ()}
        if stage.asks_with_model:  # the site's ledger names the model, whatever it came in
            messages = dict.fromkeys(messages, encode_model(state.arrays))
            about["arrays"] = tuple(
                SentArray(name=name, shape=array.shape, norm=float(np.linalg.norm(array.astype(np.float64))))
                for name, array in state.arrays.items()
            )
        with self._open() as ledger:
            for site, content in messages.items():
                what = {"peer": site, "digest": digest(content), "bytes": len(content)}
                ledger.append(Sent.model_validate({**about, **what}))

    def received(self, state: State, stage: Stage, site: str, answer: Answer) -> None:
        """A site's answer has come, with what the site says of its own ledger."""
        with self._open() as ledger:
            ledger.append(
                Received(
                    job=job_hash(state.job),
                    round=state.round,
                    peer=site,
                    kind=stage.answer,
                    digest=digest(answer.content),
                    bytes=len(answer.content),
                    peer_count=answer.head.count,
                    peer_head=answer.head.hash,
                )
            )

    def asked(self, state: State, stage: Stage, peer: str, content: bytes) -> None:
        """A question has come to a region, which it is about to pass on."""
        model = encode_model(state.arrays)  # as a site's ledger names it
        what = {"peer": peer, "kind": stage.question, "digest": digest(model), "bytes": len(content)}
        with self._open() as ledger:
            ledger.append(Received.model_validate({"job": job_hash(state.job), "round": state.round, **what}))

    def passed_on(self, state: State, peer: str, content: bytes) -> Head:
        """A region's sum is about to leave; returns how far the ledger has come with it."""
        what = {"peer": peer, "kind": SUM.answer, "digest": digest(content), "bytes": len(content), "arrays": ()}
        with self._open() as ledger:
            ledger.append(Sent.model_validate({"job": job_hash(state.job), "round": state.round, **what}))
            return ledger.known_head

    @contextmanager
    def _open(self) -> Iterator[Ledger]:
        with self._lock, open_ledger(self._folder, self._owner, coordinator_identity(self._folder)) as ledger:
            yield ledger
