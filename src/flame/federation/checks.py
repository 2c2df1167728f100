"""What an update must be before it may count: the coordinator believes nothing that it has not checked."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from flame.errors import UpdateRejected
from flame.federation.update import Update

__all__ = ["MAX_SAMPLES", "Expected", "check", "check_origin", "norm"]

MAX_SAMPLES = 2**29  # a float32 times at most this is exact in float64, which keeps the weighted sum exact
_HINT = "The round goes on without this update; compare FLAME's version, the job and the data at the site."


@dataclass(frozen=True)
class Expected:
    """What the updates of one round have in common.

    Args:
        job_hash: of the running job.
        round: the running round.
        sites: the sites that were asked.
        shapes: array name -> shape, as in the model that was sent.
        max_norm: largest Euclidean norm of the difference over all arrays.
    """

    job_hash: str
    round: int
    sites: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    max_norm: float


def check(update: Update, expected: Expected, received: Collection[str] = ()) -> None:
    """Refuse an update that may not be aggregated.

    Args:
        update: what a site sent, already decoded.
        expected: what this round's updates must be.
        received: the sites whose updates of this round are already there.

    Raises: UpdateRejected: if it is from another job or round, from an unknown site, or a second one from its site; if
        names, shapes or types differ; if a value is not finite, the norm is too large, or the sample count is not
        in 1..`MAX_SAMPLES`. The message names the first reason.
    """
    check_origin(update, expected, received)
    _check_arrays(update, expected)
    _check_numbers(update)
    size = norm(update)
    if not size <= expected.max_norm:
        raise UpdateRejected(f"norm {size:.6g} is above the bound {expected.max_norm:.6g}", _HINT)


def check_origin(update: Update, expected: Expected, received: Collection[str] = ()) -> None:
    """The part of `check` that looks at no array: job, round, site.

    Raises: UpdateRejected: as `check`.
    """
    if update.job_hash != expected.job_hash:
        raise UpdateRejected(f"it belongs to job {update.job_hash[:12]}, not {expected.job_hash[:12]}", _HINT)
    if update.round != expected.round:
        raise UpdateRejected(f"it belongs to round {update.round}, not {expected.round}", _HINT)
    if update.site not in expected.sites:
        raise UpdateRejected(f"site {update.site!r} does not take part in this job", _HINT)
    if update.site in received:
        raise UpdateRejected(f"site {update.site!r} has already sent its update of round {update.round}", _HINT)


def norm(update: Update) -> float:
    """Euclidean norm of all arrays together; not finite if any value is not (a float32 squared fits in float64)."""
    return math.sqrt(math.fsum(_squares(update, name) for name in sorted(update.arrays)))


def _squares(update: Update, name: str) -> float:
    return float(np.sum(np.square(update.arrays[name], dtype=np.float64)))


def _check_arrays(update: Update, expected: Expected) -> None:
    if set(update.arrays) != set(expected.shapes):
        first = sorted(set(update.arrays) ^ set(expected.shapes))[0]
        raise UpdateRejected(f"array names differ from the model's: {first!r}", _HINT)
    for name, shape in expected.shapes.items():
        array = update.arrays[name]
        if array.dtype != np.float32 or array.shape != shape:
            raise UpdateRejected(f"array {name!r} is {array.dtype} {array.shape}, expected float32 {shape}", _HINT)
        if not np.isfinite(array).all():
            raise UpdateRejected(f"array {name!r} holds NaN or infinity", _HINT)


def _check_numbers(update: Update) -> None:
    if type(update.samples) is not int or not 1 <= update.samples <= MAX_SAMPLES:
        raise UpdateRejected(f"samples = {update.samples!r}, expected 1 to {MAX_SAMPLES}", _HINT)
    for name, value in update.scalars.items():
        if not math.isfinite(value):
            raise UpdateRejected(f"scalar {name!r} = {value!r} is not finite", _HINT)
