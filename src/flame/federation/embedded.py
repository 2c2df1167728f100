"""All sites of a job on one machine, one after the other or in processes, with nothing lost when it is killed.

The state of a round is on disk before any site is asked, and every site's answer is on disk as soon as it is there, so
that a second start asks only the sites that have not answered and ends with the same bytes.
"""

import logging
import multiprocessing
import signal
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from flame.errors import EngineError, FlameError
from flame.federation import folder as files
from flame.federation.closing import finish
from flame.federation.folder import RoundReport
from flame.federation.job import Job, Limits
from flame.federation.messages import encode_message
from flame.federation.regions import by_regions
from flame.federation.rounds import State, first_state
from flame.federation.scores import NOBODY, scored, trained_alone
from flame.federation.stages import ALONE, Keep, Stage, read_question
from flame.federation.steps import (
    Combine,
    Participant,
    answer,
    begin,
    close,
    has_answered,
    is_done,
    keep,
    stored_state,
)
from flame.federation.update import LocalResult, encode
from flame.workers import follow_parent

__all__ = ["LocalResult", "Participant", "RoundReport", "run"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


def run(
    job: Job,
    participants: Mapping[str, Participant],
    folder: Path,
    initial: Mapping[str, NDArray[np.float32]],
    *,
    processes: int = 1,
    regions: Mapping[str, Collection[str]] | None = None,
    arrived: Callable[[int, str], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[RoundReport]:
    """Run `job`, or go on with it where `folder` stands. Arguments are checked at once, the work is done on iterating.

    After the last round the folder holds `model.safetensors` and `model.json`. A site whose update is refused, or
    whose training raises, is named in the round's report, and the round goes on while the quorum holds.

    Args:
        job: the job.
        participants: site -> its local training.
        folder: the job's folder; made if it is missing.
        initial: the model to start from, float32; on resuming it only has to fit the stored one.
        processes: 1 trains in this process, one site after the other; more train that many sites at a time.
        regions: name -> its sites, if regions sum their sites' updates first; the bytes of the model are the same.
        arrived: called with round and site as soon as the site's answer is stored, for a progress bar.
        clock: seconds from any start.

    Returns: an iterator over the reports of the rounds that were still to be done (`folder.history` gives all).
    Raises:
        ConfigError: if the folder holds another job, other sites or another model, the quorum can't be reached, or the
            job has no regions.
        EngineError: while iterating: the quorum is lost, a process died, the disk is full, or another process works in
            the folder. A new start goes on.
    """
    if processes < 1:
        raise ValueError(f"processes = {processes}, expected >= 1")
    first = first_state(job, tuple(participants), initial)
    combine = None if regions is None else by_regions(first, regions, folder)
    stored_state(folder, first)
    workers = min(processes, len(participants))
    return _rounds(first, participants, folder, workers, combine, arrived or _nobody, clock)


def _rounds(
    first: State,
    participants: Mapping[str, Participant],
    folder: Path,
    processes: int,
    combine: Combine | None,
    arrived: Callable[[int, str], None],
    clock: Callable[[], float],
) -> Generator[RoundReport, None, None]:
    model_bytes = len(files.encode_model(first.arrays))
    with files.claimed(folder), _crew(participants, folder, processes) as crew:
        state = begin(folder, first)
        finish(first, state, folder, crew.pose)
        while not is_done(folder, state):
            started = clock()
            for site in crew.train(
                state, [site for site in state.sites if not has_answered(folder, state.round, site)]
            ):
                arrived(state.round, site)
            state, report = close(state, folder, model_bytes, partial(_since, started, clock), combine)
            finish(first, state, folder, crew.pose)
            files.clean(folder, state.round)
            yield report


def _ask(participant: Participant, site: str, state: State, folder: Path) -> str:
    """Let a site train, and store its update or why there is none; returns the site's name."""
    try:
        content = answer(participant, site, state)
    except Exception as error:  # noqa: BLE001  the engine's border: whatever a site raises costs that site alone
        _log.debug("round %d: no update from %s", state.round, site, exc_info=error)
        reason = error.message if isinstance(error, FlameError) else f"{type(error).__name__}: {error}"
        files.save_refusal(folder, state.round, site, reason)
    else:
        keep(folder, state, site, content)
    return site


def _ask_elsewhere(participant: Participant, site: str, folder: Path, round: int) -> str:
    """`_ask` in another process, which reads the state from the disk."""
    return _ask(participant, site, files.read_state(folder, round), folder)


@dataclass(frozen=True)
class _Crew:
    """What lets sites train a round and yields their names as they answer; and puts what is asked after the last."""

    train: Callable[[State, list[str]], Iterator[str]]
    replies: Callable[[Stage, Mapping[str, bytes]], Iterator[tuple[str, bytes | str]]]
    folder: Path

    def pose(
        self,
        state: State,
        stage: Stage,
        messages: Mapping[str, bytes],
        keep: Keep,
        limits: Limits,  # noqa: ARG002  all sites are here
        before: int = 0,  # noqa: ARG002
    ) -> None:
        """A `stages.Ask`."""
        for site, reply in self.replies(stage, messages):
            if isinstance(reply, str):
                files.save_refusal(self.folder, state.round, site, reply)
            else:
                keep(site, reply)


def _reply(stage: Stage, participant: Participant, site: str, content: bytes) -> tuple[str, bytes | str]:
    """A site's answer to what is asked after the last round, or why there is none."""
    try:
        state = read_question(content)
        if stage == ALONE:
            return site, encode(trained_alone(participant, site, state))
        found = scored(participant, site, state)
    except Exception as error:  # noqa: BLE001  the engine's border, as in a round
        _log.debug("no %s from %s", stage.answer, site, exc_info=error)
        return site, error.message if isinstance(error, FlameError) else f"{type(error).__name__}: {error}"
    return site, NOBODY if found is None else encode_message(found)


@contextmanager
def _crew(participants: Mapping[str, Participant], folder: Path, processes: int) -> Iterator[_Crew]:
    """Sites in this process, one after the other, or in as many processes, which live as long as the block."""
    if processes == 1:
        yield _Crew(
            lambda state, sites: (_ask(participants[site], site, state, folder) for site in sites),
            lambda stage, messages: (_reply(stage, participants[site], site, messages[site]) for site in messages),
            folder,
        )
        return
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=spawn, initializer=_begin)

    def train(state: State, sites: list[str]) -> Iterator[str]:
        return _done(pool.submit(_ask_elsewhere, participants[site], site, folder, state.round) for site in sites)

    def replies(stage: Stage, messages: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | str]]:
        return _done(pool.submit(_reply, stage, participants[site], site, messages[site]) for site in messages)

    try:
        yield _Crew(train, replies, folder)
    except BrokenProcessPool as error:
        raise EngineError(
            "A process that trained a site ended without an answer, as when memory runs out",
            "Start the same command again with fewer processes; it goes on where it stopped.",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _done(futures: Iterable[Future[T]]) -> Iterator[T]:
    """Results as they come."""
    for future in as_completed(list(futures)):
        yield future.result()


def _begin() -> None:
    follow_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end quietly on Ctrl-C


def _since(start: float, clock: Callable[[], float]) -> float:
    return clock() - start


def _nobody(round: int, site: str) -> None:
    """Tell nobody."""
