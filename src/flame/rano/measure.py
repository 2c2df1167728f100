"""Lesions of a mask: perpendicular diameters as RANO measures them, what is measurable, and volumes.

The rules are those of RANO 2010 and 2.0 (Wen et al. 2010 and 2023) as far as they are about one exam. Arrays are in RAS
order, lengths in mm from the outer corner of the first voxel, so that ten voxels of 1 mm are 10 mm.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flame.rano.chords import Cross, Mode, Segment, caliper_mm, widest_cross
from flame.records.patient import LABELS, REGIONS

__all__ = ["Lesion", "Measurement", "Mode", "Plane", "VolumeEstimate", "Volumes", "measure", "volumes"]

Plane = Literal["axial", "coronal", "sagittal"]
Place = tuple[float, float, float]
Mask = NDArray[np.bool_]

_NORMAL = MappingProxyType({"sagittal": 0, "coronal": 1, "axial": 2})
_MEASURABLE_MM = 10.0
_THICK_SLICE_MM = 5.0
_ROUNDING_MM = 1e-6
_LOST_ML = 0.05
_SPREADS = ((1.0, 0.366), (5.0, 0.148), (20.0, 0.053), (60.0, 0.028), (float("inf"), 0.015))


@dataclass(frozen=True)
class Lesion:
    """One lesion on the slice with its largest product.

    Ends of the diameters are places (x, y, z) [mm] from the outer corner of the mask's first voxel, in the middle of
    slice `slice_index`. `n_slices` is how many slices show the lesion, `volume_ml` its volume without holes.
    `caliper_excess_mm` is how much longer a caliper laid across gaps would read than `long_mm`; above 3 mm the outline
    deserves a second look. `borderline` says that a voxel more or less across, or a slice, would change whether the
    lesion is measurable.
    """

    long_mm: float
    perpendicular_mm: float
    long_ends_mm: tuple[Place, Place]
    perpendicular_ends_mm: tuple[Place, Place]
    slice_index: int
    n_slices: int
    volume_ml: float
    caliper_excess_mm: float
    measurable: bool
    borderline: bool

    @property
    def product_mm2(self) -> float:
        """Product of the perpendicular diameters [mm2]."""
        return self.long_mm * self.perpendicular_mm


@dataclass(frozen=True, eq=False)
class Measurement:
    """A measured mask: `lesions` by falling product, at most `max_targets` of which enter the sum of products.

    `volume_ml` is that of the whole mask, specks included. `lesion_map` int16, of the mask's shape, says which lesion a
    voxel belongs to: 1 for the first of `lesions`, and so on; 0 for none. Filled holes belong to their lesion.
    """

    lesions: tuple[Lesion, ...]
    volume_ml: float
    plane: Plane
    max_targets: int
    lesion_map: NDArray[np.int16]

    @property
    def targets(self) -> tuple[Lesion, ...]:
        """The largest measurable lesions, at most `max_targets`."""
        return tuple(lesion for lesion in self.lesions if lesion.measurable)[: self.max_targets]

    @property
    def measurable(self) -> bool:
        """Whether any lesion is measurable."""
        return bool(self.targets)

    @property
    def spd_mm2(self) -> float:
        """Sum of the products of the targets' perpendicular diameters [mm2]; 0 where nothing is measurable."""
        return sum(lesion.product_mm2 for lesion in self.targets)


