"""All sites of a job on one machine, one after the other or in processes, with nothing lost when it is killed.

The state of a round is on disk before any site is asked, and every site's answer is on disk as soon as it is there, so
that a second start asks only the sites that have not answered and ends with the same bytes.
"""

import logging
import multiprocessing
import signal
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flame.errors import ConfigError, EngineError, FlameError
from flame.federation import folder as files
from flame.federation.checks import check
from flame.federation.folder import RoundReport
from flame.federation.job import Job, job_hash
from flame.federation.rounds import State, close_round, expected, first_state
from flame.federation.update import LocalResult, Update, decode, difference, encode
from flame.workers import follow_parent

__all__ = ["LocalResult", "Participant", "RoundReport", "run"]

_log = logging.getLogger(__name__)


class Participant(Protocol):
    """A site's local training: a pure function of the model and the round; what else it needs it was built with.

    With `processes` > 1 it is sent to another process once a round: build it as a frozen dataclass of plain data
    (paths, names, numbers) that is callable. It must train on one thread, or its bytes depend on the machine's load.
    """

    def __call__(self, arrays: Mapping[str, NDArray[np.float32]], round: int, /) -> LocalResult:
        """Train on from `arrays`, which are its own to change, in round `round` (from 0)."""
        ...


def run(
    job: Job,
    participants: Mapping[str, Participant],
    folder: Path,
    initial: Mapping[str, NDArray[np.float32]],
    *,
    processes: int = 1,
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
        arrived: called with round and site as soon as the site's answer is stored, for a progress bar.
        clock: seconds from any start.

    Returns: an iterator over the reports of the rounds that were still to be done (`folder.history` gives all).
    Raises:
        ConfigError: if the folder holds another job, other sites or another model, or the quorum can't be reached.
        EngineError: while iterating: the quorum is lost, a process died, the disk is full, or another process works in
            the folder. A new start goes on.
    """
    if processes < 1:
        raise ValueError(f"processes = {processes}, expected >= 1")
    first = first_state(job, tuple(participants), initial)
    _stored_state(folder, first)
    return _rounds(first, participants, folder, min(processes, len(participants)), arrived or _nobody, clock)


def _stored_state(folder: Path, first: State) -> State | None:
    """The newest state in the folder, None if there is none; one that `first` can't have led to is refused."""
    state = files.load_state(folder, first.job)
    if state is None:
        return None
    if state.sites != first.sites:
        raise ConfigError(
            f"{folder} was started with the sites {', '.join(state.sites)}, now {', '.join(first.sites)} are given",
            "Give the same sites or choose an empty folder.",
        )
    if expected(state).shapes != expected(first).shapes:
        raise ConfigError(f"{folder} holds a model of other array names or shapes", "Choose an empty folder.")
    return state


def _begun(folder: Path, first: State) -> State:
    """The state to go on from, on disk, with nothing beside it that a killed process left half done."""
    state = _stored_state(folder, first)
    if state is None:
        files.save_state(folder, first)
        state = first
    files.clean(folder, state.round)
    return state


def _rounds(
    first: State,
    participants: Mapping[str, Participant],
    folder: Path,
    processes: int,
    arrived: Callable[[int, str], None],
    clock: Callable[[], float],
) -> Generator[RoundReport, None, None]:
    model_bytes = len(files.encode_model(first.arrays))
    with files.claimed(folder), _crew(participants, folder, processes) as ask:
        state = _begun(folder, first)
        _keep_model(folder, state)
        while state.round < state.job.rounds:
            started = clock()
            for site in ask(state, [site for site in state.sites if not _has_answered(folder, state.round, site)]):
                arrived(state.round, site)
            state, report = _closed(state, folder, model_bytes, partial(_since, started, clock))
            _keep_model(folder, state)
            files.clean(folder, state.round)
            yield report


def _keep_model(folder: Path, state: State) -> None:
    """Write the model if `state` is the one after the last round; a later start does it again, in case of a kill."""
    if state.round == state.job.rounds:
        files.write_model(folder, state)


def _has_answered(folder: Path, round: int, site: str) -> bool:
    return files.read_update(folder, round, site) is not None or files.read_refusal(folder, round, site) is not None


def _closed(state: State, folder: Path, model_bytes: int, seconds: Callable[[], float]) -> tuple[State, RoundReport]:
    """Close the running round out of the stored answers, in name order, and save its report and the next state."""
    stored = {site: files.read_update(folder, state.round, site) for site in state.sites}
    updates = {site: update for site, update in stored.items() if update is not None}
    refusals = {site: files.read_refusal(folder, state.round, site) for site in state.sites if site not in updates}
    refused = {site: reason for site, reason in refusals.items() if reason is not None}
    try:
        following = close_round(state, [update for update, _ in updates.values()])
    except EngineError as error:
        files.discard_refusals(folder, state.round)  # or a second start would fail without asking anybody
        reasons = "; ".join(f"{site}: {reason}" for site, reason in refused.items())
        raise EngineError(f"{error.message}. Refused: {reasons or 'none'}", error.hint) from error
    report = RoundReport(
        round=state.round,
        samples={site: update.samples for site, (update, _) in updates.items()},
        scalars={site: dict(update.scalars) for site, (update, _) in updates.items()},
        bytes_up={site: size for site, (_, size) in updates.items()},
        bytes_down=dict.fromkeys(state.sites, model_bytes),
        refused=refused,
        seconds=round(seconds(), 3),
    )
    files.save_report(folder, report)
    files.save_state(folder, following)
    return following, report


def _ask(participant: Participant, site: str, state: State, folder: Path) -> str:
    """Let a site train, and store its update or why there is none; returns the site's name."""
    try:
        content = _answer(participant, site, state)
        check(decode(content), expected(state))
    except Exception as error:  # noqa: BLE001  the engine's border: whatever a site raises costs that site alone
        _log.debug("round %d: no update from %s", state.round, site, exc_info=error)
        reason = error.message if isinstance(error, FlameError) else f"{type(error).__name__}: {error}"
        files.save_refusal(folder, state.round, site, reason)
    else:
        files.save_update(folder, state.round, site, content)
    return site


def _answer(participant: Participant, site: str, state: State) -> bytes:
    """The site's side: train on a copy of the model and send what changed."""
    result = participant({name: array.copy() for name, array in state.arrays.items()}, state.round)
    changed = difference(result.arrays, state.arrays)
    return encode(Update(job_hash(state.job), site, state.round, changed, result.samples, result.scalars))


def _ask_elsewhere(participant: Participant, site: str, folder: Path, round: int) -> str:
    """`_ask` in another process, which reads the state from the disk."""
    return _ask(participant, site, files.read_state(folder, round), folder)


Ask = Callable[[State, list[str]], Iterator[str]]


@contextmanager
def _crew(participants: Mapping[str, Participant], folder: Path, processes: int) -> Iterator[Ask]:
    """What asks sites and yields their names as they answer; processes live as long as the block."""
    if processes == 1:
        yield lambda state, sites: (_ask(participants[site], site, state, folder) for site in sites)
        return
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=spawn, initializer=_begin)

    def ask(state: State, sites: list[str]) -> Iterator[str]:
        futures = [pool.submit(_ask_elsewhere, participants[site], site, folder, state.round) for site in sites]
        for future in as_completed(futures):
            yield future.result()

    try:
        yield ask
    except BrokenProcessPool as error:
        raise EngineError(
            "A process that trained a site ended without an answer, as when memory runs out",
            "Start the same command again with fewer processes; it goes on where it stopped.",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    follow_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end quietly on Ctrl-C


def _since(start: float, clock: Callable[[], float]) -> float:
    return clock() - start


def _nobody(round: int, site: str) -> None:
    """Tell nobody."""
