"""Hands a job in again when it ended before its last round: after a fault, or for a site that came back.

The engine's word on how a job ended misleads, so the supervisor goes by the run folder at the coordinator: a job is
done when its model is there, and it gets on when rounds are closed.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flame.errors import EngineError
from flame.federation.folder import history
from flame.federation.job import Job
from flame.federation.nvflare.runs import read_failure, run_folder

__all__ = ["Engine", "supervise"]

_log = logging.getLogger(__name__)

LOOK_S = 5.0
"""How often the supervisor looks [s]."""

PAUSES_S = (5.0, 30.0, 120.0)
"""How long it waits before it hands a job in again, the first, second and later times without a closed round [s]."""


@dataclass(frozen=True)
class Engine:
    """What the supervisor asks of the engine, as some person.

    Args:
        submit: hands the job in.
        is_active: whether the job runs or is about to; raises EngineError while the coordinator can't be reached.
    """

    submit: Callable[[], object]
    is_active: Callable[[], bool]


def supervise(kit: Path, job: Job, engine: Engine, tries: int = 5, sleep: Callable[[float], None] = time.sleep) -> None:
    """See a job through to its model.

    Args:
        kit: the coordinator's, with its runs.
        job: the job.
        engine: hands in and looks.
        tries: how often in a row the job may end without a closed round.
        sleep: waits some seconds.

    Raises: EngineError: after `tries` without a closed round; the message holds what ended the last.
    """
    folder, vain, done, handed_in = run_folder(kit, job), 0, -1, False
    while not (folder / "model.json").exists():
        try:
            if not engine.is_active():
                closed = _closed(folder)
                vain = 0 if closed > done or not handed_in else vain + 1
                done = max(done, closed)
                if vain >= tries:
                    raise _given_up(folder, tries)
                if handed_in:
                    sleep(PAUSES_S[min(vain, len(PAUSES_S) - 1)])
                engine.submit()
                handed_in = True
                _log.info("handed in with %d rounds closed", closed)
        except EngineError as error:
            if vain >= tries:
                raise
            _log.warning("%s. %s", error.message, error.hint)  # the coordinator is away for a while
        sleep(LOOK_S)


def _closed(folder: Path) -> int:
    return len(history(folder)) if folder.exists() else 0


def _given_up(folder: Path, tries: int) -> EngineError:
    why = read_failure(folder) or "nothing in its run folder says why"
    return EngineError(
        f"The job ended {tries} times in a row without a closed round; last: {why}",
        "Mend what is named, then start the same command again: it goes on where it stands.",
    )
