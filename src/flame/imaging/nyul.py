"""Intensities of one sequence on a common scale over sites (Nyúl et al. 2000), by small vectors that can be shared.

An image's landmarks are percentiles inside the brain. The standard scale of a sequence is the mean of its images'
landmarks, each stretched to run from 0 to 100; `federation.scale` makes it of sites' means.
"""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, ValidationError, model_validator

from flame.errors import DataError
from flame.files import read_json, write_text
from flame.records.patient import Sequence
from flame.settings import Settings

__all__ = [
    "PERCENTILES",
    "Landmarks",
    "Scale",
    "Stretched",
    "landmarks",
    "read_scale",
    "standardised",
    "stretched",
    "write_scale",
]

PERCENTILES = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)
_TOP = 100.0

Landmarks = NDArray[np.float64]
"""Percentiles of an image in the brain, or of the standard scale, shape (11,), not falling."""


def _ends(values: tuple[float, ...]) -> tuple[float, ...]:
    if values[0] != 0 or values[-1] != _TOP or any(high < low for low, high in pairwise(values)):
        raise ValueError(f"landmarks run from 0 to {_TOP:g} and never fall")
    return values


Stretched = Annotated[
    tuple[float, ...], Field(min_length=len(PERCENTILES), max_length=len(PERCENTILES)), AfterValidator(_ends)
]
"""Landmarks that were stretched, or a mean of such, as a file holds them."""


class Scale(Settings):
    """The standard scale of a study: landmarks from 0 to 100 by sequence."""

    format: Literal["flame-scale/1"] = "flame-scale/1"
    percentiles: tuple[float, ...] = PERCENTILES
    landmarks: dict[Sequence, Stretched] = Field(min_length=1)

    @model_validator(mode="after")
    def _of_this_kind(self) -> Self:
        if self.percentiles != PERCENTILES:
            raise ValueError(f"percentiles are {', '.join(f'{one:g}' for one in PERCENTILES)}")
        return self


def read_scale(path: Path) -> Scale:
    """Read what `write_scale` wrote. Raises: DataError: if it is missing, damaged or no scale."""
    try:
        return Scale.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(f"{path} is no scale: {where}: {first['msg']}", "Make it by flame scale combine.") from error


def write_scale(path: Path, scale: Scale) -> None:
    """Write a scale as JSON, atomically; equal scales give equal bytes."""
    write_text(path, scale.model_dump_json(indent=1) + "\n")


def landmarks(image: NDArray[np.float32], brain: NDArray[np.bool_]) -> Landmarks:
    """Percentiles of an image inside the brain.

    Raises: ValueError: if the brain is empty, or the first and last percentile are equal.
    """
    inside = image[brain]
    if inside.size == 0:
        raise ValueError("the brain is empty")
    found = np.percentile(inside.astype(np.float64), PERCENTILES)
    if not found[-1] > found[0]:
        raise ValueError(f"the image is constant in the brain: {found[0]:g}")
    return found


def stretched(own: Landmarks) -> Landmarks:
    """An image's landmarks in shares of 100 of their range; the scanner's gain and offset are gone."""
    return np.asarray((own - own[0]) * (_TOP / (own[-1] - own[0])))


def standardised(image: NDArray[np.float32], own: Landmarks, scale: Landmarks) -> NDArray[np.float32]:
    """The image with its landmarks moved to those of the scale, straight in between and beyond the ends.

    Landmarks that coincide are taken as one.
    """
    keep = np.concatenate([[True], np.diff(own) > 0])
    x, y = own[keep], np.asarray(scale)[keep]
    moved = np.interp(image, x, y)
    low, high = (y[1] - y[0]) / (x[1] - x[0]), (y[-1] - y[-2]) / (x[-1] - x[-2])
    moved = np.where(image < x[0], y[0] + (image - x[0]) * low, moved)
    moved = np.where(image > x[-1], y[-1] + (image - x[-1]) * high, moved)
    return np.asarray(moved, np.float32)
