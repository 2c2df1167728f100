"""Many sites' differences become one, in memory that does not grow with the number of sites.

Updates whose arrays are stored on disk (`update.open_update`) are read piece by piece. Every function gives the same
bytes whatever the order of the updates.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from flame.federation.job import Aggregation
from flame.federation.update import Update

__all__ = ["Sum", "aggregate", "fedavg", "median", "trimmed_mean", "weighted_sums"]

Arrays = dict[str, NDArray[np.float32]]

_SUM_BLOCK = 2**15  # values of one array that are added at a time: small enough for the processor's cache
_SORT_BLOCK = 2**20  # values of all sites together that are sorted at a time: 4 MiB


def aggregate(aggregation: Aggregation, updates: Collection[Update]) -> Arrays:
    """The one difference that the sites' differences stand for, by the rule that the job names.

    Raises: ValueError: if there are no updates, or one lacks an array that another has.
    """
    if aggregation.name == "median":
        return median(updates)
    if aggregation.name == "trimmed_mean":
        return trimmed_mean(updates, aggregation.trim)
    return fedavg(updates)


def fedavg(updates: Iterable[Update]) -> Arrays:
    """Mean of the updates' arrays weighted by their samples (McMahan 2017), in one pass that keeps no update.

    The sum is carried as a pair of float64 whose second member holds the rounding errors of the first (Knuth's exact
    two-sum), so that it is good to about 106 bits and rounds to the same float32 in any order; only sums that cancel
    to less than 2**-80 of their largest member could tell orders apart.

    Args:
        updates: at least one, all with the same names and shapes; samples >= 1.

    Returns: array name -> mean, float32, in name order.
    Raises: ValueError: if there are no updates or their names or shapes differ.
    """
    sums, samples = weighted_sums(updates)
    return {name: total.divided(samples) for name, total in sums.items()}


def weighted_sums(updates: Iterable[Update]) -> "tuple[dict[str, Sum], int]":
    """The sums of the updates' arrays times their samples, in name order, and of the samples; as `fedavg`."""
    sums: dict[str, Sum] = {}
    samples = 0
    for update in updates:
        if not sums:
            sums = {name: Sum(update.arrays[name].shape) for name in sorted(update.arrays)}
        _same_names(sums, update)
        for name, total in sums.items():
            total.add(update.arrays[name], update.samples)
        samples += update.samples
    if samples == 0:
        raise ValueError("there are no updates to average")
    return sums, samples


def median(updates: Collection[Update]) -> Arrays:
    """Median over the sites of every coordinate (Yin 2018): fewer than half of the sites can't move it at will.

    Samples do not count: a site that lies about its data would lie about their number. For an even number of sites
    it is the mean of the two in the middle.

    Args:
        updates: at least one, all with the same names and shapes; they are read once for each block.

    Raises: ValueError: if there are no updates or their names or shapes differ.
    """
    first, last = (len(updates) - 1) // 2, len(updates) // 2
    return _blockwise(updates, lambda ordered: np.mean(ordered[:, first : last + 1], axis=1, dtype=np.float64))


def trimmed_mean(updates: Collection[Update], trim: float) -> Arrays:
    """Mean over the sites of every coordinate without its largest and smallest values (Yin 2018); samples do not count.

    Args:
        updates: at least one, all with the same names and shapes; they are read once for each block.
        trim: share of the sites left out at each end, in [0, 0.5); the number is rounded down, so 0 is the plain mean.

    Raises: ValueError: if there are no updates, their names or shapes differ, or `trim` is out of its range.
    """
    if not 0.0 <= trim < 0.5:
        raise ValueError(f"trim = {trim!r}, expected 0 <= trim < 0.5")
    cut = math.floor(trim * len(updates) + 1e-9)  # 0.29 * 100 is 28.999…; 29 sites are meant
    stop = len(updates) - cut
    return _blockwise(updates, lambda ordered: np.mean(ordered[:, cut:stop], axis=1, dtype=np.float64))


class Sum:
    """Sum of float32 arrays times integers, exact to about 106 bits."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._pair = np.zeros((2, math.prod(shape)))
        self._high, self._low = self._pair

    def add(self, array: NDArray[np.float32], times: int) -> None:
        """Add an array `times` times."""
        if array.shape != self._shape:
            raise ValueError(f"an array has shape {array.shape}, that of another update {self._shape}")
        flat = array.reshape(-1)
        for block in _blocks(flat.size, _SUM_BLOCK):
            term = flat[block].astype(np.float64) * times
            high = self._high[block]
            total = high + term
            shadow = total - high
            self._low[block] += (high - (total - shadow)) + (term - shadow)
            self._high[block] = total

    def add_pair(self, pair: NDArray[np.float64]) -> None:
        """Add another sum of the same shape, as `pair` gave it: nothing of it is lost."""
        if pair.shape != (2, *self._shape):
            raise ValueError(f"a sum has shape {pair.shape[1:]}, another one {self._shape}")
        flat = pair.reshape(2, -1)
        for block in _blocks(flat.shape[1], _SUM_BLOCK):
            term, high = flat[0, block], self._high[block]
            total = high + term
            shadow = total - high
            self._low[block] += (high - (total - shadow)) + (term - shadow) + flat[1, block]
            self._high[block] = total

    def pair(self) -> NDArray[np.float64]:
        """The sum and the rounding errors in it, shape (2, *shape); later sums show in it."""
        return self._pair.reshape(2, *self._shape)

    def divided(self, by: int) -> NDArray[np.float32]:
        """The sum over a whole number, float32."""
        return ((self._high + self._low) / by).astype(np.float32).reshape(self._shape)


def _blockwise(updates: Collection[Update], reduce: Callable[[NDArray[np.float32]], NDArray[np.float64]]) -> Arrays:
    """Apply `reduce` to the values of all sites, sorted along axis 1, for one block of coordinates after another."""
    if not updates:
        raise ValueError("there are no updates to aggregate")
    shapes = {name: array.shape for name, array in sorted(next(iter(updates)).arrays.items())}
    for update in updates:
        _same_names(shapes, update)
    result = {name: np.empty(math.prod(shape), np.float32) for name, shape in shapes.items()}
    for name, flat in result.items():
        for block in _blocks(flat.size, max(1, _SORT_BLOCK // len(updates))):
            values = _values(updates, name, shapes[name], block)
            values.sort(axis=1)
            flat[block] = reduce(values) + 0.0  # -0.0 sorts equal to 0.0: without this the order could show
    return {name: flat.reshape(shapes[name]) for name, flat in result.items()}


def _values(updates: Collection[Update], name: str, shape: tuple[int, ...], block: slice) -> NDArray[np.float32]:
    """The coordinates `block` of array `name` at every site, shape (block, sites)."""
    values = np.empty((block.stop - block.start, len(updates)), np.float32)
    for column, update in zip(values.T, updates, strict=True):
        array = update.arrays[name]
        if array.shape != shape:
            raise ValueError(f"array {name!r} has shape {array.shape}, that of another update {shape}")
        column[:] = array.reshape(-1)[block]
    return values


def _blocks(size: int, block: int) -> Iterator[slice]:
    return (slice(start, min(start + block, size)) for start in range(0, size, block))


def _same_names(names: Collection[str], update: Update) -> None:
    if set(update.arrays) != set(names):
        raise ValueError(f"array names differ between updates: {sorted(set(update.arrays) ^ set(names))[0]!r}")
