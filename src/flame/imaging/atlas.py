"""An atlas head laid over a patient's head, to learn where the brain is. The atlas is stretched, never the patient.

The ICBM152 template holds no skull, and a brain alone fits a whole head badly: its edge is drawn to the scalp. So the
template gets a dark shell for fluid and bone and a bright one for the scalp, and is fitted by an affine map from nine
starts: three tilts times three heights below the top of the head, so that the length of neck in the image does not
matter.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from flame.imaging.itk import Matrix, matrix_of, one_thread, onto, shrunk, to_image, transform_of
from flame.physics.anatomy import template
from flame.records.volume import Grid, Volume

__all__ = ["Atlas", "fit_head", "fit_mask", "head_atlas"]

_SPACING_MM = 2.0
_PADDING = 14
_BONE_MM, _SCALP_MM, _AIR_MM = 8.0, 15.0, 24.0
_BONE, _SCALP = 0.15, 1.3
"""Thickness of the shells and their brightness (white matter is 1); chosen before any patient was looked at."""

_FACE_MM = 45.0
"""So high above the lowest point of the brain the shells begin to count: below there are face and neck."""

_LEVELS_MM = (8.0, 4.0, 2.0)
_TILTS = np.deg2rad([-20.0, 0.0, 20.0])
_LIFTS_MM = (-15.0, 0.0, 15.0)
_HEAD_HEIGHT_MM = 130.0
_CENTRE_BELOW_TOP_MM = 75.0
_BINS, _SAMPLES, _SEED = 32, 60_000, 7


@dataclass(frozen=True, eq=False)
class Atlas:
    """The template as a head; all on one grid of 2 mm.

    Attributes:
        head: float32, brightness on T1w, white matter near 1.
        weight: uint8, 1 where the head counts.
        brain: float32, 1 inside.
        tissue: float32, probability of white or grey matter.
    """

    head: Volume
    weight: Volume
    brain: Volume
    tissue: Volume


@lru_cache(maxsize=1)
def head_atlas() -> Atlas:
    """The atlas; made once a process."""
    tissue = template(_SPACING_MM)
    affine = tissue.grid.affine.copy()
    affine[:3, 3] -= _PADDING * _SPACING_MM
    brain = np.pad(tissue.brain, _PADDING)
    grid = Grid((brain.shape[0], brain.shape[1], brain.shape[2]), affine)
    away = distance_transform_edt(~brain, sampling=_SPACING_MM)
    head = np.pad(tissue.t1, _PADDING)
    head[(away > 0) & (away <= _BONE_MM)] = _BONE
    head[(away > _BONE_MM) & (away <= _SCALP_MM)] = _SCALP
    height = np.arange(brain.shape[2]) * _SPACING_MM
    low = height < height[brain.any((0, 1))][0] + _FACE_MM
    weight = away <= np.where(low, 3.0, _AIR_MM)
    return Atlas(
        Volume(gaussian_filter(head, 0.7).astype(np.float32), grid),
        Volume(weight.astype(np.uint8), grid),
        Volume(brain.astype(np.float32), grid),
        Volume(np.pad(tissue.wm + tissue.gm, _PADDING).astype(np.float32), grid),
    )


@one_thread()
def fit_head(head: Volume) -> tuple[Matrix, float]:
    """The affine map from the atlas to a whole head, (4, 4) RAS [mm], and the mutual information reached [nat].

    Args:
        head: any MR sequence with scalp, in any orientation.
    """
    atlas = head_atlas()
    levels = [_level(atlas, head, one) for one in _LEVELS_MM]
    transform, value = max((_climb(levels[0], one, 8.0, 40) for one in _starts(atlas, head)), key=lambda one: one[1])
    for level, one in zip(levels[1:], _LEVELS_MM[1:]):
        transform, value = _climb(level, transform, one, 80)
    return matrix_of(transform), value


@one_thread()
def fit_mask(mask: Volume, start: Matrix) -> Matrix:
    """The affine map from the atlas near `start` whose brain covers a mask best (least squares of blurred masks).

    Args:
        mask: float32, 1 in the brain, on a grid of about 2 mm.
    """
    fixed = to_image(Volume(gaussian_filter(head_atlas().brain.array, 2.0), head_atlas().brain.grid))
    method = _method(fixed, transform := transform_of(start))
    method.SetMetricAsMeanSquares()
    _set_optimizer(method, 2.0, 100)
    method.Execute(fixed, to_image(Volume(gaussian_filter(mask.array, 2.0), mask.grid)))
    return matrix_of(transform)


def _level(atlas: Atlas, head: Volume, level_mm: float) -> tuple[Any, Any, Any]:
    still = atlas.head if level_mm <= _SPACING_MM else shrunk(atlas.head, level_mm)
    weight = onto(atlas.weight, still.grid, how="nearest")
    return to_image(still), to_image(shrunk(head, level_mm)), to_image(Volume(weight, still.grid))


def _starts(atlas: Atlas, head: Volume) -> list[Any]:
    brain = np.argwhere(atlas.brain.array > 0.5).mean(0)
    here = atlas.brain.grid.affine[:3, :3] @ brain + atlas.brain.grid.affine[:3, 3]
    there = _centre(head)
    starts = []
    for tilt in _TILTS:
        cosine, sine = np.cos(tilt), np.sin(tilt)
        turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
        for lift in _LIFTS_MM:
            start = np.eye(4)
            start[:3, :3] = turn
            start[:3, 3] = there + np.array([0.0, 0.0, lift]) - turn @ here
            starts.append(transform_of(start))
    return starts


def _centre(head: Volume) -> NDArray[np.float64]:
    """About where the brain's middle lies: below the top of the head, in the middle of what lies around there [mm]."""
    coarse = shrunk(head, 4.0)
    bright = np.argwhere(coarse.array > 0.15 * np.percentile(coarse.array, 99))
    points = bright @ coarse.grid.affine[:3, :3].T + coarse.grid.affine[:3, 3]
    top = float(np.percentile(points[:, 2], 99.5))
    middle = points[points[:, 2] > top - _HEAD_HEIGHT_MM].mean(0)
    return np.array([middle[0], middle[1], top - _CENTRE_BELOW_TOP_MM])


def _climb(level: tuple[Any, Any, Any], start: Any, level_mm: float, iterations: int) -> tuple[Any, float]:
    fixed, moving, weight = level
    transform = transform_of(matrix_of(start))
    method = _method(fixed, transform)
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricFixedMask(weight)
    _set_optimizer(method, level_mm / 2, iterations)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:  # ITK's word for images that do not overlap under this start
        return transform, -np.inf
    return transform, -float(method.GetMetricValue())


def _method(fixed: Any, transform: Any) -> Any:
    """A registration on one thread with fixed samples: the same images give the same map. The centre is the image's."""
    middle = fixed.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in fixed.GetSize()])
    matrix, shift = np.reshape(transform.GetMatrix(), (3, 3)), np.array(transform.GetTranslation())
    transform.SetCenter(middle)
    transform.SetTranslation((matrix @ middle + shift - middle).tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(transform, inPlace=True)
    method.MetricUseFixedImageGradientFilterOff()  # only the moving image's gradients are asked for
    voxels = int(np.prod(fixed.GetSize()))
    if voxels > _SAMPLES:
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentage(_SAMPLES / voxels, _SEED)
    return method


def _set_optimizer(method: Any, step_mm: float, iterations: int) -> None:
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step_mm,
        minStep=step_mm / 50,
        numberOfIterations=iterations,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-7,
    )
    method.SetOptimizerScalesFromPhysicalShift()
