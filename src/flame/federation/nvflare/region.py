"""A region's coordinator on the engine: it passes a round on to its sites, and answers with the sum of their updates.

The engine hands the pending question to whoever of the region's sites asks for it, and their answers to this class. Who
an answer is from is proved by the site's seal, not by the connection, which other members of the study share.
"""

import logging
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import FLContextKey, ReservedKey, ReturnCode
from nvflare.apis.shareable import make_reply

from flame.errors import EngineError, FlameError, UpdateRejected
from flame.federation import folder as files
from flame.federation.gate import Answer
from flame.federation.job import Limits
from flame.federation.nvflare.messages import accepted, read_answer, read_asking, read_seal, refused
from flame.federation.nvflare.passport import AUTHORITY
from flame.federation.nvflare.record import LEDGER, Record
from flame.federation.nvflare.runs import run_folder
from flame.federation.nvflare.study import COORDINATOR, read_kit
from flame.federation.nvflare.waiting import Waiting
from flame.federation.region_round import require_region_job
from flame.federation.region_sum import write_region
from flame.federation.regions import region_sum
from flame.federation.rounds import State
from flame.federation.seal import check_seal
from flame.federation.stages import TRAIN, read_question
from flame.federation.steps import keep, refusals

__all__ = ["RegionExecutor"]

_log = logging.getLogger(__name__)

_LOOK_S = 0.1
"""How often it looks whether enough have answered [s]."""

_SHARE = 0.8
"""Of a round's deadline: what a region waits at most, so that its sum is there in time."""


@dataclass
class _Open:
    """The round that is being asked: the question, which sites have it, have answered, and whose update counts."""

    state: State
    content: bytes
    folder: Path
    task: str
    sites: Collection[str]
    started: float = field(default_factory=time.monotonic)
    asked: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    valid: set[str] = field(default_factory=set)


