"""Compiled inner loops: one explicit step of the growth equation (see `growth`), and Gaussian smoothing."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["explicit_step", "gaussian_smooth", "smooth"]

Field = NDArray[np.float32]


@njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
def explicit_step(
    viable: Field,
    after: Field,
    necrosis: Field,
    dying: Field,
    face_x: Field,
    face_y: Field,
    face_z: Field,
    necrotic: Field,
    killed: Field,
    growth: Field,
    crowding: np.float32,
    keep_necrosis: np.float32,
    keep_dying: np.float32,
) -> None:
    """One explicit Euler step; writes `after` and updates `necrosis` and `dying` in place.

    All fields have one shape (x, y, z); the outermost layer is read but not written. `face_*` are diffusivities on the
    face between a voxel and the next one along the axis, times dt / h^2. `necrotic`, `killed` and `growth` are rates
    times dt. Rows are walked one by one so that the innermost loop has unit stride and becomes vector instructions.
    """
    one, zero = np.float32(1.0), np.float32(0.0)
    nx, ny, nz = viable.shape
    for i in range(1, nx - 1):
        for j in range(1, ny - 1):
            u, west, east = viable[i, j], viable[i - 1, j], viable[i + 1, j]
            south, north = viable[i, j - 1], viable[i, j + 1]
            f_west, f_east, f_south, f_north = face_x[i - 1, j], face_x[i, j], face_y[i, j - 1], face_y[i, j]
            f_up = face_z[i, j]
            n, d, out = necrosis[i, j], dying[i, j], after[i, j]
            k_n, k_d, rho = necrotic[i, j], killed[i, j], growth[i, j]
            for k in range(1, nz - 1):
                c = u[k]
                flow = (
                    f_east[k] * (east[k] - c)
                    - f_west[k] * (c - west[k])
                    + f_north[k] * (north[k] - c)
                    - f_south[k] * (c - south[k])
                    + f_up[k] * (u[k + 1] - c)
                    - f_up[k - 1] * (c - u[k - 1])
                )
                room = max(one - c - n[k] - crowding * d[k], zero)
                out[k] = max(c + flow + c * (rho[k] * room - k_n[k] - k_d[k]), zero)
            for k in range(1, nz - 1):
                n[k] = n[k] * keep_necrosis + k_n[k] * u[k]
                d[k] = d[k] * keep_dying + k_d[k] * u[k]


def gaussian_smooth(field: Field, sigma_voxels: float, truncate: float = 3.0) -> Field:
    """Gaussian smoothing, cut off at `truncate` standard deviations and normalised; beyond the edges is zero.

    Args:
        field: float32, shape (x, y, z).
        sigma_voxels: standard deviation [voxel], > 0.
    """
    x = np.arange(int(truncate * sigma_voxels + 0.5) + 1)
    taps = np.exp(-0.5 * (x / sigma_voxels) ** 2)
    taps /= 2 * taps.sum() - taps[0]
    out: Field = smooth(np.ascontiguousarray(field, np.float32), taps.astype(np.float32))
    return out


@njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
def smooth(field: Field, taps: Field) -> Field:
    """Convolve with the same symmetric kernel along each axis; beyond the edges the field is zero.

    `taps` holds the kernel from its centre outwards, shape (reach + 1,).
    """
    nx, ny, nz = field.shape
    reach = taps.shape[0] - 1
    along_x = field * taps[0]
    for i in range(nx):
        for r in range(1, reach + 1):
            for j in range(ny):
                out = along_x[i, j]
                if i >= r:
                    low = field[i - r, j]
                    for k in range(nz):
                        out[k] += taps[r] * low[k]
                if i + r < nx:
                    high = field[i + r, j]
                    for k in range(nz):
                        out[k] += taps[r] * high[k]
    along_y = along_x * taps[0]
    for i in range(nx):
        for j in range(ny):
            out = along_y[i, j]
            for r in range(1, reach + 1):
                if j >= r:
                    low = along_x[i, j - r]
                    for k in range(nz):
                        out[k] += taps[r] * low[k]
                if j + r < ny:
                    high = along_x[i, j + r]
                    for k in range(nz):
                        out[k] += taps[r] * high[k]
    along_z: Field = along_y * taps[0]
    for i in range(nx):
        for j in range(ny):
            out = along_z[i, j]
            row = along_y[i, j]
            for r in range(1, min(reach, nz - 1) + 1):
                for k in range(r, nz):
                    out[k] += taps[r] * row[k - r]
                for k in range(nz - r):
                    out[k] += taps[r] * row[k + r]
    return along_z
