"""The slow change of brightness over an image that coils leave, found and taken out (N4, Tustison et al. 2010)."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from flame.imaging.itk import one_thread, onto, shrunk, to_image
from flame.records.volume import Volume

__all__ = ["Evened", "even"]

_FIT_MM = 4.0
_ITERATIONS = (30, 20, 10)
_FIELD_LIMIT = 4.0


@dataclass(frozen=True, eq=False)
class Evened:
    """An image without its bias field.

    Attributes:
        array: float32, the image over the field, the mean of the field in the brain being 1.
        field: float32, the field on the same grid.
        spread: 95th over 5th percentile of the field in the brain; 1 is a perfectly even coil.
    """

    array: NDArray[np.float32]
    field: NDArray[np.float32]
    spread: float


@one_thread()
def even(volume: Volume, brain: NDArray[np.bool_]) -> Evened:
    """Take the bias field out of an image. It is fitted in the brain on voxels of 4 mm: it has no finer detail.

    N4 costs by the voxel that counts. Every second one does, as on a chequerboard: in real and made-up heads the field
    of all differs from that by 0.1 % (standard deviation).

    Args:
        volume: an MR image, any unit, >= 0 in most of the brain.
        brain: shape of the volume; an empty one leaves the image as it is.
    """
    array = volume.array.astype(np.float32)
    if not brain.any() or not (array[brain] > 0).any():
        return Evened(array, np.ones_like(array), 1.0)
    small = shrunk(Volume(array, volume.grid), _FIT_MM)
    inside = onto(Volume(brain.astype(np.float32), volume.grid), small.grid, how="linear") > 0.5
    inside &= small.array > 0.02 * float(np.percentile(array[brain], 50))
    inside &= np.indices(inside.shape).sum(0) % 2 == 0
    if inside.sum() < 100:
        return Evened(array, np.ones_like(array), 1.0)
    image = to_image(Volume(np.maximum(small.array, 0), small.grid))
    correct = sitk.N4BiasFieldCorrectionImageFilter()
    correct.SetMaximumNumberOfIterations(list(_ITERATIONS))
    correct.Execute(image, to_image(Volume(inside.astype(np.uint8), small.grid)))
    logarithm = correct.GetLogBiasFieldAsImage(to_image(Volume(array, volume.grid)))
    field = np.exp(np.ascontiguousarray(sitk.GetArrayFromImage(logarithm).T)).astype(np.float32)
    field = np.clip(field / field[brain].mean(), 1 / _FIELD_LIMIT, _FIELD_LIMIT)
    low, high = np.percentile(field[brain], [5, 95])
    return Evened(array / field, field, float(high / low))
