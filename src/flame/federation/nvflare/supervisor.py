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
from flame.federation.nvflare.runs import is_halted, read_failure, run_folder

__all__ = ["Engine", "supervise"]

_log = logging.getLogger(__name__)

LOOK_S = 5.0
"""How often the supervisor looks [s]."""

PAUSES_S = (5.0, 30.0, 120.0)
"""How long it waits before it hands a job in again: after an end with a closed round, one in vain, later ones [s]."""


@dataclass(frozen=True)
class Engine:
    """What the supervisor asks of the engine, as some person.

    Args:
        submit: hands the job in, and gives back its number.
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

    Raises: EngineError: after `tries` ends in a row without a closed round, with what ended the last; or if a person
        paused or stopped the job.
    """
    folder, vain = run_folder(kit, job), 0
    closed: int | None = None  # when it was handed in last
    while not (folder / "model.json").exists():
        if not _patient(engine.is_active, if_away=True):
            if closed is not None:
                vain = 0 if _closed(folder) > closed else vain + 1
                _refuse_to_go_on(folder, vain, tries)
                sleep(PAUSES_S[min(vain, len(PAUSES_S) - 1)])
            before = _closed(folder)
            if _patient(lambda: engine.submit() is not None, if_away=False):
                closed = before
                _log.info("handed in with %d rounds closed", before)
        sleep(LOOK_S)


def _patient(step: Callable[[], bool], *, if_away: bool) -> bool:
    """What a step says; while the coordinator is away, `if_away`: it comes back, or is brought back."""
    try:
        return step()
    except EngineError as error:
        _log.warning("%s. %s", error.message, error.hint)
        return if_away


def _refuse_to_go_on(folder: Path, vain: int, tries: int) -> None:
    if is_halted(folder):
        raise EngineError("The job was paused or stopped by a person", "Resume it, or leave it.")
    if vain >= tries:
        why = read_failure(folder) or "nothing in its run folder says why"
        raise EngineError(
            f"The job ended {tries} times in a row without a closed round; last: {why}",
            "Mend what is named, then start the same command again: it goes on where it stands.",
        )


def _closed(folder: Path) -> int:
    return len(history(folder)) if folder.exists() else 0
