"""A volume as the planes that a scanner writes: LPS positions, any of three planes, any rigid pose of the head."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from flame.records.volume import Grid, Volume
from flame.virtual.dicom_file import ds
from flame.virtual.vendors import Plane

__all__ = ["Stack", "cut", "pad", "pose"]

Matrix = NDArray[np.float64]

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_AXES: dict[Plane, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "axial": ((2, 1), (1, -1), (0, -1)),
    "coronal": ((1, -1), (2, -1), (0, -1)),
    "sagittal": ((0, 1), (2, -1), (1, -1)),
}
"""For slices, rows and columns: the axis of an RAS grid, and whether it is followed or turned round."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames (slices, rows, columns); `affine` (4, 4) from (slice, row, column) to LPS position [mm]."""

    frames: NDArray[Any]
    affine: Matrix

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Between slices, rows and columns [mm]."""
        across, down, along = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(across), float(down), float(along)

    @property
    def orientation(self) -> list[str]:
        """ImageOrientationPatient: where columns grow, then where rows grow."""
        _, down, along = self.spacing_mm
        return ds(*self.affine[:3, 2] / along, *self.affine[:3, 1] / down)

    def position(self, index: int) -> list[str]:
        """ImagePositionPatient of a slice."""
        return ds(*self.affine[:3, 3] + index * self.affine[:3, 0])

    def thinned(self, step: int) -> "Stack":
        """Every `step`-th slice."""
        affine = self.affine.copy()
        affine[:3, 0] *= step
        return Stack(self.frames[::step], affine)

    def describe(self, dataset: Dataset) -> None:
        """Write what all slices share: size, spacing and orientation."""
        across, down, along = self.spacing_mm
        dataset.Rows, dataset.Columns = self.frames.shape[1:]
        dataset.PixelSpacing = ds(down, along)
        dataset.ImageOrientationPatient = self.orientation
        dataset.SliceThickness = ds(across)[0]


def cut(volume: Volume, plane: Plane, moved: Matrix | None = None) -> Stack:
    """Cut a volume into slices without touching a voxel.

    Args:
        volume: on an axis-aligned RAS grid.
        moved: rigid map (4, 4) from the volume's RAS positions to the scanner's; None leaves the head where it is.
    """
    start, steps, turned = np.zeros(4), [], volume.array
    start[3] = 1
    for axis, sign in _AXES[plane]:
        step = np.zeros(4)
        step[axis] = sign
        steps.append(step)
        if sign < 0:
            start[axis] = volume.grid.shape[axis] - 1
            turned = np.flip(turned, axis)
    frames = np.transpose(turned, [axis for axis, _ in _AXES[plane]])
    affine = _LPS @ (np.eye(4) if moved is None else moved) @ volume.grid.affine @ np.stack([*steps, start], axis=1)
    return Stack(np.ascontiguousarray(frames), affine)


def pad(volume: Volume, width_mm: float) -> Volume:
    """The volume with at least `width_mm` of zeros on every side."""
    spacing = volume.grid.spacing_mm
    width = [int(np.ceil(width_mm / size)) for size in spacing]
    array = np.pad(volume.array, [(size, size) for size in width])
    affine = volume.grid.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ np.array(width, float)
    return Volume(array, Grid((array.shape[0], array.shape[1], array.shape[2]), affine))


def pose(degrees: NDArray[np.float64], shift_mm: NDArray[np.float64], centre_mm: NDArray[np.float64]) -> Matrix:
    """A rigid map in RAS: turn about x, then y, then z through `centre_mm`, then shift; all (3,)."""
    a, b, c = np.deg2rad(degrees)
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = z @ y @ x
    matrix[:3, 3] = centre_mm + shift_mm - matrix[:3, :3] @ centre_mm
    return matrix
