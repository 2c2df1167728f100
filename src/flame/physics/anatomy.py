"""Brain anatomy: tissue maps of the ICBM152 template, and random subjects made from it.

The maps are the ICBM 2009a non-linear symmetric atlas (Fonov et al. 2011) that ships inside the nilearn wheel. They are
read from there directly: importing nilearn and its own resampling take four times as long. Nothing is downloaded.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from flame.errors import DataError
from flame.physics.fields import smooth_field
from flame.physics.interpolation import warp_channels
from flame.records.volume import Grid

__all__ = ["Tissue", "subject", "template"]

_MARGIN_MM = 8.0
_CRISPNESS = 2.2
"""Exponent on the group-averaged probabilities that undoes part of their blur (chosen by eye)."""

Field = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Tissue:
    """A brain as tissue maps on one grid; all arrays have shape (x, y, z).

    Attributes:
        wm, gm, csf: probabilities of white matter, grey matter and fluid, float32 in [0, 1]; they add up to 1 in the
            brain and are 0 outside.
        brain: bool.
        t1: T1-weighted intensity, float32, white matter near 1; 0 outside the brain.
        grid: axis-aligned RAS grid.
    """

    wm: Field
    gm: Field
    csf: Field
    brain: NDArray[np.bool_]
    t1: Field
    grid: Grid

    def __post_init__(self) -> None:
        for name in ("wm", "gm", "csf", "brain", "t1"):
            shape = getattr(self, name).shape
            if shape != self.grid.shape:
                raise ValueError(f"{name} has shape {shape}, its grid {self.grid.shape}")


@lru_cache(maxsize=4)
def template(spacing_mm: float) -> Tissue:
    """The ICBM152 brain, averaged over voxels of `spacing_mm` and cropped to the brain with a margin of 8 mm.

    Args:
        spacing_mm: voxel size [mm], 1 to 8.

    Raises:
        ValueError: if the spacing is out of range.
        DataError: if nilearn's maps are not where its wheel puts them.
    """
    if not 1 <= spacing_mm <= 8:
        raise ValueError(f"spacing must be 1 to 8 mm, got {spacing_mm}")
    t1, affine = _atlas("t1")
    box = _bounds(t1 > 0, round(_MARGIN_MM))
    t1 = t1[box]
    bands = [_averaging(size, spacing_mm) for size in t1.shape]
    brain = _average((t1 > 0).astype(np.float64), bands) >= 0.5
    white = _average(_atlas("wm")[0][box] / 255.0, bands)
    grey = _average(_atlas("gm")[0][box] / 255.0, bands)
    wm, gm, csf = _crisp(white, grey, brain)
    intensity = _average(t1 / 1.0, bands)
    intensity *= brain / np.median(intensity[wm > 0.9])
    corner = affine[:3, 3] + [part.start for part in box] + (spacing_mm - 1) / 2
    moved = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    moved[:3, 3] = corner
    shape = (brain.shape[0], brain.shape[1], brain.shape[2])
    return Tissue(wm, gm, csf, brain, intensity.astype(np.float32), Grid(shape, moved))


def subject(
    generator: np.random.Generator,
    template: Tissue,
    tumour_centre: tuple[int, int, int] | None = None,
    tumour_radius_mm: float = 0.0,
) -> Tissue:
    """A random subject: the template under a random affine map, a smooth deformation and a tumour's mass effect.

    Scales vary by 3 % and shears by 1.5 %; the deformation has standard deviations of 1.3 mm over 28 mm and 0.5 mm over
    12 mm (chosen so that subjects differ about as adult brains do after affine alignment; unverified). A tumour core
    pushes tissue outwards: a share of it, 10 to 30 %, takes the volume of displaced tissue; the displacement falls with
    distance and towards the skull.

    Args:
        tumour_centre: voxel of the template's grid; None leaves the mass effect out.
        tumour_radius_mm: radius of a sphere of the core's volume [mm].
    """
    grid = template.grid
    spacing = np.array(grid.spacing_mm)
    linear = np.eye(3) + generator.normal(0, 0.015, (3, 3)) + np.diag(generator.normal(0, 0.03, 3))
    share = generator.uniform(0.10, 0.30)
    moved = [
        1.3 / size * smooth_field(generator, grid.shape, 28 / size)
        + 0.5 / size * smooth_field(generator, grid.shape, 12 / size)
        for size in spacing
    ]
    centre = np.zeros(3) if tumour_centre is None else np.array(tumour_centre, float)
    radius = 0.0 if tumour_centre is None else tumour_radius_mm
    values = warp_channels(
        _channels(template),
        linear.astype(np.float32),
        moved[0].astype(np.float32),
        moved[1].astype(np.float32),
        moved[2].astype(np.float32),
        _yielding(template),
        spacing.astype(np.float32),
        np.concatenate([centre, [radius, share]]).astype(np.float32),
    )
    brain = values[3] > 0.5
    wm, gm = np.minimum(values[0], 1) * brain, np.minimum(values[1], 1) * brain
    csf = np.maximum(brain - wm - gm, 0).astype(np.float32)
    total = np.maximum(wm + gm + csf, np.float32(1e-6))
    return Tissue(wm / total, gm / total, csf / total, brain, values[2] * brain, grid)


def _atlas(name: str) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """One map of the atlas at 1 mm, 0..255, and its affine."""
    import nibabel

    spec = find_spec("nilearn")
    roots = [] if spec is None else spec.submodule_search_locations or []
    found = [
        Path(root) / "datasets" / "data" / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz" for root in roots
    ]
    if not found or not found[0].exists():
        raise DataError(
            f"the ICBM152 {name} map of nilearn was not found", "Install nilearn as constraints.txt pins it."
        )
    image = nibabel.load(found[0])
    return np.asarray(image.dataobj), np.asarray(image.affine)


def _bounds(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice, slice]:
    """The box around `mask`, `margin` voxels wider on each side but inside the array."""
    sides = []
    for axis in range(3):
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        sides.append(slice(max(int(inside[0]) - margin, 0), min(int(inside[-1]) + margin + 1, mask.shape[axis])))
    return sides[0], sides[1], sides[2]


def _averaging(size: int, spacing: float) -> NDArray[np.float64]:
    """Matrix from `size` voxels of 1 mm to voxels of `spacing` mm: the share of each small voxel in each large one."""
    edges = np.arange(0, size - spacing + 1e-6, spacing)[:, None]
    small = np.arange(size)
    overlap = np.minimum(edges + spacing, small + 1) - np.maximum(edges, small)
    return np.asarray(np.maximum(overlap, 0) / spacing)


def _average(array: NDArray[np.float64], bands: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    for axis, band in enumerate(bands):
        array = np.moveaxis(np.tensordot(band, array, (1, axis)), 0, axis)
    return np.ascontiguousarray(array)


def _crisp(
    white: NDArray[np.float64], grey: NDArray[np.float64], brain: NDArray[np.bool_]
) -> tuple[Field, Field, Field]:
    """Sharpened white, grey and fluid probabilities that add up to 1 in the brain."""
    parts = np.stack([white, grey, np.clip(1 - white - grey, 0, 1)]) ** _CRISPNESS
    parts *= brain / np.maximum(parts.sum(axis=0), 1e-9)
    wm, gm, csf = parts.astype(np.float32)
    return np.ascontiguousarray(wm), np.ascontiguousarray(gm), np.ascontiguousarray(csf)


@lru_cache(maxsize=4)
def _channels(tissue: Tissue) -> Field:
    """White, grey, intensity and brain side by side, (x, y, z, 4), so that one visit reads all."""
    return np.stack([tissue.wm, tissue.gm, tissue.t1, tissue.brain.astype(np.float32)], axis=-1)


@lru_cache(maxsize=4)
def _yielding(tissue: Tissue) -> Field:
    """How far tissue can give way: 0 at the brain's surface, 1 from 25 mm inside."""
    depth = distance_transform_edt(tissue.brain, sampling=tissue.grid.spacing_mm)
    return np.clip(depth / 25, 0, 1).astype(np.float32)
