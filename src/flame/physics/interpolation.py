"""Compiled trilinear interpolation: warping and sampling of volumes."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["sample_affine", "warp_channels"]

Field = NDArray[np.float32]


@njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
def sample_affine(field: Field, matrix: Field, offset: Field, shape: tuple[int, int, int]) -> Field:
    """Values of `field` at `matrix @ index + offset` for every index of an array of `shape`; 0 outside the field.

    Args:
        field: (x, y, z).
        matrix: (3, 3), from output index to input index.
        offset: (3,), input index of output index 0.
    """
    nx, ny, nz = field.shape
    out = np.zeros(shape, np.float32)
    for i in range(shape[0]):
        for j in range(shape[1]):
            x0 = matrix[0, 0] * i + matrix[0, 1] * j + offset[0]
            y0 = matrix[1, 0] * i + matrix[1, 1] * j + offset[1]
            z0 = matrix[2, 0] * i + matrix[2, 1] * j + offset[2]
            for k in range(shape[2]):
                x, y, z = x0 + matrix[0, 2] * k, y0 + matrix[1, 2] * k, z0 + matrix[2, 2] * k
                if x < 0 or y < 0 or z < 0 or x > nx - 1 or y > ny - 1 or z > nz - 1:
                    continue
                a, b, c = min(int(x), nx - 2), min(int(y), ny - 2), min(int(z), nz - 2)
                fx, fy, fz = x - a, y - b, z - c
                near = (field[a, b, c] * (1 - fz) + field[a, b, c + 1] * fz) * (1 - fy)
                near += (field[a, b + 1, c] * (1 - fz) + field[a, b + 1, c + 1] * fz) * fy
                far = (field[a + 1, b, c] * (1 - fz) + field[a + 1, b, c + 1] * fz) * (1 - fy)
                far += (field[a + 1, b + 1, c] * (1 - fz) + field[a + 1, b + 1, c + 1] * fz) * fy
                out[i, j, k] = near * (1 - fx) + far * fx
    return out


@njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
def warp_channels(
    channels: Field,
    linear: Field,
    moved_x: Field,
    moved_y: Field,
    moved_z: Field,
    yielding: Field,
    spacing: Field,
    mass: Field,
) -> Field:
    """Sample `channels` where each voxel's tissue comes from: a linear map about the centre, a deformation, a mass.

    A mass of radius R at c that displaces the share f of its volume moves tissue from radius s to r with
    r^3 = s^3 + f R^3 outside it (volume is kept) and fills it evenly inside; the displacement is damped by
    exp(-(r / 3R)^2) and by `yielding`.

    Args:
        channels: (x, y, z, n).
        linear: (3, 3).
        moved_x, moved_y, moved_z: displacement along each axis [voxel], (x, y, z).
        yielding: factor on the mass effect in [0, 1], (x, y, z).
        spacing: voxel size [mm], (3,).
        mass: (cx, cy, cz [voxel], R [mm], f), (5,); R = 0 means no mass.

    Returns: (n, x, y, z); 0 where the source lies outside.
    """
    nx, ny, nz, count = channels.shape
    out = np.zeros((count, nx, ny, nz), np.float32)
    middle_x, middle_y, middle_z = (nx - 1) / np.float32(2), (ny - 1) / np.float32(2), (nz - 1) / np.float32(2)
    radius, share = mass[3], mass[4]
    cube = share * radius**3
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                u, v, w = i - middle_x, j - middle_y, k - middle_z
                x = linear[0, 0] * u + linear[0, 1] * v + linear[0, 2] * w + middle_x + moved_x[i, j, k]
                y = linear[1, 0] * u + linear[1, 1] * v + linear[1, 2] * w + middle_y + moved_y[i, j, k]
                z = linear[2, 0] * u + linear[2, 1] * v + linear[2, 2] * w + middle_z + moved_z[i, j, k]
                if radius > 0:
                    du, dv, dw = i - mass[0], j - mass[1], k - mass[2]
                    r2 = (du * spacing[0]) ** 2 + (dv * spacing[1]) ** 2 + (dw * spacing[2]) ** 2
                    if r2 < 64 * radius * radius:
                        r = np.sqrt(r2) + np.float32(1e-3)
                        source = np.cbrt(max(r**3 - cube, r**3 * (1 - share)))
                        pull = (r - source) / r * np.exp(-r2 / (9 * radius * radius)) * yielding[i, j, k]
                        x, y, z = x - du * pull, y - dv * pull, z - dw * pull
                if x < 0 or y < 0 or z < 0 or x > nx - 1 or y > ny - 1 or z > nz - 1:
                    continue
                a, b, c = min(int(x), nx - 2), min(int(y), ny - 2), min(int(z), nz - 2)
                fx, fy, fz = x - a, y - b, z - c
                for n in range(count):
                    near = (channels[a, b, c, n] * (1 - fz) + channels[a, b, c + 1, n] * fz) * (1 - fy)
                    near += (channels[a, b + 1, c, n] * (1 - fz) + channels[a, b + 1, c + 1, n] * fz) * fy
                    far = (channels[a + 1, b, c, n] * (1 - fz) + channels[a + 1, b, c + 1, n] * fz) * (1 - fy)
                    far += (channels[a + 1, b + 1, c, n] * (1 - fz) + channels[a + 1, b + 1, c + 1, n] * fz) * fy
                    out[n, i, j, k] = near * (1 - fx) + far * fx
    return out
