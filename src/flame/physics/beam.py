"""One beam's own view of a head: depth along its first axis, two lateral axes across."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter

__all__ = ["Angle", "Beam", "direction", "make_beam", "spread"]

Field = NDArray[np.float32]
Angle = tuple[float, float]
"""Azimuth in the axial plane and elevation towards the vertex [degree]."""

_BODY = 0.3  # stopping power relative to water below which there is air
_LATERAL_MARGIN_MM = 26.0


@dataclass(frozen=True, eq=False)
class Beam:
    """A rotated frame. `rotation` (3, 3) takes patient to beam axes; `centre` is the isocentre in the beam's frame.

    `depth_mm` float32 (depth, u, v): water-equivalent depth [mm]; `body` and `target` bool, same shape.
    """

    rotation: NDArray[np.float64]
    isocentre: NDArray[np.float64]
    centre: NDArray[np.float64]
    patient_shape: tuple[int, ...]
    depth_mm: Field
    body: NDArray[np.bool_]
    target: NDArray[np.bool_]

    def to_patient(self, array: Field) -> Field:
        """Bring an array of the beam's frame back onto the patient's grid."""
        offset = self.centre - self.rotation @ self.isocentre
        return _interpolate(array, self.rotation, offset, self.patient_shape)

    def positions(self, voxels: NDArray[Any]) -> NDArray[np.float64]:
        """Positions (3, points) in the beam's frame of patient voxels (points, 3)."""
        found: NDArray[np.float64] = ((voxels - self.isocentre) @ self.rotation.T + self.centre).T
        return found


def direction(angle: Angle) -> NDArray[np.float64]:
    """Rotation (3, 3) whose rows are the beam's direction of travel and two axes across it."""
    azimuth, elevation = np.deg2rad(angle)
    travel = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), -np.sin(elevation)])
    across = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    return np.stack([travel, across, np.cross(travel, across)])


def make_beam(
    stopping_power: Field, target: NDArray[np.bool_], isocentre: NDArray[np.float64], angle: Angle, spacing_mm: float
) -> Beam:
    """Look at a head along `angle`.

    Args:
        stopping_power: relative to water, shape (x, y, z), 0 in air.
        target: bool, same shape, not empty.
        isocentre: voxel position that the beam is turned about.
        angle: azimuth and elevation [degree].
        spacing_mm: of the isotropic grid.
    """
    rotation = direction(angle)
    half = int(np.ceil(0.5 * 1.1 * max(stopping_power.shape)))
    aside = np.abs((np.argwhere(target) - isocentre) @ rotation[1:].T).max(0) + _LATERAL_MARGIN_MM / spacing_mm
    shape = (2 * half, *(2 * int(np.ceil(extent)) + 1 for extent in aside))
    centre = (np.array(shape, np.float64) - 1) / 2
    offset = isocentre - rotation.T @ centre
    power = _interpolate(stopping_power, rotation.T, offset, shape)
    seen = _interpolate(target.astype(np.float32), rotation.T, offset, shape) > 0.5
    depth = (np.cumsum(power, 0) - np.float32(0.5) * power) * np.float32(spacing_mm)
    return Beam(rotation, isocentre, centre, stopping_power.shape, depth, power > _BODY, seen)


def spread(array: Field, sigma_voxels: NDArray[np.float64]) -> Field:
    """Blur each depth slice by its own Gaussian; slices without dose stay empty."""
    found = np.zeros_like(array)
    for depth in np.flatnonzero(array.any(axis=(1, 2))):
        gaussian_filter(array[depth], float(sigma_voxels[depth]), truncate=3, output=found[depth])
    return found


def _interpolate(
    array: Field, matrix: NDArray[np.float64], offset: NDArray[np.float64], shape: tuple[int, ...]
) -> Field:
    found: Field = affine_transform(array, matrix, offset, shape, order=1)
    return found
