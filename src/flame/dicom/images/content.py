"""What the voxels of a series say against its header: whether fluid is bright or dark, and what enhances.

Both are looked for in the middle of the brain, an ellipsoid around the ventricles that is found from the outline of the
head alone. They are coarse on purpose: clear on a mislabelled series, silent where a tumour or an artefact is unusual.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flame.records.patient import Sequence
from flame.records.volume import Volume

__all__ = ["FLUID", "Fluid", "enhancement", "fluid"]

Fluid = Literal["bright", "dark"]

FLUID: dict[Sequence, Fluid] = {"T1w": "dark", "T1ce": "dark", "T2w": "bright", "FLAIR": "dark"}
"""How cerebrospinal fluid looks on each sequence, beside brain."""

_RADII_MM = (45.0, 60.0, 35.0)
_BELOW_TOP_MM = 70.0
_STEP_MM = 3.0
_COARSE_MM = 4.0
_HEAD = 0.15
_FEWEST_POINTS = 4000
_BRIGHT_TAIL = 1.7
_DARK_TAIL = 0.55


def fluid(volume: Volume) -> Fluid | None:
    """Whether fluid is brighter or darker than brain; None where it is not clear.

    Fluid fills about a tenth of the middle of the brain. Bright: the 95th percentile is at least 1.7 of the median and
    the 5th above 0.55. Dark: the other way round.
    """
    values = _values(volume, _middle(volume))
    if values is None:
        return None
    dark, middle, bright = np.percentile(values, [5, 50, 95])
    if middle <= 0:
        return None
    bright_tail, dark_tail = bright / middle >= _BRIGHT_TAIL, dark / middle <= _DARK_TAIL
    if bright_tail == dark_tail:
        return None
    return "bright" if bright_tail else "dark"


def enhancement(before: Volume, after: Volume) -> float | None:
    """How much more of the middle of the brain is brighter on `after` than is darker, both over their medians.

    It is the 99th plus the 1st percentile of the difference: near 0 between two images without contrast, above 0 where
    vessels or a tumour enhance. Both must share one frame of reference.

    Returns: None where the images do not cover the middle of one head.
    """
    points = _middle(before)
    first, second = _values(before, points, keep=True), _values(after, points, keep=True)
    if first is None or second is None:
        return None
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < _FEWEST_POINTS:
        return None
    first, second = first[both], second[both]
    if min(np.median(first), np.median(second)) <= 0:
        return None
    change = second / np.median(second) - first / np.median(first)
    low, high = np.percentile(change, [1, 99])
    return float(low + high)


def _middle(volume: Volume) -> NDArray[np.float64]:
    """Points (n, 3) of the ellipsoid, RAS [mm]; around the middle of the head, below its top."""
    steps = [max(1, round(_COARSE_MM / mm)) for mm in volume.grid.spacing_mm]
    coarse = volume.array[:: steps[0], :: steps[1], :: steps[2]]
    labels, count = ndimage.label(coarse > _HEAD * np.percentile(coarse, 99))
    if count == 0:
        return np.empty((0, 3))
    head = labels == 1 + int(np.bincount(labels.ravel())[1:].argmax())
    matrix, origin = volume.grid.affine[:3, :3], volume.grid.affine[:3, 3]
    places = (np.argwhere(head) * steps) @ matrix.T + origin
    low, high = np.percentile(places, [1, 99], axis=0)
    centre = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, high[2] - _BELOW_TOP_MM])
    axes = [np.arange(-radius, radius + _STEP_MM, _STEP_MM) for radius in _RADII_MM]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(points[((points / _RADII_MM) ** 2).sum(axis=1) <= 1] + centre)


def _values(volume: Volume, points: NDArray[np.float64], keep: bool = False) -> NDArray[np.float64] | None:
    """Values at points; those outside are left out, or NaN where `keep`. None if too few lie inside."""
    if len(points) == 0:
        return None
    inverse = np.linalg.inv(volume.grid.affine)
    index = points @ inverse[:3, :3].T + inverse[:3, 3]
    inside = ((index >= 0) & (index <= np.subtract(volume.grid.shape, 1))).all(axis=1)
    if inside.sum() < _FEWEST_POINTS:
        return None
    values = np.full(len(points), np.nan)
    values[inside] = ndimage.map_coordinates(volume.array, index[inside].T, order=1)
    return values if keep else values[inside]
