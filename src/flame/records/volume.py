"""A volume on its grid: reading and writing NIfTI, with every refusal in one place."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.files import replacing

__all__ = ["Grid", "Volume", "read_grid", "read_volume", "write_volume"]

_INT16_MAX = 32767
_TOLERANCE = 1e-3


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

    def matches(self, other: "Grid") -> bool:
        """Whether voxels of both grids lie at the same places, to a thousandth of a millimetre."""
        return self.shape == other.shape and bool(np.allclose(self.affine, other.affine, rtol=0, atol=_TOLERANCE))


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxel values, shape (x, y, z), on a grid."""

    array: NDArray[Any]
    grid: Grid


def read_grid(path: Path) -> Grid:
    """The grid of a NIfTI file, from its header alone. Raises DataError as `read_volume` does."""
    return _grid(path, _open(path))


def read_volume(path: Path) -> Volume:
    """Read a three-dimensional NIfTI file in RAS orientation; float32, or uint8 when stored so.

    Raises: DataError: missing, truncated, not NIfTI, not 3-D, not axis-aligned RAS, NaN or infinite voxels.
    """
    image = _open(path)
    grid = _grid(path, image)
    kind = np.uint8 if image.get_data_dtype() == np.uint8 and image.dataobj.slope == 1 else np.float32
    try:
        array = np.asarray(image.dataobj, dtype=kind)
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise DataError(f"{path} is truncated or damaged: {error}", "Copy the file again from its source.") from error
    if kind == np.float32 and not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise DataError(f"{path} holds NaN or infinite voxels, the first at {where}", "Export the image again.")
    return Volume(array, grid)


def write_volume(path: Path, volume: Volume, step: float | None = None) -> None:
    """Write NIfTI (gzip level 1), atomically and with equal bytes for equal input.

    Args:
        path: ends in `.nii.gz`.
        volume: what to write; bool is stored as uint8.
        step: store as int16 multiples of this step (e.g. 0.01 Gy); None keeps the array's own type.

    Raises: ValueError: if a value lies beyond 32767 steps.
    """
    import nibabel

    array = volume.array.astype(np.uint8) if volume.array.dtype == np.bool_ else volume.array
    if step is not None:
        scaled = np.rint(array / step)
        if np.abs(scaled).max(initial=0) > _INT16_MAX:
            raise ValueError(f"{path.name}: a value lies beyond {_INT16_MAX} steps of {step}")
        array = scaled.astype(np.int16)
    image = nibabel.Nifti1Image(array, volume.grid.affine)
    image.set_sform(volume.grid.affine, code=2)
    image.set_qform(volume.grid.affine, code=2)
    image.header.set_xyzt_units("mm")
    if step is not None:
        image.header.set_slope_inter(step, 0)
    content = image.to_bytes()
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(content, compresslevel=1, mtime=0))


def _open(path: Path) -> Any:
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        image = nibabel.load(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist", "Check the path, or restore the file.") from error
    except (ImageFileError, EOFError, OSError, zlib.error, ValueError) as error:
        raise DataError(f"{path} is not a readable NIfTI file: {error}", "Copy or convert it again.") from error
    if not isinstance(image, nibabel.Nifti1Image):
        raise DataError(f"{path} is {type(image).__name__}, not NIfTI", "Convert it to NIfTI (.nii.gz).")
    return image


def _grid(path: Path, image: Any) -> Grid:
    if len(image.shape) != 3:
        raise DataError(f"{path} has {len(image.shape)} dimensions, expected 3", "Give one volume a file.")
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all():
        raise DataError(f"{path} has an affine that is not finite", "Convert the file again from DICOM.")
    matrix = affine[:3, :3]
    if (np.diag(matrix) <= 0).any() or np.abs(matrix - np.diag(np.diag(matrix))).max() > _TOLERANCE:
        raise DataError(
            f"{path} is not in RAS orientation along the axes: affine {matrix.round(3).tolist()}",
            "Reorient the image (and all others of the patient) to RAS first.",
        )
    return Grid((int(image.shape[0]), int(image.shape[1]), int(image.shape[2])), affine)
