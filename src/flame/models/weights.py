"""A network's parameters as named float32 arrays, and back."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from flame.errors import DataError

__all__ = ["get_arrays", "set_arrays"]

_HINT = "The arrays belong to another model, context or version: use the folder that they were saved with."


def get_arrays(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Copies of all parameters by name."""
    return {name: value.detach().cpu().numpy().astype(np.float32) for name, value in network.named_parameters()}


def set_arrays(network: nn.Module, arrays: Mapping[str, NDArray[np.float32]]) -> None:
    """Give a network these parameters.

    Raises: DataError: if an array is missing, unknown, of another shape or not finite; the message names the first.
    """
    parameters = dict(network.named_parameters())
    for name in sorted(parameters.keys() ^ arrays.keys()):
        raise DataError(f"Array {name!r} is {'missing' if name in parameters else 'unknown to the model'}", _HINT)
    for name, parameter in parameters.items():
        array = arrays[name]
        if array.shape != tuple(parameter.shape):
            raise DataError(f"Array {name!r} has shape {array.shape}, expected {tuple(parameter.shape)}", _HINT)
        if not np.isfinite(array).all():
            raise DataError(f"Array {name!r} holds values that are not finite", _HINT)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(torch.from_numpy(np.array(arrays[name], np.float32)))
