"""Whether a patient is like those that a model was trained on, by what the model sees of them.

The model's card keeps means and deviations over its training patients, which tell of nobody. A patient is unlike the
training data where many inputs, or one by far, lie outside of what training patients showed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from flame.imaging.prepare import Context
from flame.models.encoding import Inputs, scalar_names, volume_names
from flame.records.patient import SEQUENCES
from flame.settings import Settings

__all__ = ["Deviation", "Familiarity", "InputSummary", "feature_names", "features", "judge", "summarise"]

FAR = 3.0
"""Standard deviations from which an input counts as outside of the training data."""

VERY_FAR = 6.0
FAR_SHARE = 0.1
"""One input beyond VERY_FAR, or a tenth of all beyond FAR, makes a patient unlike the training data.

Of independent normal inputs 0.3 % lie beyond FAR; clinical ones are neither, and a handful may.
"""

SMALLEST_DEVIATION = 0.1
"""On the scales of `models.encoding`; what never varied in training may vary by this before it counts."""

_IMAGES = ("brightness", "contrast", "highest")


class InputSummary(Settings):
    """What training patients looked like: mean and standard deviation of each of `names` over `patients` patients."""

    patients: int = Field(ge=2)
    names: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclass(frozen=True)
class Deviation:
    """An input, and by how many of the training patients' standard deviations it differs from their mean."""

    name: str
    deviations: float


@dataclass(frozen=True)
class Familiarity:
    """The verdict, and the inputs that lie outside of the training data, the farthest first."""

    unlike: bool
    outside: tuple[Deviation, ...]


def feature_names(context: Context) -> tuple[str, ...]:
    """Names of `features`: the scalars, then three figures of each image."""
    return (*scalar_names(context), *(f"{name}_{kind}" for name in _image_names(context) for kind in _IMAGES))


def features(scalars: NDArray[np.float32], halved: NDArray[np.float16], context: Context) -> NDArray[np.float64]:
    """What is compared: scalars, and per image the mean, deviation and 99th percentile in the brain of the cube.

    Args:
        scalars, halved: as in `models.encoding.Inputs`.

    Returns: float64 (names,); an image that is missing gives NaN, and is not compared.
    """
    names = volume_names(context)
    brain = halved[names.index("brain")] > 0.5
    images = [_figures(halved[names.index(name)][brain].astype(np.float32)) for name in _image_names(context)]
    return np.concatenate([scalars.astype(np.float64), *images])


def summarise(rows: Iterable[NDArray[np.float64]], context: Context) -> InputSummary | None:
    """Mean and deviation of each feature that two patients or more have; None for fewer than two patients."""
    table = np.array(list(rows))
    if len(table) < 2:
        return None
    known = np.isfinite(table)
    kept = np.flatnonzero(known.sum(0) >= 2)
    names = feature_names(context)
    columns = [table[known[:, column], column] for column in kept]
    return InputSummary(
        patients=len(table),
        names=tuple(names[column] for column in kept),
        mean=tuple(float(values.mean()) for values in columns),
        deviation=tuple(float(values.std(ddof=1)) for values in columns),
    )


def judge(inputs: Inputs, context: Context, summary: InputSummary) -> Familiarity:
    """Compare a patient with the training data."""
    values = dict(zip(feature_names(context), features(inputs.scalars, inputs.halved, context), strict=True))
    found = []
    for name, mean, deviation in zip(summary.names, summary.mean, summary.deviation, strict=True):
        far = abs(values[name] - mean) / max(deviation, SMALLEST_DEVIATION)
        if far > FAR:  # never for NaN
            found.append(Deviation(name, float(far)))
    found.sort(key=lambda one: (-one.deviations, one.name))
    unlike = len(found) > FAR_SHARE * len(summary.names) or any(one.deviations > VERY_FAR for one in found)
    return Familiarity(unlike, tuple(found))


def _image_names(context: Context) -> tuple[str, ...]:
    return tuple(name for name in volume_names(context) if name.split("_", 1)[-1] in SEQUENCES)


def _figures(values: NDArray[np.float32]) -> NDArray[np.float64]:
    if not values.any():
        return np.full(len(_IMAGES), np.nan)
    return np.array([values.mean(), values.std(), np.percentile(values, 99)], np.float64)
