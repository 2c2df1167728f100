"""The coordinator's side on the engine: rounds that outlive sites, kills and bad updates."""

import logging
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from nvflare.apis.impl.controller import Controller
from nvflare.apis.signal import Signal

from flame.errors import FlameError
from flame.federation import folder as files
from flame.federation.closing import finish
from flame.federation.folder import RoundReport
from flame.federation.job import Job
from flame.federation.local import initial_arrays
from flame.federation.nvflare.exchange import Exchange
from flame.federation.nvflare.messages import STOP
from flame.federation.nvflare.passport import AUTHORITY
from flame.federation.nvflare.record import LEDGER, Record
from flame.federation.nvflare.runs import note_failure, note_halt, run_folder
from flame.federation.nvflare.study import COORDINATOR
from flame.federation.region_round import region_round, require_region_job, sites_behind
from flame.federation.rounds import State, first_state
from flame.federation.secure_round import secure_round
from flame.federation.stages import TRAIN, Ask, question
from flame.federation.steps import begin, close, has_answered, is_done, keep
from flame.federation.watch import forget_watch

__all__ = ["RoundController"]

_log = logging.getLogger(__name__)


class RoundController(Controller):
    """Runs a job's rounds. What it knows is on disk before it asks: a new start goes on in the same round.

    Args:
        job: the job as JSON.
        sites: names of the sites that take part.
        regions: name -> its sites that take part; none if the sites are asked themselves.
    """

    def __init__(self, job: str, sites: list[str], regions: dict[str, list[str]] | None = None) -> None:
        super().__init__()
        self._job, self._sites, self._regions = Job.model_validate_json(job), tuple(sites), regions or {}
        self._stopping = False

    def start_controller(self, fl_ctx: Any) -> None:
        """Find the job's folder, and let the coordinator's administrator ask for a stop."""
        self._kit = Path(fl_ctx.get_engine().get_workspace().get_root_dir())
        self._folder = run_folder(self._kit, self._job)
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
        note_halt(self._folder, False)
        forget_watch(self._folder)  # of a coordinator that was killed
        record = Record(self._kit / LEDGER, COORDINATOR)
        ask = Exchange(self, fl_ctx, abort_signal, record, self._folder, self._sites_behind)
        try:
            self._run(ask)
        except FlameError as error:
            _log.error("%s. %s", error.message, error.hint)
            with suppress(FlameError, OSError):  # a full disk must not hide what is wrong
                note_failure(self._folder, error.message)
            self.system_panic(f"{error.message}. {error.hint}", fl_ctx)

    def _sites_behind(self, state: State, asked: str) -> int:
        return sites_behind(self._folder, self._regions, state, asked) if self._regions else 1

    def _run(self, ask: Ask) -> None:
        if self._regions:
            require_region_job(self._job)
        first = first_state(self._job, self._sites, initial_arrays(self._job))
        files.load_state(self._folder, self._job)  # writes job.toml, on which the claim lies
        with files.claimed(self._folder):
            state = begin(self._folder, first)
            finish(first, state, self._folder, ask)
            while not self._stopping and not is_done(self._folder, state):
                state, report = self._round(state, ask)
                finish(first, state, self._folder, ask)
                files.clean(self._folder, state.round)
                _log.info("round %d closed with %s", report.round, ", ".join(report.samples))

    def _round(self, state: State, ask: Ask) -> tuple[State, RoundReport]:
        seconds = partial(_since, time.monotonic())
        if self._job.privacy.secure_aggregation:
            authority = (self._kit / AUTHORITY).read_bytes()
            return secure_round(state, self._folder, authority, ask, seconds)
        if self._regions:
            return region_round(state, self._folder, self._regions, ask, seconds)
        new = [site for site in state.sites if not has_answered(self._folder, state.round, site)]
        before = sum(files.read_update(self._folder, state.round, site) is not None for site in state.sites)
        messages = dict.fromkeys(new, question(state))
        ask(state, TRAIN, messages, partial(keep, self._folder, state), self._job.limits, before)
        return close(state, self._folder, len(files.encode_model(state.arrays)), seconds)

    def _stop(self, topic: str, data: Any, fl_ctx: Any) -> dict[str, bool]:  # noqa: ARG002
        self._stopping = True
        note_halt(self._folder, True)
        return {"stopping": True}


def _since(start: float) -> float:
    return time.monotonic() - start
