"""Intensities of one sequence on a common scale over sites (Nyúl et al. 2000), by small vectors that can be shared.

An image's landmarks are percentiles inside the brain. A site's part of the standard scale is the sum of its images'
rescaled landmarks and their number: eleven sums and a count, which add up over sites to exactly what pooled images
would give.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PERCENTILES", "Landmarks", "ScalePart", "combine", "landmarks", "scale_part", "standardised"]

PERCENTILES = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)
_TOP = 100.0

Landmarks = NDArray[np.float64]
"""Percentiles of an image in the brain, or of the standard scale, shape (11,), not falling."""


@dataclass(frozen=True)
class ScalePart:
    """What a site tells about the scale: the number of its images and the sums of their landmarks, 0 to 100 each."""

    count: int
    sums: tuple[float, ...]


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


def scale_part(images: Iterable[Landmarks]) -> ScalePart:
    """A site's part: each image's landmarks, stretched to run from 0 to 100, summed."""
    count, sums = 0, np.zeros(len(PERCENTILES))
    for one in images:
        count += 1
        sums += (one - one[0]) * (_TOP / (one[-1] - one[0]))
    return ScalePart(count, tuple(sums.tolist()))


def combine(parts: Iterable[ScalePart]) -> Landmarks:
    """The standard scale over all sites, from 0 to 100: the mean over their images.

    Raises: ValueError: if no site has an image, or parts differ in length.
    """
    known = [part for part in parts if part.count > 0]
    if not known:
        raise ValueError("no site has an image")
    if {len(part.sums) for part in known} != {len(PERCENTILES)}:
        raise ValueError(f"a part has not {len(PERCENTILES)} sums")
    total = sum(part.count for part in known)
    return np.asarray(np.sum([part.sums for part in known], axis=0) / total)


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
