"""How well a predicted region matches the true one: overlap, surfaces, volumes, and what changed since the last exam.

Empty masks (`docs/metrics.md`): where both masks are empty, overlap scores are 1 and distances 0 mm; where one is
empty, overlap scores are 0 and distances the diagonal of the image. Voxels beyond the image count as background.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

__all__ = [
    "LOG_RATIO_FLOOR_ML",
    "OverlapScores",
    "absolute_volume_error_ml",
    "change_dice",
    "dice",
    "hd95",
    "log_volume_ratio",
    "overlap",
    "relative_volume_error",
    "surface_dice",
    "volume_ml",
]

LOG_RATIO_FLOOR_ML = 0.1
"""Added to both volumes of a log ratio, so that it stays finite where a region vanished; well under the 0.52 ml of the
smallest measurable lesion (a sphere of 10 mm)."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class OverlapScores:
    """All scores of one predicted region of one exam.

    `dice`, `surface_dice` in [0, 1]; `hd95_mm` >= 0; volumes in ml; `change_dice` in [0, 1], of which `gained_dice` and
    `lost_dice` are the two halves, each `None` where there is no last map, or where neither the prediction nor the
    truth has such voxels.
    """

    dice: float
    hd95_mm: float
    surface_dice: float
    volume_ml: float
    true_volume_ml: float
    change_dice: float | None = None
    gained_dice: float | None = None
    lost_dice: float | None = None


def dice(prediction: NDArray[Any], truth: NDArray[Any], spacing_mm: Sequence[float] | None = None) -> float:
    """Twice the common voxels over the sum of both masks (Dice 1945).

    Args:
        prediction: mask of 0 and 1, any number of axes.
        truth: mask of the same shape.
        spacing_mm: edges of a voxel [mm]; has no influence, and may be given so that all scores are called alike.
    """
    first, second, _ = _checked(prediction, truth, spacing_mm)
    return _dice(first, second)


def hd95(prediction: NDArray[Any], truth: NDArray[Any], spacing_mm: Sequence[float]) -> float:
    """95th percentile of the Hausdorff distance [mm]: the larger one of the two directions.

    A surface is the set of voxels of a mask that share a face with the background; distances run between the centres of
    voxels; percentiles are interpolated linearly, as in MONAI's `compute_hausdorff_distance(percentile=95)`.

    Args:
        prediction: mask of 0 and 1, any number of axes.
        truth: mask of the same shape.
        spacing_mm: edges of a voxel [mm], one for each axis.
    """
    first, second, spacing = _checked(prediction, truth, spacing_mm)
    return _hd95(_distances(first, second, spacing), _diagonal(first, spacing))


def surface_dice(
    prediction: NDArray[Any], truth: NDArray[Any], spacing_mm: Sequence[float], tolerance_mm: float = 2.0
) -> float:
    """Share of both surfaces that lies within a tolerance of the other one (normalised surface distance).

    Nikolov et al. 2018, with surfaces counted in voxels as in MONAI's `compute_surface_dice(use_subvoxels=False)`.

    Args:
        prediction: mask of 0 and 1, any number of axes.
        truth: mask of the same shape.
        spacing_mm: edges of a voxel [mm], one for each axis.
        tolerance_mm: largest distance [mm] that counts as right, >= 0; the bound itself is right.
    """
    first, second, spacing = _checked(prediction, truth, spacing_mm)
    return _surface_dice(_distances(first, second, spacing), _valid_tolerance(tolerance_mm))


def volume_ml(mask: NDArray[Any], spacing_mm: Sequence[float]) -> float:
    """Volume of a mask [ml] from its number of voxels; `spacing_mm` holds the three edges of a voxel [mm]."""
    voxels, _, spacing = _checked(mask, mask, spacing_mm)
    return _volume_ml(voxels, spacing)


def absolute_volume_error_ml(predicted_ml: float, true_ml: float) -> float:
    """Absolute difference of two volumes [ml]."""
    return abs(predicted_ml - true_ml)


def relative_volume_error(predicted_ml: float, true_ml: float) -> float | None:
    """Signed error as a share of the true volume, >= -1; `None` where the true volume is 0."""
    return (predicted_ml - true_ml) / true_ml if true_ml > 0 else None


def log_volume_ratio(predicted_ml: float, true_ml: float) -> float:
    """Natural logarithm of predicted over true volume, both raised by `LOG_RATIO_FLOOR_ML`; 0 is right, symmetric."""
    return float(np.log((predicted_ml + LOG_RATIO_FLOOR_ML) / (true_ml + LOG_RATIO_FLOOR_ML)))


def change_dice(prediction: NDArray[Any], truth: NDArray[Any], last: NDArray[Any]) -> float | None:
    """Dice of the voxels that changed since the last map: what the prediction says beyond carrying that map forward.

    Changed voxels are `mask xor last`. A voxel outside `last` can only be gained and one inside it only be lost, so
    gained voxels are only ever compared with gained ones and lost with lost. Persistence scores 0 wherever the truth
    has changed at all.

    Args:
        prediction: mask of 0 and 1 at the horizon.
        truth: mask of the same shape at the horizon.
        last: mask of the same shape at the last exam that the model saw.

    Returns: a number in [0, 1]; `None` where neither the prediction nor the truth differs from `last`.
    """
    predicted, true, _ = _checked(prediction, truth, None)
    before, _, _ = _checked(last, truth, None)
    return _known_dice(predicted ^ before, true ^ before)


