"""What a site allows: nothing that its policy does not name.

A policy is the hospital's own file. It can only forbid: a job that it allows still waits for a person (`approval`).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator

from flame.errors import PolicyError
from flame.settings import Settings, read_toml

__all__ = ["Hours", "Policy", "Request", "read_policy", "refusals", "refuse_update", "site_policy"]


class Hours(Settings):
    """When a site trains, in its own local time; over midnight if it begins later than it ends."""

    begin: time
    end: time

    def hold(self, moment: time) -> bool:
        """Whether a moment lies within; the beginning does, the end does not."""
        if self.begin <= self.end:
            return self.begin <= moment < self.end
        return moment >= self.begin or moment < self.end


class Policy(Settings):
    """What a site allows.

    Args:
        tasks: tasks of jobs; none by default.
        models: models, by name; none by default.
        min_patients: fewest patients that a job must find at this site, so that no update speaks of a few.
        max_rounds: most rounds of a job.
        arrays: patterns of the names of arrays that may leave (`*` for any text); none by default.
        max_update_bytes: largest update, over all arrays.
        max_update_norm: largest Euclidean norm of an update.
        masked: whether updates may leave under masks only, so that the coordinator sees no site's alone.
        own_model: whether a model that is trained here alone may go to the other sites, which a job with
            `evaluation.cross_site = "each_site"` asks for; no by default.
        max_epsilon: most that all jobs together may spend of a patient's privacy (`budget`); a job without noise is
            refused then. 0 asks for no noise and sets no limit.
        delta: chance with which epsilon may not hold; below one in the number of patients, since whoever publishes one
            patient out of n keeps to an epsilon of 0 at a delta of 1/n.
        hours: when training may run; at any time if there are none.
    """

    tasks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    min_patients: int = Field(default=20, ge=2)
    max_rounds: int = Field(default=100, ge=1)
    arrays: tuple[str, ...] = ()
    max_update_bytes: int = Field(default=50_000_000, ge=1)
    max_update_norm: float = Field(default=1000.0, gt=0)
    masked: bool = False
    own_model: bool = False
    max_epsilon: float = Field(default=0.0, ge=0)
    delta: float = Field(default=1e-5, gt=0, lt=1)
    hours: tuple[Hours, ...] = ()

    @field_validator("delta")
    @classmethod
    def _small(cls, delta: float, known: ValidationInfo) -> float:
        patients = known.data.get("min_patients")
        if patients is not None and delta * patients >= 1:
            raise ValueError(f"must be below one in min_patients, 1/{patients}")
        return delta


@dataclass(frozen=True)
class Request:
    """What a job asks of a site: its task, model and rounds, how many of the site's patients it would use, whether it
    masks updates, and what noise it adds.

    `epsilon` is what the site's patients have spent in all once the round is trained; None if no round is asked for.
    `passes_on` says that a model which the site trains alone goes to the others.
    """

    task: str
    model: str
    rounds: int
    patients: int
    masked: bool = False
    noise_multiplier: float = 0.0
    epsilon: float | None = None
    passes_on: bool = False


def read_policy(path: Path) -> Policy:
    """Read a `policy.toml`. Raises ConfigError if it can't be used; the message names the key."""
    return read_toml(path, Policy)


def site_policy(folder: Path) -> Policy:
    """The policy in a site's folder, `policy.toml`; without one, the policy that allows nothing.

    Raises: ConfigError: if it can't be used.
    """
    path = folder / "policy.toml"
    return read_policy(path) if path.exists() else Policy()


def refusals(policy: Policy, request: Request, now: datetime) -> tuple[str, ...]:
    """Every reason why the policy forbids a job now; none if it does not.

    Args:
        policy: of the site.
        request: what the job asks.
        now: local time at the site.
    """
    return tuple(_reasons(policy, request, now))


def _reasons(policy: Policy, request: Request, now: datetime) -> Iterator[str]:
    if request.task not in policy.tasks:
        yield f"task {request.task!r} is not allowed here; allowed: {_listed(policy.tasks)}"
    if request.model not in policy.models:
        yield f"model {request.model!r} is not allowed here; allowed: {_listed(policy.models)}"
    if request.rounds > policy.max_rounds:
        yield f"{request.rounds} rounds are more than the {policy.max_rounds} allowed"
    if request.patients < policy.min_patients:
        yield f"fewer than {policy.min_patients} patients here fit the job"
    if policy.masked and not request.masked:
        yield "the job has no secure aggregation, without which no update leaves this site"
    if request.passes_on and not policy.own_model:
        yield "the job passes a model trained on this site's patients alone on to the other sites"
    yield from _budget_reasons(policy, request)
    if policy.hours and not any(one.hold(now.time()) for one in policy.hours):
        allowed = ", ".join(f"{one.begin:%H:%M} to {one.end:%H:%M}" for one in policy.hours)
        yield f"{now:%H:%M} is outside the hours allowed: {allowed}"


def _budget_reasons(policy: Policy, request: Request) -> Iterator[str]:
    limit = policy.max_epsilon
    if limit == 0:
        return
    if request.noise_multiplier == 0:
        yield f"the job adds no noise; this site's policy asks for it, and for an epsilon of {limit:g} at most"
    if request.epsilon is not None and request.epsilon > limit:
        yield (
            f"with this round the patients' epsilon would be {request.epsilon:.5g}, "
            f"more than the {limit:g} allowed (delta {policy.delta:g})"
        )
    if policy.delta * request.patients >= 1:
        yield f"a delta of {policy.delta:g} is too large for the number of patients here"


def refuse_update(policy: Policy, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Refuse to let an update leave that the policy does not cover.

    Args:
        policy: of the site.
        arrays: what would leave, by name.

    Raises: PolicyError: names the first array, or the bound, that forbids it.
    """
    for name, array in arrays.items():
        if not any(fnmatchcase(name, pattern) for pattern in policy.arrays):
            raise _stopped(f"array {name!r} may not leave; allowed: {_listed(policy.arrays)}")
        if array.dtype != np.float32:
            raise _stopped(f"array {name!r} is {array.dtype}; only float32 may leave")
        if not np.isfinite(array).all():
            raise _stopped(f"array {name!r} holds values that are not finite")
    size = sum(array.nbytes for array in arrays.values())
    if size > policy.max_update_bytes:
        raise _stopped(f"{size} bytes are more than the {policy.max_update_bytes} allowed")
    norm = math.sqrt(sum(float(np.square(array, dtype=np.float64).sum()) for array in arrays.values()))
    if norm > policy.max_update_norm:
        raise _stopped(f"a norm of {norm:.4g} is more than the {policy.max_update_norm:g} allowed")


def _stopped(what: str) -> PolicyError:
    return PolicyError(f"The update was stopped by this site's policy: {what}", "Decline the job or change the policy.")


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "nothing"
