"""The round as a pure function: `close_round(state, updates) -> state`.

Transport, storage, clock and randomness are elsewhere. Whatever carries updates calls the same function and gets the
same bytes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from flame.errors import ConfigError, DataError, EngineError
from flame.federation.aggregate import aggregate
from flame.federation.checks import Expected, check_origin
from flame.federation.job import Job, job_hash
from flame.federation.optimiser import first_moments, step
from flame.federation.store import decode_arrays, encode_arrays
from flame.federation.update import SITE_NAME, Update
from flame.settings import Settings

__all__ = ["State", "close_round", "decode_state", "encode_state", "expected", "first_state"]

_MODEL = "model"
SiteName = Annotated[str, Field(pattern=SITE_NAME)]


@dataclass(frozen=True)
class State:
    """A job between two rounds; with the updates of round `round` it is all that the next state depends on.

    Args:
        job: the job.
        sites: names of the sites that take part, in name order.
        round: number of rounds that are closed, which is also the number of the running round, from 0.
        arrays: the model that the sites start from, float32.
        moments: what the coordinator's optimiser remembers: moment name -> arrays shaped as the model's.
    """

    job: Job
    sites: tuple[str, ...]
    round: int
    arrays: Mapping[str, NDArray[np.float32]]
    moments: Mapping[str, Mapping[str, NDArray[np.float32]]]


class _Header(Settings):
    """Everything in a state but its arrays."""

    format: Annotated[str, Field(pattern=r"^flame-state/1$")] = "flame-state/1"
    job: Job
    sites: tuple[SiteName, ...] = Field(min_length=1)
    round: int = Field(ge=0)


def first_state(job: Job, sites: Collection[str], arrays: Mapping[str, NDArray[np.float32]]) -> State:
    """The state before the first round.

    Args:
        job: the job.
        sites: names of the sites that take part; letters, digits, `-` and `_`.
        arrays: the model to start from; float32 and finite.

    Raises:
        ConfigError: if there are fewer sites than the quorum, or a name can't be used.
        ValueError: if an array is not float32 or not finite.
    """
    if len(sites) < job.limits.quorum:
        raise ConfigError(
            f"limits.quorum = {job.limits.quorum}, but {len(sites)} sites take part: {', '.join(sorted(sites))}",
            "Lower the quorum or let more sites take part.",
        )
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"initial array {name!r} must be float32 and finite, it is {array.dtype}")
    try:
        header = _Header(job=job, sites=tuple(sorted(sites)), round=0)
    except ValidationError as error:
        raise ConfigError(
            f"site name {error.errors()[0]['input']!r} can't be used", "Use letters, digits, - and _, at most 64."
        ) from error
    ordered = dict(sorted(arrays.items()))
    return State(job, header.sites, 0, ordered, first_moments(job.aggregation, ordered))


def expected(state: State) -> Expected:
    """What the updates of the running round must be, for `checks.check`."""
    shapes = {name: array.shape for name, array in state.arrays.items()}
    return Expected(job_hash(state.job), state.round, state.sites, shapes, state.job.limits.max_update_norm)


def close_round(state: State, updates: Collection[Update]) -> State:
    """The state after the running round. Pure: neither argument is changed, and equal arguments give equal bytes.

    Args:
        state: the state that the round began with.
        updates: the valid updates (`checks.check` was called for each as it arrived), in any order; they may be stored
            ones (`update.open_update`), for they are read one after the other.

    Raises:
        EngineError: if there are fewer updates than the quorum.
        UpdateRejected: if an update is from another job or round or from an unknown site, or two are from one site.
    """
    needed = state.job.limits.quorum
    if len(updates) < needed:
        raise EngineError(
            f"Round {state.round}: {len(updates)} valid updates of {len(state.sites)} sites, the quorum is {needed}",
            "Look at why the other sites' updates are missing or refused, then start the same job again.",
        )
    awaited = expected(state)
    received: set[str] = set()
    for update in updates:
        check_origin(update, awaited, received)
        received.add(update.site)
    mean = aggregate(state.job.aggregation, updates)
    arrays, moments = step(state.job.aggregation, state.moments, state.arrays, mean)
    return State(state.job, state.sites, state.round + 1, arrays, moments)


def encode_state(state: State) -> bytes:
    """Safetensors bytes with the other fields as JSON header; equal states give equal bytes."""
    groups = {_MODEL: state.arrays, **state.moments}
    arrays = {f"{group}/{name}": array for group, members in groups.items() for name, array in members.items()}
    return encode_arrays(arrays, _Header(job=state.job, sites=state.sites, round=state.round).model_dump_json())


def decode_state(content: bytes) -> State:
    """The state that `encode_state` wrote.

    Raises: DataError: if the bytes are not a state.
    """
    text, arrays = decode_arrays(content)
    try:
        header = _Header.model_validate_json(text)
    except ValidationError as error:
        raise DataError(f"The bytes are not a state: {error.errors()[0]['msg']}", "Restore the file.") from error
    groups: dict[str, dict[str, NDArray[np.float32]]] = {_MODEL: {}}
    for key, array in arrays.items():
        group, _, name = key.partition("/")
        groups.setdefault(group, {})[name] = array
    model = groups.pop(_MODEL)
    return State(header.job, header.sites, header.round, model, groups)
