"""The coordinator's side on the engine: rounds that outlive sites, kills and bad updates."""

import logging
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.impl.controller import Controller
from nvflare.apis.signal import Signal

from flame.errors import FlameError
from flame.federation import folder as files
from flame.federation.job import Job
from flame.federation.local import initial_arrays
from flame.federation.nvflare.messages import STOP, TRAIN, question, read_answer
from flame.federation.nvflare.record import LEDGER, Record
from flame.federation.nvflare.runs import note_failure, run_folder
from flame.federation.nvflare.waiting import Waiting
from flame.federation.rounds import State, first_state
from flame.federation.steps import begin, close, has_answered, keep, keep_model

__all__ = ["RoundController"]

_log = logging.getLogger(__name__)

_LOOK_S = 0.1
"""How often the controller looks whether a round is over [s]."""


class RoundController(Controller):
    """Runs a job's rounds. What it knows is on disk before it asks: a new start goes on in the same round.

    Args:
        job: the job as JSON.
        sites: names of the sites that take part.
    """

    def __init__(self, job: str, sites: list[str]) -> None:
        super().__init__()
        self._job, self._sites = Job.model_validate_json(job), tuple(sites)
        self._stopping = False
        self._lock = threading.Lock()
        self._open_round: int | None = None  # answers to any other come too late

    def start_controller(self, fl_ctx: Any) -> None:
        """Find the job's folder, and let the coordinator's administrator ask for a stop."""
        kit = Path(fl_ctx.get_engine().get_workspace().get_root_dir())
        self._record = Record(kit / LEDGER)
        self._folder = run_folder(kit, self._job)
        self._folder.mkdir(parents=True, exist_ok=True)
        engine = fl_ctx.get_engine()
        if hasattr(engine, "register_app_command"):
            engine.register_app_command(STOP, self._stop)

    def stop_controller(self, fl_ctx: Any) -> None:
        """Nothing to put away: all is on disk."""

    def process_result_of_unknown_task(self, client: Any, *_: Any) -> None:
        """An answer to a round that is over, as after a restart, is dropped."""
        _log.warning("an answer of %s came too late", client.name)

    def control_flow(self, abort_signal: Signal, fl_ctx: Any) -> None:
        """Run the rounds that are left."""
        note_failure(self._folder, None)
        try:
            self._run(abort_signal, fl_ctx)
        except FlameError as error:
            _log.error("%s. %s", error.message, error.hint)
            note_failure(self._folder, error.message)
            self.system_panic(f"{error.message}. {error.hint}", fl_ctx)

    def _run(self, abort_signal: Signal, fl_ctx: Any) -> None:
        first = first_state(self._job, self._sites, initial_arrays(self._job))
        files.load_state(self._folder, self._job)  # writes job.toml, on which the claim lies
        with files.claimed(self._folder):
            state = begin(self._folder, first)
            size = len(files.encode_model(first.arrays))
            keep_model(self._folder, state)
            while state.round < self._job.rounds and not self._stopping:
                started = time.monotonic()
                self._ask(state, abort_signal, fl_ctx)
                if abort_signal.triggered:
                    return
                state, report = close(state, self._folder, size, partial(_since, started))
                keep_model(self._folder, state)
                files.clean(self._folder, state.round)
                _log.info("round %d closed with %s", report.round, ", ".join(report.samples))

    def _ask(self, state: State, abort_signal: Signal, fl_ctx: Any) -> None:
        """Ask the sites that have not answered as soon as they are connected, until the round is over.

        After that no answer is stored any more.
        """
        waiting, asked = Waiting(self._job.limits, time.monotonic()), set[str]()
        with self._lock:
            self._open_round = state.round
        while not abort_signal.triggered:
            there = {client.name for client in fl_ctx.get_engine().get_clients()}
            answered = {site for site in state.sites if has_answered(self._folder, state.round, site)}
            new = [site for site in state.sites if site in there - answered - asked]
            if new:
                self._record.sent(state, new)
                task = Task(TRAIN, question(state), result_received_cb=partial(self._received, state))
                self.broadcast(task, fl_ctx, targets=new, min_responses=len(new))
                asked |= set(new)
            valid = sum(files.read_update(self._folder, state.round, site) is not None for site in answered)
            absent = len(set(state.sites) - answered - asked)
            if waiting.is_over(time.monotonic(), valid, len(asked - answered), absent):
                break
            time.sleep(_LOOK_S)
        self.cancel_all_tasks()
        with self._lock:
            self._open_round = None

    def _received(self, state: State, client_task: ClientTask, fl_ctx: Any) -> None:  # noqa: ARG002
        """Store a site's answer as soon as it is there; the engine calls this on threads of its own."""
        site = client_task.client.name
        with self._lock:
            if self._open_round != state.round or has_answered(self._folder, state.round, site):
                _log.warning("round %d: an answer of %s came too late", state.round, site)
                return
            try:
                reason = self._kept(state, site, client_task.result)
            except Exception as error:  # noqa: BLE001  the engine's border: one site's answer must not end the job
                _log.exception("the answer of %s could not be kept", site)
                reason = f"it could not be kept: {type(error).__name__}"
                with suppress(FlameError, OSError):  # a full disk: the site counts as silent
                    files.save_refusal(self._folder, state.round, site, reason)
        if reason is not None:
            _log.warning("round %d, %s refused: %s", state.round, site, reason)
        client_task.result = None  # the update is on disk

    def _kept(self, state: State, site: str, reply: Any) -> str | None:
        """Store an answer; returns why it does not count, None if it does."""
        found = read_answer(reply)
        if isinstance(found, str):
            files.save_refusal(self._folder, state.round, site, found)
            return found
        self._record.received(state, site, found)
        return keep(self._folder, state, site, found.content)

    def _stop(self, topic: str, data: Any, fl_ctx: Any) -> dict[str, bool]:  # noqa: ARG002
        self._stopping = True
        return {"stopping": True}


def _since(start: float) -> float:
    return time.monotonic() - start
