"""The coordinator's step: what it makes of the sites' mean difference, with the moments that it keeps between rounds.

The mean difference plays the part of a negative gradient (Reddi 2021, "Adaptive Federated Optimization").
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from flame.federation.job import Aggregation, FedAdam, FedAvgM

__all__ = ["first_moments", "step"]

Arrays = Mapping[str, NDArray[np.float32]]
Moments = Mapping[str, Arrays]


def first_moments(aggregation: Aggregation, reference: Arrays) -> Moments:
    """The moments before the first round: moment name -> arrays shaped as `reference`; none for most rules.

    FedAdam's second moment starts at epsilon**2, the smallest start that Reddi 2021 allows (unverified).
    """
    zeros = {name: np.zeros_like(array) for name, array in reference.items()}
    if isinstance(aggregation, FedAvgM):
        return {"momentum": zeros}
    if isinstance(aggregation, FedAdam):
        start = np.float32(aggregation.epsilon**2)
        return {"first": zeros, "second": {name: np.full_like(array, start) for name, array in reference.items()}}
    return {}


def step(aggregation: Aggregation, moments: Moments, reference: Arrays, mean: Arrays) -> tuple[Arrays, Moments]:
    """One step of the coordinator.

    Args:
        aggregation: the job's rule.
        moments: as `first_moments` or the last step gave them.
        reference: the model that the sites started from.
        mean: aggregated difference, same names and shapes.

    Returns: the next model, float32, and the next moments. All arithmetic is in float64 and coordinate by coordinate.
    """
    if isinstance(aggregation, FedAvgM):
        momentum = _mix(moments["momentum"], mean, aggregation.momentum, 1.0)
        return _moved(reference, momentum, aggregation.server_learning_rate), {"momentum": momentum}
    if isinstance(aggregation, FedAdam):
        return _adam(aggregation, moments, reference, mean)
    return _moved(reference, mean, 1.0), {}


def _adam(aggregation: FedAdam, moments: Moments, reference: Arrays, mean: Arrays) -> tuple[Arrays, Moments]:
    """Adam without bias correction (Reddi 2021, algorithm 2)."""
    squares = {name: np.square(array, dtype=np.float64) for name, array in mean.items()}
    first = _mix(moments["first"], mean, aggregation.momentum, 1.0 - aggregation.momentum)
    second = _mix(moments["second"], squares, aggregation.beta2, 1.0 - aggregation.beta2)
    direction = {
        name: first[name].astype(np.float64) / (np.sqrt(second[name], dtype=np.float64) + aggregation.epsilon)
        for name in reference
    }
    moved = _moved(reference, direction, aggregation.server_learning_rate)
    return moved, {"first": first, "second": second}


def _mix(
    old: Arrays, new: Mapping[str, NDArray[np.float32]] | Mapping[str, NDArray[np.float64]], keep: float, take: float
) -> dict[str, NDArray[np.float32]]:
    return {
        name: np.asarray(keep * old[name].astype(np.float64) + take * np.asarray(new[name], np.float64), np.float32)
        for name in old
    }


def _moved(
    reference: Arrays, direction: Mapping[str, NDArray[np.float32]] | Mapping[str, NDArray[np.float64]], rate: float
) -> dict[str, NDArray[np.float32]]:
    return {
        name: np.asarray(array.astype(np.float64) + rate * np.asarray(direction[name], np.float64), np.float32)
        for name, array in reference.items()
    }