def measure(
    mask: NDArray[Any],
    spacing_mm: Sequence[float],
    *,
    plane: Plane = "axial",
    fill_holes: bool = True,
    mode: Mode = "longest_then_perp",
    min_volume_ml: float = 0.02,
    max_targets: int = 3,
) -> Measurement:
    """Measure all lesions of a mask.

    A lesion is what hangs together in 3-D, corners included. On each slice each connected piece (corners included) has
    a longest chord inside tissue and a longest perpendicular that crosses it; the largest product of all slices counts.
    A lesion is measurable if both diameters reach 10 mm (twice the slice thickness where slices are thicker than 5 mm)
    and at least two slices show it.

    Args:
        mask: enhancing tumour, 0 and 1 (x, y, z), RAS.
        spacing_mm: edges of a voxel [mm].
        plane: of the slices; that of the acquisition where it is known.
        fill_holes: count holes that tissue encloses on a slice as tissue, so that a ring is measured from outer edge to
            outer edge, and what lies in the hole belongs to it. Open cavities stay open. Volumes are never filled.
        mode: see `chords.widest_cross`.
        min_volume_ml: smaller specks are no lesions [ml]; the default is 20 voxels of 1 mm.
        max_targets: most lesions in the sum of products: 3 (RANO 2.0, unverified), 5 in RANO 2010.

    Raises: ValueError: if the mask is not 3-D, holds other values than 0 and 1, or the spacing is not three lengths.
    """
    tissue, spacing = _checked(mask, spacing_mm)
    lesion_map = np.zeros(tissue.shape, np.int16)
    if not tissue.any():
        return Measurement((), 0.0, plane, max_targets, lesion_map)
    voxel_ml = float(np.prod(spacing)) / 1000.0
    normal = _NORMAL[plane]
    box = _box(tissue)
    stack = np.moveaxis(tissue[box], normal, 2)
    outline = _filled(stack) if fill_holes else stack
    spread = _Slices(normal, np.array([part.start for part in box], dtype=np.float64), spacing)
    labels, _ = ndimage.label(outline, structure=np.ones((3, 3, 3)))
    found = []
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        lesion = labels[place] == number
        volume = float(np.count_nonzero(lesion & stack[place])) * voxel_ml
        if volume >= min_volume_ml * (1 - _ROUNDING_MM):
            found.append((_lesion(lesion, volume, spread.shifted(place), mode), number))
    found.sort(key=lambda one: (-one[0].product_mm2, -one[0].volume_ml))
    order = np.zeros(int(labels.max()) + 1, np.int16)
    order[[number for _, number in found]] = np.arange(1, len(found) + 1)
    np.moveaxis(lesion_map[box], normal, 2)[...] = order[labels]
    return Measurement(
        lesions=tuple(lesion for lesion, _ in found),
        volume_ml=float(np.count_nonzero(tissue)) * voxel_ml,
        plane=plane,
        max_targets=max_targets,
        lesion_map=lesion_map,
    )


@dataclass(frozen=True)
class VolumeEstimate:
    """A volume [ml] and the range that resampling to another grid would give 8 times of 10 (10th to 90th percentile).

    The widths were measured on thick slices (`low_ml` to `high_ml` spans 37 % of a volume below 1 ml, 15 % below 5,
    5.3 % below 20, 2.8 % below 60, else 1.5 %) and are laid evenly around the volume. Below 0.05 ml, ten voxels of a
    thick slice, the range begins at zero: another grid may show nothing.

    `reader_spread` is the range that outlines of other readers span, 10th to 90th percentile, as a share of the volume;
    0 leaves readers out. The two are independent: their squares add.
    """

    ml: float
    reader_spread: float = 0.0

    @property
    def _half_width_ml(self) -> float:
        share = next(share for bound_ml, share in _SPREADS if self.ml < bound_ml)
        return 0.5 * self.ml * min(math.hypot(share, self.reader_spread), 2.0)

    @property
    def low_ml(self) -> float:
        return 0.0 if self.ml < _LOST_ML else self.ml - self._half_width_ml

    @property
    def high_ml(self) -> float:
        return self.ml + self._half_width_ml


@dataclass(frozen=True)
class Volumes:
    """Volumes of a label map: enhancing tumour, tumour core (with necrosis), whole tumour, resection cavity."""

    et: VolumeEstimate
    tc: VolumeEstimate
    wt: VolumeEstimate
    rc: VolumeEstimate


