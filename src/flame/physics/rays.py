"""Compiled loops over rays and layers of ion beams, and over points and bixels of photon beams."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["blur_slices", "fluence_at", "fluence_gain", "layer_dose", "layer_gain", "sample_points"]

Field = NDArray[np.float32]


@njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
def layer_dose(
    weights: Field, rays: NDArray[np.int64], wepl: Field, table: Field, per_mm: float, depths: tuple[int, int]
) -> Field:
    """Dose along each ray from its layers, without lateral spread.

    Args:
        weights: (rays, layers).
        rays: lateral indices of each ray, (rays, 2).
        wepl: (depth, lateral, lateral) [mm of water].
        table: (depths, layers).
        per_mm: table rows per mm of water; a factor here scales all depths.
        depths: first and last + 1 depth index to fill.

    Returns: (depth, lateral, lateral); 0 off the rays and outside `depths`.
    """
    out = np.zeros(wepl.shape, np.float32)
    last = table.shape[0] - 2
    for n in range(rays.shape[0]):
        u, v = rays[n, 0], rays[n, 1]
        w = weights[n]
        for z in range(depths[0], depths[1]):
            position = wepl[z, u, v] * per_mm
            row = min(int(position), last)
            part = np.float32(position - row)
            low, high = np.float32(0.0), np.float32(0.0)
            first, second = table[row], table[row + 1]
            for e in range(w.shape[0]):
                low += w[e] * first[e]
                high += w[e] * second[e]
            out[z, u, v] = low + (high - low) * part
    return out


@njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
def layer_gain(
    field: Field, rays: NDArray[np.int64], wepl: Field, table: Field, per_mm: float, depths: tuple[int, int]
) -> Field:
    """The adjoint of `layer_dose`: sum of `field` along each ray, weighted by each layer's dose; (rays, layers)."""
    out = np.zeros((rays.shape[0], table.shape[1]), np.float32)
    last = table.shape[0] - 2
    for n in range(rays.shape[0]):
        u, v = rays[n, 0], rays[n, 1]
        gain = out[n]
        for z in range(depths[0], depths[1]):
            value = field[z, u, v]
            if value == 0:
                continue
            position = wepl[z, u, v] * per_mm
            row = min(int(position), last)
            part = np.float32(position - row)
            first, second = table[row], table[row + 1]
            for e in range(gain.shape[0]):
                gain[e] += value * (first[e] + (second[e] - first[e]) * part)
    return out


@njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
def blur_slices(field: Field, sigma: Field, depths: tuple[int, int]) -> Field:
    """Gaussian smoothing of each slice field[z] with its own sigma[z] [voxel], cut off at 3 sigma, zero outside."""
    _, nu, nv = field.shape
    out = np.zeros(field.shape, np.float32)
    for z in range(depths[0], depths[1]):
        reach = int(3 * sigma[z] + 0.5)
        taps = np.empty(reach + 1, np.float32)
        for r in range(reach + 1):
            taps[r] = np.exp(-0.5 * (r / sigma[z]) ** 2)
        taps /= 2 * taps.sum() - taps[0]
        middle = field[z] * taps[0]
        for u in range(nu):
            to, row = middle[u], field[z, u]
            for r in range(1, min(reach, nv - 1) + 1):
                for v in range(r, nv):
                    to[v] += taps[r] * row[v - r]
                for v in range(nv - r):
                    to[v] += taps[r] * row[v + r]
        for u in range(nu):
            to = out[z, u]
            for r in range(-min(reach, u), min(reach, nu - 1 - u) + 1):
                weight, row = taps[abs(r)], middle[u + r]
                for v in range(nv):
                    to[v] += weight * row[v]
    return out


@njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
def sample_points(field: Field, matrix: Field, offset: Field, points: Field) -> Field:
    """Trilinear values of `field` at `matrix @ point + offset`, points (n, 3); 0 outside the field."""
    nx, ny, nz = field.shape
    out = np.zeros(points.shape[0], np.float32)
    for n in range(points.shape[0]):
        p, q, r = points[n, 0], points[n, 1], points[n, 2]
        x = matrix[0, 0] * p + matrix[0, 1] * q + matrix[0, 2] * r + offset[0]
        y = matrix[1, 0] * p + matrix[1, 1] * q + matrix[1, 2] * r + offset[1]
        z = matrix[2, 0] * p + matrix[2, 1] * q + matrix[2, 2] * r + offset[2]
        if x < 0 or y < 0 or z < 0 or x > nx - 1 or y > ny - 1 or z > nz - 1:
            continue
        a, b, c = min(int(x), nx - 2), min(int(y), ny - 2), min(int(z), nz - 2)
        fx, fy, fz = x - a, y - b, z - c
        near = (field[a, b, c] * (1 - fz) + field[a, b, c + 1] * fz) * (1 - fy)
        near += (field[a, b + 1, c] * (1 - fz) + field[a, b + 1, c + 1] * fz) * fy
        far = (field[a + 1, b, c] * (1 - fz) + field[a + 1, b, c + 1] * fz) * (1 - fy)
        far += (field[a + 1, b + 1, c] * (1 - fz) + field[a + 1, b + 1, c + 1] * fz) * fy
        out[n] = near * (1 - fx) + far * fx
    return out


@njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
def fluence_at(fluence: Field, matrix: Field, offset: Field, points: Field, factor: Field, out: Field) -> None:
    """Add to `out` the bilinear fluence at each point times the point's `factor`; nothing outside the fluence map.

    Args:
        fluence: (lateral, lateral).
        matrix: (2, 3), from a point to the map's index.
        offset: (2,).
        points: (n, 3).
        factor: (n,).
        out: (n,), added to in place.
    """
    nu, nv = fluence.shape
    for n in range(points.shape[0]):
        p, q, r = points[n, 0], points[n, 1], points[n, 2]
        u = matrix[0, 0] * p + matrix[0, 1] * q + matrix[0, 2] * r + offset[0]
        v = matrix[1, 0] * p + matrix[1, 1] * q + matrix[1, 2] * r + offset[1]
        if u < 0 or v < 0 or u > nu - 1 or v > nv - 1:
            continue
        a, b = min(int(u), nu - 2), min(int(v), nv - 2)
        fu, fv = u - a, v - b
        low = fluence[a, b] * (1 - fv) + fluence[a, b + 1] * fv
        high = fluence[a + 1, b] * (1 - fv) + fluence[a + 1, b + 1] * fv
        out[n] += factor[n] * (low * (1 - fu) + high * fu)


@njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
def fluence_gain(
    wanted: Field, present: Field, matrix: Field, offset: Field, points: Field, factor: Field, shape: tuple[int, int]
) -> Field:
    """The adjoint of `fluence_at` for two fields over the points at once; (2, lateral, lateral)."""
    nu, nv = shape
    out = np.zeros((2, nu, nv), np.float32)
    for n in range(points.shape[0]):
        if present[n] == 0 and wanted[n] == 0:
            continue
        p, q, r = points[n, 0], points[n, 1], points[n, 2]
        u = matrix[0, 0] * p + matrix[0, 1] * q + matrix[0, 2] * r + offset[0]
        v = matrix[1, 0] * p + matrix[1, 1] * q + matrix[1, 2] * r + offset[1]
        if u < 0 or v < 0 or u > nu - 1 or v > nv - 1:
            continue
        a, b = min(int(u), nu - 2), min(int(v), nv - 2)
        fu, fv = u - a, v - b
        for side in range(2):
            value = factor[n] * (wanted[n] if side == 0 else present[n])
            out[side, a, b] += value * (1 - fu) * (1 - fv)
            out[side, a, b + 1] += value * (1 - fu) * fv
            out[side, a + 1, b] += value * fu * (1 - fv)
            out[side, a + 1, b + 1] += value * fu * fv
    return out
