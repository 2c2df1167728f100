"""A volume on its grid: reading and writing NIfTI, with every refusal in one place."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.files import write_bytes

__all__ = ["Grid", "Volume", "read_native", "read_volume", "write_volume"]

_INT16_MAX = 32767
_TOLERANCE = 1e-3
_SMALLEST_VOXEL_MM3 = 1e-9
_GZIP = b"\x1f\x8b"
_NIFTI1_MAGIC = slice(344, 348)
_NIFTI2_MAGIC = slice(4, 8)


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

    def __str__(self) -> str:
        voxels = " x ".join(map(str, self.shape))
        spacing = " x ".join(f"{mm:.3g}" for mm in self.spacing_mm)
        origin = ", ".join(f"{mm:.5g}" for mm in self.affine[:3, 3])
        return f"{voxels} voxels of {spacing} mm from {origin}"

    def matches(self, other: "Grid") -> bool:
        """Whether voxels of both grids lie at the same places, to a thousandth of a millimetre."""
        return self.shape == other.shape and bool(np.allclose(self.affine, other.affine, rtol=0, atol=_TOLERANCE))


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxel values, shape (x, y, z), on a grid."""

    array: NDArray[Any]
    grid: Grid


def read_volume(path: Path) -> Volume:
    """Read a three-dimensional NIfTI file in RAS orientation; float32, or uint8 when stored so.

    The file is decompressed as a whole, so that its checksum is verified.

    Raises: DataError: missing, truncated, not NIfTI, not 3-D, not axis-aligned RAS, NaN or infinite voxels.
    """
    volume = read_native(path)
    matrix = volume.grid.affine[:3, :3]
    if (np.diag(matrix) <= 0).any() or np.abs(matrix - np.diag(np.diag(matrix))).max() > _TOLERANCE:
        raise DataError(
            f"{path} is not in RAS orientation along the axes: affine {matrix.round(3).tolist()}",
            "Reorient the image (and all others of the patient) to RAS first.",
        )
    return volume


def read_native(path: Path) -> Volume:
    """Read a three-dimensional NIfTI file as it was acquired, in any orientation; float32, or uint8 when stored so.

    Raises: DataError: missing, truncated, not NIfTI, not 3-D, axes that span no volume, NaN or infinite voxels.
    """
    content = _content(path)
    image = _image(path, content)
    grid = _grid(path, image)
    stored = image.get_data_dtype()
    if stored.kind not in "biuf":
        raise DataError(f"{path} holds voxels of type {stored}, not numbers", "Convert it to a grey-value image.")
    needed = image.dataobj.offset + stored.itemsize * int(np.prod(grid.shape, dtype=np.int64))
    if not 0 < needed <= len(content):
        raise DataError(
            f"{path} is truncated or damaged: {len(content)} bytes instead of {needed}",
            "Copy the file again from its source.",
        )
    array = image.dataobj.get_unscaled()
    slope, intercept = image.dataobj.slope, image.dataobj.inter
    if stored != np.uint8 or slope != 1 or intercept != 0:
        array = _scaled(array, slope, intercept)
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise DataError(f"{path} holds NaN or infinite voxels, the first at {where}", "Export the image again.")
    return Volume(np.asarray(array), grid)


def write_volume(path: Path, volume: Volume, step: float | None = None) -> None:
    """Write NIfTI (gzip level 1), atomically and with equal bytes for equal input.

    Args:
        path: ends in `.nii.gz`.
        volume: what to write, finite; bool is stored as uint8.
        step: > 0; store as int16 multiples of this step (e.g. 0.01 Gy), so that values come back to within half a step
            and the rounding of float32. The header keeps the step as float32. None keeps the array's own type.

    Raises: ValueError: if the shape is not the grid's, a value is not finite, or one lies beyond 32767 steps.
    """
    import nibabel

    array = volume.array.astype(np.uint8) if volume.array.dtype == np.bool_ else volume.array
    if array.shape != volume.grid.shape:
        raise ValueError(f"{path.name}: an array of shape {array.shape} does not fit a grid of {volume.grid.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{path.name}: a value is NaN or infinite")
    image = nibabel.Nifti1Image(array if step is None else _steps(path, array, step), volume.grid.affine)
    image.set_sform(volume.grid.affine, code=2)
    image.set_qform(volume.grid.affine, code=2)
    image.header.set_xyzt_units("mm")
    if step is not None:
        image.header.set_slope_inter(step, 0)
    write_bytes(path, gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))


def _scaled(array: NDArray[Any], slope: float, intercept: float) -> NDArray[np.float32]:
    """Stored values as float32; what float32 cannot hold becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.array(array, dtype=np.float32)
        if slope != 1:
            values *= np.float32(slope)
        if intercept != 0:
            values += np.float32(intercept)
    return values


def _steps(path: Path, array: NDArray[Any], step: float) -> NDArray[np.int16]:
    """The array as whole multiples of the step that the header can keep."""
    kept = np.float32(step)
    if not kept > 0:
        raise ValueError(f"{path.name}: a step must be > 0, got {step}")
    scaled = np.rint(array / kept)
    if np.abs(scaled).max(initial=0) > _INT16_MAX:
        raise ValueError(f"{path.name}: a value lies beyond {_INT16_MAX} steps of {step}")
    return scaled.astype(np.int16)


def _content(path: Path) -> bytes:
    """The bytes of a NIfTI file, decompressed."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist", "Check the path, or restore the file.") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder, not a file", "Check the path.") from error
    if not content.startswith(_GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is truncated or damaged: {error}", "Copy the file again from its source.") from error


def _image(path: Path, content: bytes) -> Any:
    """The NIfTI-1 or NIfTI-2 image; its voxels are not looked at yet."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    kinds = {b"n+1\0": nibabel.Nifti1Image, b"n+2\0": nibabel.Nifti2Image}
    kind = kinds.get(content[_NIFTI1_MAGIC]) or kinds.get(content[_NIFTI2_MAGIC])
    if kind is None:
        raise DataError(f"{path} is not a NIfTI file", "Convert it to NIfTI (.nii.gz).")
    try:
        return kind.from_bytes(content)
    except (ImageFileError, HeaderDataError, WrapStructError, OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable NIfTI file: {error}", "Copy or convert it again.") from error


def _grid(path: Path, image: Any) -> Grid:
    if len(image.shape) != 3:
        raise DataError(f"{path} has {len(image.shape)} dimensions, expected 3", "Give one volume a file.")
    if min(image.shape) < 1:
        raise DataError(f"{path} has the shape {image.shape}: it holds no voxel", "Export the image again.")
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all():
        raise DataError(f"{path} has an affine that is not finite", "Convert the file again from DICOM.")
    if abs(float(np.linalg.det(affine[:3, :3]))) < _SMALLEST_VOXEL_MM3:
        raise DataError(f"{path} has axes that span no volume", "Convert the file again from DICOM.")
    return Grid((int(image.shape[0]), int(image.shape[1]), int(image.shape[2])), affine)