def volumes(label_map: NDArray[Any], spacing_mm: Sequence[float]) -> Volumes:
    """Volumes of the regions of a label map.

    Necrosis is part of the tumour core, never of enhancing tumour; the cavity is part of neither.

    Args:
        label_map: integers 0 to 4 (BraTS 2024), any shape.
        spacing_mm: edges of a voxel [mm].
    """
    labels = np.asarray(label_map)
    if not np.isin(labels, (0, *LABELS.values())).all():
        raise ValueError(f"a label map holds 0 to 4, got values from {labels.min()} to {labels.max()}")
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    counts = np.bincount(labels.astype(np.uint8).ravel(), minlength=max(LABELS.values()) + 1)

    def of(values: Sequence[int]) -> VolumeEstimate:
        return VolumeEstimate(float(counts[list(values)].sum()) * voxel_ml)

    return Volumes(of(REGIONS["ET"]), of(REGIONS["TC"]), of(REGIONS["WT"]), of([LABELS["RC"]]))


@dataclass(frozen=True, eq=False)
class _Slices:
    """How a stack of slices lies in the mask: axis across the slices, first voxel and spacing [mm] in RAS order."""

    normal: int
    origin: NDArray[np.float64]
    spacing: NDArray[np.float64]

    def shifted(self, place: tuple[slice, ...]) -> "_Slices":
        """The stack cut out at `place`, which is in the order of the stack: two axes in the slice, then the normal."""
        start = np.insert([part.start for part in place[:2]], self.normal, place[2].start)
        return _Slices(self.normal, self.origin + start, self.spacing)

    @property
    def in_plane_mm(self) -> tuple[float, float]:
        first, second = np.delete(self.spacing, self.normal)
        return float(first), float(second)

    def ends(self, segment: Segment, slice_index: int) -> tuple[Place, Place]:
        """Ends of a segment [mm in the slice] as places [mm in the mask]."""
        first, second = (self._place(end, slice_index) for end in segment)
        return first, second

    def _place(self, point: tuple[float, float], slice_index: int) -> Place:
        offset = self.origin * self.spacing
        depth = (slice_index + 0.5) * self.spacing[self.normal]
        x, y, z = np.insert(point, self.normal, depth) + offset
        return float(x), float(y), float(z)


def _lesion(lesion: Mask, volume_ml: float, slices: _Slices, mode: Mode) -> Lesion:
    cross, at, caliper = _best_slice(lesion, slices.in_plane_mm, mode)
    n_slices = int(np.count_nonzero(lesion.any(axis=(0, 1))))
    thickness = float(slices.spacing[slices.normal])
    needed = 2 * thickness if thickness > _THICK_SLICE_MM else _MEASURABLE_MM
    shorter, edge = min(cross.long_mm, cross.perpendicular_mm), max(slices.in_plane_mm)
    measurable = n_slices >= 2 and shorter >= needed - _ROUNDING_MM
    return Lesion(
        long_mm=cross.long_mm,
        perpendicular_mm=cross.perpendicular_mm,
        long_ends_mm=slices.ends(cross.long, at),
        perpendicular_ends_mm=slices.ends(cross.perpendicular, at),
        slice_index=at + int(slices.origin[slices.normal]),
        n_slices=n_slices,
        volume_ml=volume_ml,
        caliper_excess_mm=caliper - cross.long_mm,
        measurable=measurable,
        borderline=(shorter < needed + edge or n_slices == 2) if measurable else shorter >= needed - edge,
    )


def _best_slice(lesion: Mask, in_plane_mm: tuple[float, float], mode: Mode) -> tuple[Cross, int, float]:
    """The cross with the largest product (then the longest diameter), its slice, and its piece's caliper [mm].

    A product cannot exceed the square of the caliper, so pieces are looked at in that order until none can win.
    """
    best: tuple[Cross, int, float] | None = None
    for caliper, piece in _by_caliper(_pieces(lesion), in_plane_mm):
        so_far = best[0].product_mm2 if best else 0.0
        if caliper**2 < so_far * (1 - _ROUNDING_MM):
            break
        cross = widest_cross(piece.pixels, in_plane_mm, mode, at_least_mm2=so_far)
        if cross is not None and (best is None or _rank(cross) > _rank(best[0])):
            best = (_moved(cross, piece.corner, in_plane_mm), piece.at, caliper)
    assert best is not None, "a lesion has at least one piece, and the first one is never given up"
    return best


