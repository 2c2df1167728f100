"""One question to sites at a time over the engine: who is asked when, and which answers still count."""

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.signal import Signal

from flame.errors import EngineError, FlameError
from flame.federation import folder as files
from flame.federation.job import Limits
from flame.federation.nvflare.messages import asking, read_answer
from flame.federation.nvflare.record import Record
from flame.federation.nvflare.waiting import Waiting
from flame.federation.rounds import State
from flame.federation.stages import Keep, Stage

__all__ = ["Exchange"]

_log = logging.getLogger(__name__)

_LOOK_S = 0.1
"""How often the coordinator looks whether enough have answered [s]."""


@dataclass
class _Open:
    """A question that is being asked: what keeps its answers, who has answered, and how many answers count."""

    state: State
    stage: Stage
    keep: Keep
    valid: int
    answered: set[str] = field(default_factory=set)


class Exchange:
    """Asks over the engine; one is an `Ask` for the rounds of a job.

    Args:
        controller: the engine's controller, which sends tasks.
        fl_ctx: the engine's.
        abort_signal: triggered when the engine ends the job.
        record: the coordinator's ledger.
        folder: the job's, for reasons of refusals.
    """

    def __init__(self, controller: Any, fl_ctx: Any, abort_signal: Signal, record: Record, folder: Path) -> None:
        self._controller, self._fl_ctx, self._abort_signal = controller, fl_ctx, abort_signal
        self._record, self._folder = record, folder
        self._lock = threading.Lock()
        self._open: _Open | None = None  # answers to any other question come too late

    def __call__(
        self, state: State, stage: Stage, messages: Mapping[str, bytes], keep: Keep, limits: Limits, before: int = 0
    ) -> None:
        """Ask each site as soon as it is connected, until enough have answered; see `stages.Ask`.

        Raises: EngineError: if the engine ends the job meanwhile.
        """
        waiting, asked = Waiting(limits, time.monotonic()), set[str]()
        with self._lock:
            self._open = asking_now = _Open(state, stage, keep, before)
        try:
            while not self._is_over(waiting, asking_now, asked, len(messages)):
                there = {client.name for client in self._fl_ctx.get_engine().get_clients()}
                new = {site: message for site, message in messages.items() if site in there - asked}
                if new:
                    self._record.sent(state, stage, new)
                    asked |= set(new)
                    self._send(stage, new, asking_now)
                time.sleep(_LOOK_S)
        finally:
            with self._lock:
                self._open = None
            self._controller.cancel_all_tasks()

    def _is_over(self, waiting: Waiting, now: _Open, asked: set[str], number: int) -> bool:
        if self._abort_signal.triggered:
            raise EngineError("The engine ended the job", "Hand it in again: it goes on in the same round.")
        with self._lock:
            valid, awaited = now.valid, len(asked - now.answered)
        return waiting.is_over(time.monotonic(), valid, awaited, number - len(asked))

    def _send(self, stage: Stage, messages: Mapping[str, bytes], now: _Open) -> None:
        """Send every message; one task for all sites that get the same, as a large model is held once."""
        same: dict[int, list[str]] = {}
        for site, message in messages.items():
            same.setdefault(id(message), []).append(site)
        for sites in same.values():
            task = Task(stage.name, asking(messages[sites[0]]), result_received_cb=partial(self._received, now))
            self._controller.broadcast(task, self._fl_ctx, targets=sites, min_responses=len(sites))

    def _received(self, now: _Open, client_task: ClientTask, fl_ctx: Any) -> None:  # noqa: ARG002
        """Store a site's answer as soon as it is there; the engine calls this on threads of its own."""
        site = client_task.client.name
        with self._lock:
            if self._open is not now or site in now.answered:
                _log.warning("round %d: %s of %s came too late", now.state.round, now.stage.answer, site)
                return
            try:
                reason = self._kept(now, site, client_task.result)
            except Exception as error:  # noqa: BLE001  the engine's border: one site's answer must not end the job
                _log.exception("the answer of %s could not be kept", site)
                reason = f"it could not be kept: {type(error).__name__}"
                with suppress(FlameError, OSError):  # a full disk: the site counts as silent
                    files.save_refusal(self._folder, now.state.round, site, reason)
            now.answered.add(site)
            now.valid += reason is None
        if reason is not None:
            _log.warning("round %d, %s refused: %s", now.state.round, site, reason)
        client_task.result = None  # what counts is on disk

    def _kept(self, now: _Open, site: str, reply: Any) -> str | None:
        """Store an answer; returns why it does not count, None if it does."""
        found = read_answer(reply)
        if isinstance(found, str):
            files.save_refusal(self._folder, now.state.round, site, found)
            return found
        self._record.received(now.state, now.stage, site, found)
        return now.keep(site, found.content)
