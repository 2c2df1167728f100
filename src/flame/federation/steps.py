"""The steps of a job in its folder: begun, a site's answer made, checked and stored, a round closed, the model kept.

Both engines take them, so that the same updates give the same bytes whatever carried them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flame.errors import ConfigError, EngineError, UpdateRejected
from flame.federation import folder as files
from flame.federation.checks import check
from flame.federation.folder import RoundReport
from flame.federation.job import job_hash
from flame.federation.privacy import close_secure_round, mean_in_the_clear, secure_terms
from flame.federation.rounds import State, close_round, expected
from flame.federation.selection import best_round, is_settled
from flame.federation.update import LocalResult, Update, decode, difference, encode

__all__ = [
    "Combine",
    "Participant",
    "answer",
    "begin",
    "close",
    "explained",
    "has_answered",
    "is_done",
    "keep",
    "keep_model",
    "refusals",
    "save_round",
    "stored_state",
]


Combine = Callable[[State, Sequence[Update]], State]
"""Makes the next state out of the running one and its updates."""


class Participant(Protocol):
    """A site's local training: a pure function of the model and the round; what else it needs it was built with.

    The embedded engine may send it to another process once a round: build it as a frozen dataclass of plain data
    (paths, names, numbers) that is callable. It must train on one thread, or its bytes depend on the machine's load.
    """

    def __call__(self, arrays: Mapping[str, NDArray[np.float32]], round: int, /) -> LocalResult:
        """Train on from `arrays`, which are its own to change, in round `round` (from 0)."""
        ...


def stored_state(folder: Path, first: State) -> State | None:
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


def begin(folder: Path, first: State) -> State:
    """The state to go on from, on disk, with nothing beside it that a killed process left half done."""
    state = stored_state(folder, first)
    if state is None:
        files.save_state(folder, first)
        state = first
    files.clean(folder, state.round)
    files.discard_refusals(folder, state.round)  # what kept a site out may be mended by now
    return state


def answer(participant: Participant, site: str, state: State) -> bytes:
    """The site's side: train on a copy of the model and say what changed, as bytes."""
    result = participant({name: array.copy() for name, array in state.arrays.items()}, state.round)
    changed = difference(result.arrays, state.arrays)
    return encode(Update(job_hash(state.job), site, state.round, changed, result.samples, result.scalars))


def keep(folder: Path, state: State, site: str, content: bytes) -> str | None:
    """Store a site's update of the running round if it may be aggregated, else why not.

    Returns: the reason, None if it was accepted.
    """
    try:
        update = decode(content)
        check(update, expected(state))
        if update.site != site:
            raise UpdateRejected(f"it says that it is from {update.site!r}, and {site!r} sent it", "Look at the site.")
    except UpdateRejected as error:
        files.save_refusal(folder, state.round, site, error.message)
        return error.message
    files.save_update(folder, state.round, site, content)
    return None


def has_answered(folder: Path, round: int, site: str) -> bool:
    """Whether the site's update of a round, or the reason why there is none, is stored."""
    return files.read_update(folder, round, site) is not None or files.read_refusal(folder, round, site) is not None


def close(
    state: State, folder: Path, model_bytes: int, seconds: Callable[[], float], combine: Combine | None = None
) -> tuple[State, RoundReport]:
    """Close the running round out of the stored answers, in name order, and save its report and the next state.

    A job under masks ends with the bytes that masks would have given. `combine` closes it another way, as by regions.
    """
    stored = {site: files.read_update(folder, state.round, site) for site in state.sites}
    updates = {site: update for site, update in stored.items() if update is not None}
    with explained(folder, state.round, partial(refusals, folder, state, updates)):
        following = (combine or _following)(state, [update for update, _ in updates.values()])
    report = RoundReport(
        round=state.round,
        samples={site: update.samples for site, (update, _) in updates.items()},
        scalars={site: dict(update.scalars) for site, (update, _) in updates.items()},
        bytes_up={site: size for site, (_, size) in updates.items()},
        bytes_down=dict.fromkeys(state.sites, model_bytes),
        refused=refusals(folder, state, updates),
        seconds=round(seconds(), 3),
    )
    save_round(folder, state, following, report)
    return following, report


def save_round(folder: Path, state: State, following: State, report: RoundReport) -> None:
    """Save what came of the running round: its report, its model if that is the best so far, then the next state."""
    files.save_report(folder, report)
    if best_round(state.job.selection, files.history(folder)) == state.round:
        files.save_best(folder, state)
    files.save_state(folder, following)


def _following(state: State, updates: Sequence[Update]) -> State:
    if not state.job.privacy.secure_aggregation:
        return close_round(state, updates)
    return close_secure_round(state, mean_in_the_clear(secure_terms(state), updates))


def refusals(folder: Path, state: State, counted: Collection[str]) -> dict[str, str]:
    """Site -> why its update of the running round does not count, of sites that are not in `counted`."""
    found = {site: files.read_refusal(folder, state.round, site) for site in state.sites if site not in counted}
    return {site: reason for site, reason in found.items() if reason is not None}


@contextmanager
def explained(folder: Path, round: int, refused: Callable[[], Mapping[str, str]]) -> Iterator[None]:
    """Add who was refused and why to what ends a round, and let all be asked again when the job is started again."""
    try:
        yield
    except EngineError as error:
        reasons = "; ".join(f"{site}: {reason}" for site, reason in refused().items())
        files.discard_refusals(folder, round)  # or a second start would fail without asking anybody
        raise EngineError(f"{error.message}. Refused: {reasons or 'none'}", error.hint) from error


def is_done(folder: Path, state: State) -> bool:
    """Whether no round is left: all are closed, or the job's rule looks no further for a better model."""
    return state.round == state.job.rounds or is_settled(state.job.selection, files.history(folder))


def keep_model(folder: Path, state: State, is_best: bool = False) -> None:
    """Write the model that the job's rule selects if no round is left; a later start does it again, after a kill.

    Args:
        folder: the job's.
        state: the state after the last closed round.
        is_best: whether its model is known to be better than any before it.
    """
    if is_done(folder, state):
        files.write_model(folder, state if is_best else files.read_best(folder) or state)