class RegionExecutor(Executor):
    """Runs in the region's job process. It keeps a ledger of its own, and the sites' updates while a round runs."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._open: _Open | None = None
        self._silent: set[str] = set()  # in the round before: they are not waited for until they ask
        self.register_event_handler(EventType.POST_TASK_ASSIGNMENT_SENT, self._sending)
        self.register_event_handler(EventType.POST_TASK_RESULT_RECEIVED, self._received)

    def execute(self, task_name: str, shareable: Any, fl_ctx: Any, abort_signal: Any) -> Any:
        """Pass the question on, wait for the sites, and answer with their sum."""
        if task_name != TRAIN.name:
            return make_reply(ReturnCode.TASK_UNKNOWN)
        self._kit = Path(fl_ctx.get_engine().get_workspace().get_root_dir())
        try:
            now = self._begin(shareable)
            shareable.set_header(ReservedKey.TASK_IS_READY, True)  # from here on the engine hands it to sites
            self._wait(now, abort_signal)
            return self._sum(now)
        except FlameError as error:
            _log.error("%s. %s", error.message, error.hint)
            return refused(error.message)
        finally:
            with self._lock:
                self._open = None

    def _begin(self, shareable: Any) -> _Open:
        content = read_asking(shareable)
        state, found = read_question(content), read_kit(self._kit)
        require_region_job(state.job)
        sites = found.study.members(state.sites).get(found.name, ())
        if not sites:
            raise EngineError(f"{found.name} has no site in this job", "Leave the region out.")
        folder = run_folder(self._kit, state.job)
        files.load_state(folder, state.job)  # writes job.toml
        files.forget_round(folder, state.round)  # of an attempt before
        self._name, self._record = found.name, Record(self._kit / LEDGER, found.name)
        self._record.asked(state, TRAIN, COORDINATOR, content)
        now = _Open(state, content, folder, shareable.get_header(ReservedKey.TASK_ID), sites)
        with self._lock:
            self._open = now
        return now

    def _wait(self, now: _Open, abort_signal: Any) -> None:
        """Until all have answered, or the others have had the job's grace since the first did."""
        of_job = now.state.job.limits
        waiting = Waiting(Limits(quorum=1, grace_s=of_job.grace_s, deadline_s=_SHARE * of_job.deadline_s), now.started)
        while not self._is_over(waiting, now):
            if abort_signal.triggered:
                raise EngineError("The engine ended the job", "Hand it in again: it goes on in the same round.")
            time.sleep(_LOOK_S)

    def _is_over(self, waiting: Waiting, now: _Open) -> bool:
        with self._lock:
            awaited = set(now.sites) - now.answered - (self._silent - now.asked)
            return waiting.is_over(time.monotonic(), len(now.valid), len(awaited))

    def _sum(self, now: _Open) -> Any:
        """The region's answer; what comes later is too late."""
        with self._lock:
            self._open = None
            self._silent = set(now.sites) - now.answered
        number = now.state.round
        stored = [files.read_update(now.folder, number, site) for site in sorted(now.valid)]
        updates = [one[0] for one in stored if one is not None]
        why = refusals(now.folder, now.state, now.valid)
        if not updates:
            told = "; ".join(f"{site}: {reason}" for site, reason in why.items()) or "none has answered"
            return refused(f"no site of {self._name} has an update that counts: {told}"[: files.LONGEST])
        path = files.region_path(now.folder, number, self._name)
        write_region(path, region_sum(now.state, self._name, updates, why))
        content = path.read_bytes()
        files.forget_round(now.folder, number)  # sites' updates lie here no longer than they are needed
        _log.info("round %d: the sum of %s", number, ", ".join(sorted(now.valid)))
        return accepted(Answer(content, self._record.passed_on(now.state, COORDINATOR, content)))

    def _sending(self, event: str, fl_ctx: Any) -> None:  # noqa: ARG002
        """The question is about to go to a site."""
        fl_ctx.set_prop(FLContextKey.EVENT_PROCESSED, True, private=True, sticky=False)
        site = _peer(fl_ctx)
        with self._lock:
            now = self._open
            if now is None or site not in now.sites or site in now.asked:
                return
            now.asked.add(site)
        self._record.sent(now.state, TRAIN, {site: now.content})

    def _received(self, event: str, fl_ctx: Any) -> None:  # noqa: ARG002
        """Store a site's answer; the engine calls this on threads of its own."""
        fl_ctx.set_prop(FLContextKey.EVENT_PROCESSED, True, private=True, sticky=False)
        site, reply = _peer(fl_ctx), fl_ctx.get_prop(FLContextKey.TASK_RESULT)
        with self._lock:
            now = self._open
            if now is None or site not in now.sites or site in now.valid:
                _log.warning("an answer of %s came too late, or is none of this region's", site)
                return
            if reply.get_header(ReservedKey.TASK_ID) != now.task:
                _log.warning("an answer of %s is to another question", site)
                return
            try:
                reason = self._kept(now, site, reply)
            except (FlameError, OSError) as error:  # a full disk: one site's answer must not end the round
                _log.exception("the answer of %s could not be kept", site)
                reason = f"it could not be kept: {type(error).__name__}"
            if reason is not None:
                _log.warning("round %d, %s refused: %s", now.state.round, site, reason)

    def _kept(self, now: _Open, site: str, reply: Any) -> str | None:
        """Store an answer; returns why it does not count, None if it does. What bears no seal is nobody's answer."""
        seal, said = read_seal(reply)
        authority = (self._kit / AUTHORITY).read_bytes()
        try:
            check_seal(seal, site, authority, datetime.now(UTC), now.content, said)
        except UpdateRejected as error:
            return error.message
        now.answered.add(site)
        found = read_answer(reply)
        if isinstance(found, str):
            files.save_refusal(now.folder, now.state.round, site, found)
            return found
        self._record.received(now.state, TRAIN, site, found)
        reason = keep(now.folder, now.state, site, found.content)
        if reason is None:
            now.valid.add(site)
        return reason


def _peer(fl_ctx: Any) -> str:
    """Who the engine says it is."""
    return str(fl_ctx.get_peer_context().get_identity_name())
