"""Brain anatomy: the ICBM 152 tissue maps that ship inside nilearn, and one subject's own version of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates

from flame.physics.fields import smooth_field
from flame.records.volume import Grid

__all__ = ["Tissue", "subject", "template"]

Field = NDArray[np.float32]
_MARGIN_MM = 8.0
_CRISPNESS = 2.2  # exponent that undoes the blur of a group average


@dataclass(frozen=True, eq=False)
class Tissue:
    """A brain on its grid, all arrays of shape (x, y, z).

    `wm`, `gm`, `csf`: probabilities of white matter, grey matter and fluid, zero outside the brain; `t1`: T1-weighted
    intensity relative to white matter; `brain`: bool.
    """

    wm: Field
    gm: Field
    csf: Field
    t1: Field
    brain: NDArray[np.bool_]
    grid: Grid


def template(spacing_mm: float) -> Tissue:
    """The ICBM 152 2009a average brain (Fonov et al. 2011) at a spacing [mm], cropped to the brain and 8 mm around it.

    Nothing is downloaded: nilearn's wheel holds the maps.

    Raises: ValueError: if the spacing is not a whole number of mm, for which there are no maps.
    """
    from nilearn import datasets

    if spacing_mm < 1 or spacing_mm != int(spacing_mm):
        raise ValueError(f"the anatomy comes at whole millimetres from 1 up, not at {spacing_mm} mm")
    resolution = int(spacing_mm)
    t1_image = datasets.load_mni152_template(resolution=resolution)
    t1 = np.asarray(t1_image.get_fdata(), np.float32)
    brain = np.asarray(datasets.load_mni152_brain_mask(resolution=resolution).get_fdata()) > 0
    wm = np.asarray(datasets.load_mni152_wm_template(resolution=resolution).get_fdata(), np.float32)
    gm = np.asarray(datasets.load_mni152_gm_template(resolution=resolution).get_fdata(), np.float32)
    voxels = np.argwhere(brain)
    margin = int(np.ceil(_MARGIN_MM / spacing_mm))
    low = np.maximum(voxels.min(0) - margin, 0)
    high = np.minimum(voxels.max(0) + margin + 1, brain.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    affine = np.array(t1_image.affine, np.float64)
    affine[:3, 3] += affine[:3, :3] @ low
    white, grey, inside = wm[box] * brain[box], gm[box] * brain[box], np.ascontiguousarray(brain[box])
    fluid = np.clip(1 - white - grey, 0, 1) * inside
    shape = (int(inside.shape[0]), int(inside.shape[1]), int(inside.shape[2]))
    white, grey, fluid, t1 = (np.ascontiguousarray(a, np.float32) for a in (white, grey, fluid, t1[box]))
    return Tissue(white, grey, fluid, t1, inside, Grid(shape, affine))


def subject(
    generator: np.random.Generator, average: Tissue, tumour_centre: tuple[int, int, int], tumour_radius_mm: float
) -> Tissue:
    """One subject's brain: the average under a random affine map, a smooth deformation, and a tumour's mass effect.

    Args:
        generator: source of the draws.
        average: from `template`.
        tumour_centre: voxel where the tumour began.
        tumour_radius_mm: radius of its core at diagnosis [mm]; 10 to 30 % of its volume has displaced tissue, which
            lies the further aside the nearer it was. 0 leaves the brain in place.

    Returns: tissue on the grid of `average`, crisper than the group average.
    """
    where = _sampling_positions(generator, average, tumour_centre, tumour_radius_mm)
    wm, gm, t1, inside = (
        map_coordinates(a, where, order=1) for a in (average.wm, average.gm, average.t1, _as_float(average.brain))
    )
    brain = inside > 0.5
    parts = [wm, gm, np.clip(1 - wm - gm, 0, 1)]
    sharpened = [part**_CRISPNESS for part in parts]
    total = sum(sharpened) + np.float32(1e-6)
    wm, gm, csf = (np.ascontiguousarray(part / total * brain, np.float32) for part in sharpened)
    return Tissue(wm, gm, csf, np.asarray(t1 * 1.1, np.float32), brain, average.grid)


def _as_float(mask: NDArray[np.bool_]) -> Field:
    return mask.astype(np.float32)


def _sampling_positions(
    generator: np.random.Generator, average: Tissue, tumour_centre: tuple[int, int, int], radius_mm: float
) -> Field:
    """Voxel position in the average for each voxel of the subject, float32 (3, x, y, z)."""
    shape, spacing = average.grid.shape, average.grid.spacing_mm[0]
    middle = (np.array(shape, np.float32) - 1) / 2
    linear = np.eye(3) + generator.normal(0, 0.015, (3, 3)) + np.diag(generator.normal(0, 0.03, 3))
    axes = [np.arange(n, dtype=np.float32) - m for n, m in zip(shape, middle, strict=True)]
    where = np.empty((3, *shape), np.float32)
    for axis in range(3):
        a, b, c = linear[axis].astype(np.float32)
        where[axis] = (
            a * axes[0][:, None, None] + b * axes[1][None, :, None] + c * axes[2][None, None, :] + middle[axis]
        )
        where[axis] += np.float32(1.3 / spacing) * smooth_field(generator, shape, 28 / spacing)
        where[axis] += np.float32(0.5 / spacing) * smooth_field(generator, shape, 12 / spacing)
    share = generator.uniform(0.10, 0.30)
    if radius_mm > 0:
        where -= _displacement(average, tumour_centre, radius_mm, share)
    return where


def _displacement(average: Tissue, centre: tuple[int, int, int], radius_mm: float, share: float) -> Field:
    """Outward shift [voxel] of tissue around a core that displaced `share` of its volume, fading to 0 at the skull."""
    shape, spacing = average.grid.shape, average.grid.spacing_mm[0]
    aside = [np.arange(n, dtype=np.float32) - c for n, c in zip(shape, centre, strict=True)]
    squared = aside[0][:, None, None] ** 2 + aside[1][None, :, None] ** 2 + aside[2][None, None, :] ** 2
    distance = np.sqrt(squared) * np.float32(spacing) + np.float32(1e-3)
    cubed = distance**3
    before = np.cbrt(np.maximum(cubed - np.float32(share * radius_mm**3), cubed * np.float32(1 - share)))
    reach = np.exp(-((distance / np.float32(3.0 * radius_mm)) ** 2))
    taper = np.clip(distance_transform_edt(average.brain) * (spacing / 25), 0, 1).astype(np.float32)
    factor = (distance - before) / distance * reach * taper
    shifts = (aside[0][:, None, None] * factor, aside[1][None, :, None] * factor, aside[2][None, None, :] * factor)
    return np.stack(shifts)
