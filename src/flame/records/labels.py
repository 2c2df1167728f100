"""What a label map may hold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.records.patient import LABELS

__all__ = ["unknown_labels"]

_HIGHEST = max(LABELS.values())


def unknown_labels(array: NDArray[Any]) -> NDArray[Any]:
    """The distinct values of a label map, in order, that are neither background nor one of LABELS.

    Args:
        array: finite values of any type and shape, at least one.
    """
    known = array.min() >= 0 and array.max() <= _HIGHEST
    if known and (array.dtype.kind in "biu" or bool((array == array.astype(np.uint8)).all())):
        return np.empty(0, array.dtype)
    values: NDArray[Any] = np.unique(array)
    wrong: NDArray[Any] = values[(values < 0) | (values > _HIGHEST) | (values != np.rint(values))]
    return wrong