@dataclass(frozen=True, eq=False)
class _Piece:
    """Tissue that hangs together on a slice: its pixels in a cut-out, the slice, and the cut-out's first pixel."""

    pixels: Mask
    at: int
    corner: tuple[int, int]


def _pieces(lesion: Mask) -> list[_Piece]:
    in_slice = np.zeros((3, 3, 3))
    in_slice[:, :, 1] = 1
    labels, _ = ndimage.label(lesion, structure=in_slice)
    return [
        _Piece((labels[place] == number)[:, :, 0], place[2].start, (place[0].start, place[1].start))
        for number, place in enumerate(ndimage.find_objects(labels), start=1)
    ]


def _by_caliper(pieces: Sequence[_Piece], in_plane_mm: tuple[float, float]) -> Iterator[tuple[float, _Piece]]:
    """Pieces with their calipers [mm], the longest first. None is worked out before it is needed: the diagonal of the
    cut-out, which no caliper exceeds, stands for it until then."""
    queue = [
        (-math.hypot(*(size * edge for size, edge in zip(piece.pixels.shape, in_plane_mm, strict=True))), False, number)
        for number, piece in enumerate(pieces)
    ]
    heapq.heapify(queue)
    while queue:
        bound, is_caliper, number = heapq.heappop(queue)
        if is_caliper:
            yield -bound, pieces[number]
        else:
            heapq.heappush(queue, (-caliper_mm(pieces[number].pixels, in_plane_mm), True, number))


def _rank(cross: Cross) -> tuple[float, float]:
    """Larger product first; among equal ones (to rounding) the longer diameter."""
    return round(cross.product_mm2, 6), round(cross.long_mm, 6)


def _moved(cross: Cross, corner: tuple[int, int], in_plane_mm: tuple[float, float]) -> Cross:
    """A cross measured in a cut-out whose first pixel is `corner`, in mm of the lesion's array."""
    x, y = (at * edge for at, edge in zip(corner, in_plane_mm, strict=True))

    def moved(segment: Segment) -> Segment:
        (a, b), (c, d) = segment
        return (a + x, b + y), (c + x, d + y)

    return Cross(moved(cross.long), moved(cross.perpendicular), cross.long_mm, cross.perpendicular_mm)


def _filled(stack: Mask) -> Mask:
    """Slices (the last axis) with all holes filled that tissue encloses; tissue may touch by corners."""
    padded = np.pad(stack, ((1, 1), (1, 1), (0, 0)))
    in_slice = np.zeros((3, 3, 3))
    in_slice[1, :, 1] = in_slice[:, 1, 1] = 1
    labels, _ = ndimage.label(~padded, structure=in_slice)
    filled: Mask = (labels != labels[0, 0])[1:-1, 1:-1]
    return filled


def _box(mask: Mask) -> tuple[slice, ...]:
    """Smallest box around a mask; nothing of an empty one."""
    box = []
    for axes in ((1, 2), (0, 2), (0, 1)):
        used = np.flatnonzero(mask.any(axis=axes))
        box.append(slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 0))
    return tuple(box)


def _checked(mask: NDArray[Any], spacing_mm: Sequence[float]) -> tuple[Mask, NDArray[np.float64]]:
    array, spacing = np.asarray(mask), np.asarray(spacing_mm, dtype=np.float64)
    tissue: Mask = array if array.dtype == np.bool_ else array == 1
    if array.ndim != 3 or not (array.dtype == np.bool_ or (tissue | (array == 0)).all()):
        raise ValueError(f"a mask holds 0 and 1 on three axes, got {array.dtype} of shape {array.shape}")
    if spacing.shape != (3,) or not (np.isfinite(spacing) & (spacing > 0)).all():
        raise ValueError(f"spacing must be three lengths > 0 mm, got {spacing_mm}")
    return tissue, spacing
