"""A head around the brain of the virtual trial, as MR and CT show it: fluid, skull and scalp in layers of equal depth.

The layers are those that the dose was computed through (`physics.beams.make_head`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from flame.records.patient import Sequence
from flame.records.volume import Grid, Volume
from flame.virtual.slices import pad

__all__ = ["HEAD_MM", "Head", "ct_numbers", "dressed", "make_head"]

HEAD_MM = 16.0
"""Air, scalp, skull and fluid around the brain's box of 8 mm margin, with room to spare [mm]."""

_LAYERS_MM = (2.0, 8.0, 13.0)
_MR: dict[Sequence, tuple[float, float, float]] = {
    "T1w": (0.35, 0.10, 1.45),
    "T1ce": (0.38, 0.10, 1.50),
    "T2w": (1.70, 0.08, 1.00),
    "FLAIR": (0.20, 0.08, 0.90),
}
"""Signal of fluid, skull and scalp relative to the median of the brain (typical, unverified)."""

_CT_HU = (8.0, 900.0, -40.0)
_AIR_HU = -1000.0
_NOISE_MR, _NOISE_HU = 0.03, 7.0


@dataclass(frozen=True, eq=False)
class Head:
    """The brain's mask on the wider grid of the head, and the layer of each voxel: 0 brain, 1 to 3 outwards, 4 air."""

    brain: NDArray[np.bool_]
    layer: NDArray[np.uint8]
    grid: Grid


def make_head(brain: Volume) -> Head:
    """Dress a brain mask (bool or 0/1) on an axis-aligned grid."""
    wide = pad(brain, HEAD_MM - 8.0)
    inside = wide.array > 0
    beyond = distance_transform_edt(~inside, sampling=wide.grid.spacing_mm)
    layer = 1 + np.searchsorted(_LAYERS_MM, beyond)
    layer[inside] = 0
    return Head(inside, layer.astype(np.uint8), wide.grid)


def dressed(generator: np.random.Generator, head: Head, image: Volume, sequence: Sequence) -> NDArray[np.int16]:
    """An MR image with the head around the brain, in whole scanner units up to 30000 at the brain's brightest.

    Voxels of the brain are those of `image` times one factor. The rest has noise of a magnitude image.
    """
    wide = pad(image, HEAD_MM - 8.0).array
    wide = wide * np.float32(30000 / wide.max())
    unit = float(np.median(wide[head.brain]))
    values = generator.standard_normal(wide.shape, np.float32)
    np.abs(values, out=values)
    values *= np.float32(_NOISE_MR * unit)
    values += np.take(np.array([0.0, *_MR[sequence], 0.0], np.float32) * np.float32(unit), head.layer)
    np.copyto(values, wide, where=head.brain)
    np.rint(np.minimum(values, 32767, out=values), out=values)
    return values.astype(np.int16)


def ct_numbers(generator: np.random.Generator, head: Head, t1: Volume) -> NDArray[np.int16]:
    """A planning CT in Hounsfield units: bone where the skull is; in the brain, dark T1 is read as fluid."""
    signal = pad(t1, HEAD_MM - 8.0).array
    relative = signal / np.median(signal[head.brain])
    brain = 37 - 30 * np.clip((0.75 - relative) / 0.4, 0, 1)
    values = np.where(head.brain, brain, np.take(np.array([0.0, *_CT_HU, _AIR_HU], np.float32), head.layer))
    noise = np.float32(_NOISE_HU) * generator.standard_normal(values.shape, np.float32)
    whole: NDArray[np.int16] = np.rint(np.maximum(values + noise, -1024)).astype(np.int16)
    return whole
