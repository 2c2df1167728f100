"""A volume on its grid: reading and writing NIfTI with every refusal in one place."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Grid", "Volume", "read_grid", "read_volume", "write_volume"]


@dataclass(frozen=True, eq=False)
class Grid:
    """Where voxels lie: `shape` (x, y, z) and `affine` (4, 4) from voxel index to RAS position [mm]."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along each axis [mm]."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxel values, shape (x, y, z), on a grid."""

    array: NDArray[Any]
    grid: Grid


def read_grid(path: Path) -> Grid:
    """The grid of a NIfTI file, from its header alone. Raises DataError as `read_volume` does."""
    raise NotImplementedError


def read_volume(path: Path) -> Volume:
    """Read a three-dimensional NIfTI file in RAS orientation; float32, or uint8 when stored so.

    Raises: DataError: missing, truncated, not NIfTI, not 3-D, not axis-aligned RAS, NaN or infinite voxels.
    """
    raise NotImplementedError


def write_volume(path: Path, volume: Volume, step: float | None = None) -> None:
    """Write NIfTI (gzip level 1), atomically and with equal bytes for equal input.

    Args:
        step: store as int16 multiples of this step (e.g. 0.01 Gy); None keeps the array's own type.
    """
    raise NotImplementedError
