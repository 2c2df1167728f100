"""One question to sites at a time over the engine: who is asked when, and which answers still count."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
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
from flame.federation.watch import Awaited, Watch, advice, forget_watch, write_watch

__all__ = ["Exchange"]

_log = logging.getLogger(__name__)

_LOOK_S = 0.1
"""How often the coordinator looks whether enough have answered [s]."""

_WATCH_S = 5.0
"""How often it looks what is stuck [s]."""


@dataclass
class _Open:
    """A question that is being asked: what keeps its answers, who was asked and has answered when, what counts."""

    state: State
    stage: Stage
    keep: Keep
    limits: Limits
    sites: Collection[str]
    valid: int
    started: float = field(default_factory=time.monotonic)
    asked: dict[str, float] = field(default_factory=dict)
    answered: dict[str, tuple[float, bool]] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)


class Exchange:
    """Asks over the engine; one is an `Ask` for the rounds of a job.

    Args:
        controller: the engine's controller, which sends tasks.
        fl_ctx: the engine's.
        abort_signal: triggered when the engine ends the job.
        record: the coordinator's ledger.
        folder: the job's, for reasons of refusals and for what is being waited for.
        behind: for how many sites the answer of whoever is asked stands, or will; of a region several.
    """

    def __init__(
        self,
        controller: Any,
        fl_ctx: Any,
        abort_signal: Signal,
        record: Record,
        folder: Path,
        behind: Callable[[State, str], int] = lambda *_: 1,
    ) -> None:
        self._controller, self._fl_ctx, self._abort_signal = controller, fl_ctx, abort_signal
        self._record, self._folder, self._behind = record, folder, behind
        self._lock = threading.Lock()
        self._open: _Open | None = None  # answers to any other question come too late
        self._arrived = threading.Event()
        self._told: tuple[str, ...] = ()

    def __call__(
        self, state: State, stage: Stage, messages: Mapping[str, bytes], keep: Keep, limits: Limits, before: int = 0
    ) -> None:
        """Ask each site as soon as it is connected, until enough have answered; see `stages.Ask`.

        Raises: EngineError: if the engine ends the job meanwhile.
        """
        now = _Open(state, stage, keep, limits, tuple(messages), before)
        waiting, looked = Waiting(limits, now.started), 0.0
        with self._lock:
            self._open = now
        try:
            while not self._is_over(waiting, now):
                there = {client.name for client in self._fl_ctx.get_engine().get_clients()}
                new = {site: message for site, message in messages.items() if site in there and site not in now.asked}
                if new:
                    self._record.sent(state, stage, new)
                    now.asked |= dict.fromkeys(new, time.monotonic())
                    self._send(stage, new, now)
                if time.monotonic() - looked >= _WATCH_S:
                    looked = time.monotonic()
                    self._watch(now)
                self._arrived.wait(_LOOK_S)
                self._arrived.clear()
        finally:
            with self._lock:
                self._open = None
            self._controller.cancel_all_tasks()
            forget_watch(self._folder)

    def _is_over(self, waiting: Waiting, now: _Open) -> bool:
        if self._abort_signal.triggered:
            raise EngineError("The engine ended the job", "Hand it in again: it goes on in the same round.")
        gone = [site for site in now.asked if self._controller.get_client_disconnect_time(site)]
        now.lost = {site: now.lost.get(site, time.monotonic()) for site in gone}
        with self._lock:
            awaited = self._sites(now, now.asked.keys() - now.answered.keys() - now.lost.keys())
            absent = self._sites(now, set(now.sites) - now.asked.keys() | (now.lost.keys() - now.answered.keys()))
            return waiting.is_over(time.monotonic(), now.valid, awaited, absent)

    def _sites(self, now: _Open, asked: Iterable[str]) -> int:
        return sum(self._behind(now.state, one) for one in asked)

    def _watch(self, now: _Open) -> None:
        """Keep what is waited for where people look, and say once what is stuck."""
        moment = time.monotonic()
        with self._lock:
            sites = tuple(_awaited(now, site, moment) for site in sorted(now.sites))
        usual = max((report.seconds for report in files.history(self._folder)), default=None)
        told = advice(sites, now.limits, moment - now.started, usual)
        for line in told:
            if line not in self._told:
                _log.warning("round %d: %s", now.state.round, line)
        self._told = told
        watch = Watch(
            at=datetime.now(UTC),
            round=now.state.round,
            stage=now.stage.name,
            seconds=round(moment - now.started, 1),
            needed=now.limits.quorum,
            sites=sites,
            advice=told,
        )
        with suppress(FlameError, OSError):  # a full disk must not end a round for the sake of a look at it
            write_watch(self._folder, watch)

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
                _log.exception("the answer of %s could not be kept. %s", site, getattr(error, "hint", ""))
                reason = f"it could not be kept: {type(error).__name__}"
                with suppress(FlameError, OSError):  # a full disk: the site counts as silent
                    files.save_refusal(self._folder, now.state.round, site, reason)
            now.answered[site] = (time.monotonic(), reason is None)
            now.valid += self._behind(now.state, site) if reason is None else 0
        self._arrived.set()
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


def _awaited(now: _Open, site: str, moment: float) -> Awaited:
    if site in now.answered:
        since, counts = now.answered[site]
        return Awaited(site=site, state="answered" if counts else "refused", seconds=round(moment - since, 1))
    if site in now.lost:
        return Awaited(site=site, state="lost", seconds=round(moment - now.lost[site], 1))
    if site in now.asked:
        return Awaited(site=site, state="asked", seconds=round(moment - now.asked[site], 1))
    return Awaited(site=site, state="not connected", seconds=round(moment - now.started, 1))
