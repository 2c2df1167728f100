"""Where DICOM voxels lie: from a slice's position, orientation and spacing (LPS) to an affine (RAS)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["LPS_TO_RAS", "affine_of", "lps_to_ras", "slice_normal"]

LPS_TO_RAS: NDArray[np.float64] = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM counts to the patient's left and posterior, FLAME to the right and anterior. It is its own inverse."""


def affine_of(
    image_position: Sequence[float],
    orientation: Sequence[float],
    pixel_spacing: Sequence[float],
    slice_step_vector: Sequence[float] | NDArray[np.float64],
) -> NDArray[np.float64]:
    """Affine of a stack of slices (DICOM PS3.3 C.7.6.2.1.1).

    Args:
        image_position: Image Position (Patient) of the first slice, LPS [mm].
        orientation: Image Orientation (Patient): direction in which columns count, then that in which rows count.
        pixel_spacing: Pixel Spacing: between rows, then between columns [mm].
        slice_step_vector: from the position of a slice to that of the next, LPS [mm].

    Returns: (4, 4) from the index (column, row, slice) to the position of the voxel's centre, RAS [mm]. So the array
        that it belongs to is a slice's pixel array transposed, stacked along a third axis.
    """
    affine = np.eye(4)
    affine[:3, 0] = np.asarray(orientation[:3], float) * float(pixel_spacing[1])
    affine[:3, 1] = np.asarray(orientation[3:6], float) * float(pixel_spacing[0])
    affine[:3, 2] = np.asarray(slice_step_vector, float)
    affine[:3, 3] = np.asarray(image_position, float)
    return np.asarray(LPS_TO_RAS @ affine)


def lps_to_ras(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn positions (..., 3) from LPS to RAS, or back [mm]."""
    return np.asarray(np.asarray(points, float) * np.array([-1.0, -1.0, 1.0]))


def slice_normal(orientation: Sequence[float]) -> NDArray[np.float64]:
    """Unit vector (3,) across the slices, LPS: the direction of columns times that of rows."""
    normal = np.cross(np.asarray(orientation[:3], float), np.asarray(orientation[3:6], float))
    return np.asarray(normal / np.linalg.norm(normal))