def overlap(
    prediction: NDArray[Any],
    truth: NDArray[Any],
    spacing_mm: Sequence[float],
    last: NDArray[Any] | None = None,
    tolerance_mm: float = 2.0,
) -> OverlapScores:
    """All scores of one region at once, from one box around the masks and one search for nearest surface voxels.

    Args:
        prediction: mask of 0 and 1, any number of axes.
        truth: mask of the same shape.
        spacing_mm: edges of a voxel [mm], one for each axis.
        last: mask at the last exam that the model saw, or `None` if change is not asked for.
        tolerance_mm: of the surface Dice [mm], >= 0.
    """
    first, second, spacing = _checked(prediction, truth, spacing_mm)
    tolerance_mm = _valid_tolerance(tolerance_mm)
    distances = _distances(first, second, spacing)
    gained = lost = changed = None
    if last is not None:
        before, _, _ = _checked(last, truth, spacing_mm)
        changed = _known_dice(first ^ before, second ^ before)
        gained = _known_dice(first & ~before, second & ~before)
        lost = _known_dice(before & ~first, before & ~second)
    return OverlapScores(
        dice=_dice(first, second),
        hd95_mm=_hd95(distances, _diagonal(first, spacing)),
        surface_dice=_surface_dice(distances, tolerance_mm),
        volume_ml=_volume_ml(first, spacing),
        true_volume_ml=_volume_ml(second, spacing),
        change_dice=changed,
        gained_dice=gained,
        lost_dice=lost,
    )


def _checked(
    prediction: NDArray[Any], truth: NDArray[Any], spacing_mm: Sequence[float] | None
) -> tuple[Mask, Mask, NDArray[np.float64]]:
    first, second = _mask(prediction), _mask(truth)
    if first.shape != second.shape:
        raise ValueError(f"masks must have one shape, got {first.shape} and {second.shape}")
    spacing = np.ones(first.ndim) if spacing_mm is None else np.asarray(spacing_mm, dtype=np.float64)
    if spacing.shape != (first.ndim,) or not (np.isfinite(spacing) & (spacing > 0)).all():
        raise ValueError(f"spacing must be {first.ndim} lengths > 0 mm, got {spacing_mm}")
    return first, second, spacing


def _mask(array: NDArray[Any]) -> Mask:
    array = np.asarray(array)
    if array.dtype == np.bool_:
        return array
    foreground: Mask = array == 1
    if not (foreground | (array == 0)).all():
        raise ValueError(f"a mask holds 0 and 1 only, got values from {array.min()} to {array.max()}")
    return foreground


def _valid_tolerance(tolerance_mm: float) -> float:
    if not 0 <= tolerance_mm < np.inf:
        raise ValueError(f"tolerance must be >= 0 mm, got {tolerance_mm}")
    return tolerance_mm


def _dice(first: Mask, second: Mask) -> float:
    known = _known_dice(first, second)
    return 1.0 if known is None else known


def _known_dice(first: Mask, second: Mask) -> float | None:
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return float(2.0 * np.count_nonzero(first & second) / total) if total else None


def _volume_ml(mask: Mask, spacing: NDArray[np.float64]) -> float:
    return float(np.count_nonzero(mask) * np.prod(spacing) / 1000.0)


def _diagonal(mask: Mask, spacing: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(np.array(mask.shape) * spacing))


@dataclass(frozen=True, eq=False)
class _Distances:
    """From every surface voxel of one mask to the nearest of the other [mm]; empty arrays for empty masks.

    They are float32, so that a distance of ten voxels of 0.2 mm is 2 mm, and within a tolerance of 2 mm.
    """

    to_truth: NDArray[np.float32]
    to_prediction: NDArray[np.float32]
    one_empty: bool


def _distances(prediction: Mask, truth: Mask, spacing: NDArray[np.float64]) -> _Distances:
    box = _box(prediction | truth)
    first, second = _surface(prediction[box]), _surface(truth[box])
    none = np.zeros(0, dtype=np.float32)
    if not first.any() or not second.any():
        return _Distances(none, none, one_empty=bool(first.any() or second.any()))
    return _Distances(_nearest(first, second, spacing), _nearest(second, first, spacing), one_empty=False)


def _box(mask: Mask) -> tuple[slice, ...]:
    """Smallest box around a mask; nothing of an empty one."""
    box = []
    for axis in range(mask.ndim):
        used = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 0))
    return tuple(box)


def _surface(mask: Mask) -> Mask:
    """Voxels that share a face with the background or with the border of the array."""
    inner = mask.copy()
    for axis in range(mask.ndim):
        line, within = np.moveaxis(mask, axis, 0), np.moveaxis(inner, axis, 0)
        within[1:] &= line[:-1]
        within[:-1] &= line[1:]
        within[:1] = False
        within[-1:] = False
    surface: Mask = mask ^ inner
    return surface


def _nearest(source: Mask, target: Mask, spacing: NDArray[np.float64]) -> NDArray[np.float32]:
    """Distance [mm] from each voxel of `source` to the nearest of `target`; only those not in both are searched for."""
    apart = source & ~target
    distances = np.zeros(np.count_nonzero(source), dtype=np.float32)
    if apart.any():
        tree = KDTree(np.argwhere(target) * spacing, leafsize=64, compact_nodes=False, balanced_tree=False)
        found = np.asarray(tree.query(np.argwhere(apart) * spacing)[0])
        distances[: found.size] = found
    return distances


def _hd95(distances: _Distances, diagonal_mm: float) -> float:
    if distances.one_empty:
        return diagonal_mm
    if not distances.to_truth.size:
        return 0.0
    return float(max(np.quantile(each, 0.95) for each in (distances.to_truth, distances.to_prediction)))


def _surface_dice(distances: _Distances, tolerance_mm: float) -> float:
    if distances.one_empty:
        return 0.0
    total = distances.to_truth.size + distances.to_prediction.size
    right = (distances.to_truth <= tolerance_mm).sum() + (distances.to_prediction <= tolerance_mm).sum()
    return float(right / total) if total else 1.0
