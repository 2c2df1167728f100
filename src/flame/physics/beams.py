"""The head as a beam sees it: water-equivalent depth on a grid that runs along the beam, and beam directions.

Positions are in mm along the axes of the patient's grid, voxel (0, 0, 0) at the origin. A beam has its own frame: the
first axis is its direction of travel, the other two are lateral, the isocentre is the origin. Beams are parallel:
divergence is left out of the geometry.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates

from flame.physics.interpolation import sample_affine

__all__ = ["BeamGrid", "Head", "make_head", "rotation", "shortest_paths", "view"]

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
Vector = NDArray[np.float64]

_HEAD_STEP_MM = 3.0
_OUTSIDE_MM = 20.0
_BRAIN, _SKULL, _SCALP = 1.03, 1.55, 1.04
"""Stopping power relative to water of brain, skull and scalp (ICRU Report 46 tissues, rounded)."""


@dataclass(frozen=True, eq=False)
class Head:
    """Stopping power relative to water, `spr` (x, y, z), on a cubic grid of `step_mm` that begins at `origin_mm`."""

    spr: Field
    step_mm: float
    origin_mm: Vector


@dataclass(frozen=True, eq=False)
class BeamGrid:
    """A grid along one beam, shape (depth, lateral, lateral).

    Attributes:
        frame: rows are the beam's direction and its two lateral axes, (3, 3).
        isocentre_mm: position, (3,).
        start_mm: beam coordinates of the first voxel, (3,).
        step_mm: voxel size along the three axes, (3,).
        wepl: water-equivalent depth at the middle of each voxel [mm of water].
        body: 1 in the head, 0 in air.
    """

    frame: Vector
    isocentre_mm: Vector
    start_mm: Vector
    step_mm: Vector
    wepl: Field
    body: Field

    def index_map(self, spacing_mm: Vector, origin_mm: Vector) -> tuple[Field, Field]:
        """Matrix (3, 3) and offset (3,) from a voxel index of a patient grid to a (fractional) index of this grid."""
        matrix = self.frame * spacing_mm / self.step_mm[:, None]
        offset = (self.frame @ (origin_mm - self.isocentre_mm) - self.start_mm) / self.step_mm
        return matrix.astype(np.float32, order="C"), offset.astype(np.float32)

    def see(self, field: Field, spacing_mm: Vector, origin_mm: Vector) -> Field:
        """Sample a field on a patient grid at the voxels of this grid."""
        return _see(field, self, spacing_mm, origin_mm, self.wepl.shape)


def make_head(brain: Mask, spacing_mm: Vector) -> Head:
    """A head around a brain: 2 mm of dura and fluid, 6 mm of skull, 5 mm of scalp, all parallel to its surface."""
    sides = [np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    low = np.array([side[0] for side in sides]) * spacing_mm - _OUTSIDE_MM
    high = np.array([side[-1] for side in sides]) * spacing_mm + _OUTSIDE_MM
    size = np.ceil((high - low) / _HEAD_STEP_MM).astype(int) + 1
    matrix = np.diag(_HEAD_STEP_MM / spacing_mm).astype(np.float32)
    shape = (int(size[0]), int(size[1]), int(size[2]))
    inside = sample_affine(brain.astype(np.float32), matrix, (low / spacing_mm).astype(np.float32), shape) >= 0.5
    outside_mm = distance_transform_edt(~inside) * _HEAD_STEP_MM - np.where(inside, 0, _HEAD_STEP_MM / 2)

    def beyond(distance: float) -> Vector:
        return np.asarray(np.clip((outside_mm - distance) / _HEAD_STEP_MM + 0.5, 0, 1))

    spr = _BRAIN + (_SKULL - _BRAIN) * beyond(2) + (_SCALP - _SKULL) * beyond(8) - _SCALP * beyond(13)
    return Head(spr.astype(np.float32), _HEAD_STEP_MM, low)


def rotation(azimuth: float, elevation: float) -> Vector:
    """Frame of a beam, (3, 3): direction of travel, and two lateral axes.

    Args:
        azimuth: of the direction of travel in the axial plane, from +x towards +y [degree].
        elevation: how far the beam comes from above [degree]; 90 is from the vertex.
    """
    a, e = np.deg2rad(azimuth), np.deg2rad(elevation)
    along = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), -np.sin(e)])
    across = np.array([-np.sin(a), np.cos(a), 0.0])
    return np.stack([along, across, np.cross(along, across)])


def view(head: Head, frame: Vector, isocentre_mm: Vector, lateral_mm: Sequence[float], step_mm: Vector) -> BeamGrid:
    """Water-equivalent depth along a beam.

    Args:
        lateral_mm: half width of the grid along both lateral axes [mm].
        step_mm: voxel size along beam and lateral axes [mm], (3,).
    """
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (np.array(head.spr.shape) - 1)
    along = (head.origin_mm + corners * head.step_mm - isocentre_mm) @ frame[0]
    half = np.ceil(np.array(lateral_mm) / step_mm[1:])
    start = np.array([along.min(), *(-half * step_mm[1:])])
    size = [int(np.ceil(np.ptp(along) / step_mm[0])) + 1, *(2 * half.astype(int) + 1)]
    empty = BeamGrid(frame, isocentre_mm, start, step_mm, np.empty(0, np.float32), np.empty(0, np.float32))
    spr = _see(head.spr, empty, np.full(3, head.step_mm), head.origin_mm, tuple(size))
    wepl = (np.cumsum(spr, axis=0) - 0.5 * spr) * np.float32(step_mm[0])
    return BeamGrid(frame, isocentre_mm, start, step_mm, wepl, (spr > 0.3).astype(np.float32))


def _see(field: Field, grid: BeamGrid, spacing_mm: Vector, origin_mm: Vector, shape: tuple[int, ...]) -> Field:
    matrix = (grid.frame.T / spacing_mm[:, None]) * grid.step_mm
    offset = (grid.frame.T @ grid.start_mm + grid.isocentre_mm - origin_mm) / spacing_mm
    size = (shape[0], shape[1], shape[2])
    return np.asarray(sample_affine(field, matrix.astype(np.float32, order="C"), offset.astype(np.float32), size))


def shortest_paths(head: Head, isocentre_mm: Vector, count: int, apart: float) -> list[tuple[float, float]]:
    """Angles [degree] of `count` beams with the least water before the isocentre, at least `apart` degrees apart."""
    candidates = [(float(azimuth), float(elevation)) for elevation in (0, 40) for azimuth in range(0, 360, 20)]
    candidates.append((0.0, 85.0))
    back_mm = np.arange(0, 2 * max(head.spr.shape)) * head.step_mm
    start = (isocentre_mm - head.origin_mm) / head.step_mm
    water = []
    for angles in candidates:
        path = start[:, None] - rotation(*angles)[0][:, None] * back_mm / head.step_mm
        water.append(float(map_coordinates(head.spr, path, order=1).sum()))
    chosen: list[tuple[float, float]] = []
    for index in np.argsort(water, kind="stable"):
        direction = rotation(*candidates[index])[0]
        if all(direction @ rotation(*other)[0] < np.cos(np.deg2rad(apart)) + 1e-9 for other in chosen):
            chosen.append(candidates[index])
        if len(chosen) == count:
            break
    return chosen
