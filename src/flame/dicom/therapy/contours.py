"""From closed planar contours to a mask: which voxel centres lie inside.

Contours are filled by the even-odd rule, all contours of a plane at once: a contour inside another is a hole, a keyhole
is too, and islands stay apart. A centre on the left or upper edge is inside, one on the right or lower edge is not, so
that neighbours which share an edge neither overlap nor leave a gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform
from scipy.spatial import cKDTree

from flame.records.volume import Grid

__all__ = ["Drawn", "draw", "fill", "resampled"]

Points = NDArray[np.float64]

_SAME_PLANE_MM = 0.1
_BRIDGE = 1.5
"""Planes up to this many typical distances apart belong together; a larger gap parts two islands."""

_DIGITS = 4
_OUTLINE_STEP = 0.25
_TIE = 1e-5
_WIDEST = 4096
_MOST_VOXELS = 8_000_000


@dataclass(frozen=True, eq=False)
class Drawn:
    """A mask (x, y, z) of a reference grid, and what was seen while it was drawn; no mask where there is none."""

    mask: NDArray[np.bool_] | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Plane:
    """Contours of one plane: `at` along the axis across, points (n, 2) along the other two [voxel]."""

    at: float
    contours: tuple[Points, ...]


def fill(contours: Sequence[Points], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which points of a lattice lie inside the contours, by the even-odd rule.

    Args:
        contours: (n, 2) each, closed by themselves, in lattice units.
        shape: of the lattice; its points are (0, 0) to shape - 1.

    Returns: (shape) True inside.
    """
    rows, columns = shape
    # An edge that crosses row r at c flips all points of that row from c on; a running sum of flips is the parity.
    flips = np.zeros((rows, columns + 1), np.int32)
    for contour in contours:
        start, end = contour, np.roll(contour, -1, axis=0)
        low, high = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
        first = np.clip(np.ceil(low), 0, rows).astype(np.int64)
        count = np.maximum(np.clip(np.ceil(high), 0, rows).astype(np.int64) - first, 0)
        edge = np.repeat(np.arange(len(contour)), count)
        if edge.size == 0:
            continue
        row = np.arange(edge.size) - np.repeat(np.cumsum(count) - count, count) + first[edge]
        slope = (end[edge, 1] - start[edge, 1]) / (end[edge, 0] - start[edge, 0])
        crossing = np.round(start[edge, 1] + (row - start[edge, 0]) * slope, 2 * _DIGITS)
        np.add.at(flips, (row, np.clip(np.ceil(crossing), 0, columns).astype(np.int64)), 1)
    return (np.cumsum(flips[:, :columns], axis=1) & 1).astype(np.bool_)


def draw(contours: Sequence[Points], reference: Grid) -> Drawn:
    """Mask of a structure on a grid.

    Where planes of contours and slices of the grid coincide, a slice is what is drawn on it. A slice between two planes
    takes a shape in between theirs, by signed distance (Raya and Udupa 1990). Each outermost plane stands for
    half the distance of planes. Where the planes are parallel to no slice, the mask is drawn across the contours' own
    planes and resampled.

    Args:
        contours: (n, 3) each, n >= 3, finite, closed by themselves, RAS [mm].
        reference: the grid; any orientation.

    Returns: the mask; none, with the reason in the notes, if contours do not lie in parallel planes.
    """
    voxels = _to_voxels(reference, contours)
    spacing = np.array(reference.spacing_mm)
    spread = np.max([np.ptp(points, axis=0) for points in voxels], axis=0) * spacing
    across = int(np.argmin(spread))
    if spread[across] <= _SAME_PLANE_MM:
        return _parallel(voxels, reference, across)
    own = _own_grid(contours, reference)
    if own is None:
        return Drawn(None, ("its contours do not lie in parallel planes",))
    drawn = _parallel(_to_voxels(own, contours), own, 2)
    if drawn.mask is None:
        return drawn
    return Drawn(resampled(drawn.mask, own, reference), (*drawn.notes, "its planes are oblique to the image's slices"))


def _to_voxels(grid: Grid, contours: Sequence[Points]) -> list[Points]:
    """Contours in voxel coordinates, rounded so that a centre on an edge is judged alike everywhere."""
    inverse = np.linalg.inv(grid.affine)
    return [np.round(points @ inverse[:3, :3].T + inverse[:3, 3], _DIGITS) for points in contours]


def _parallel(voxels: Sequence[Points], grid: Grid, across: int) -> Drawn:
    """Mask of contours in planes parallel to the slices of a grid; `across` is the axis across them."""
    along = [axis for axis in range(3) if axis != across]
    thickness = grid.spacing_mm[across]
    planes = _planes(voxels, across, along, _SAME_PLANE_MM / thickness)
    everything = np.concatenate([contour for plane in planes for contour in plane.contours])
    low = np.floor(everything.min(axis=0)).astype(np.int64) - 1
    size = np.ceil(everything.max(axis=0)).astype(np.int64) + 2 - low
    if size.max() > _WIDEST:
        return Drawn(None, ("it reaches too far out of the image to be drawn",))
    filled = _Filled(planes, low, (int(size[0]), int(size[1])), tuple(grid.spacing_mm[axis] for axis in along))
    gaps = np.diff([plane.at for plane in planes])
    typical = float(np.median(gaps)) if gaps.size else 1.0
    mask = np.zeros(grid.shape, np.bool_)
    view = np.moveaxis(mask, across, 0)
    for number in range(grid.shape[across]):
        shape = _slice(filled, number, typical, _SAME_PLANE_MM / thickness)
        if shape is not None:
            _paste(view[number], shape, low)
    notes = ["parts of it are far from one another along the slices"] if (gaps > _BRIDGE * typical).any() else []
    if not mask.any():
        notes.append("it holds no voxel of the image")
    return Drawn(mask, tuple(notes))


def _planes(voxels: Sequence[Points], across: int, along: list[int], tolerance: float) -> list[_Plane]:
    """Contours gathered by plane, in order along the axis across."""
    placed = sorted(((float(points[:, across].mean()), points[:, along]) for points in voxels), key=lambda one: one[0])
    planes: list[tuple[list[float], list[Points]]] = []
    for at, points in placed:
        if planes and at - planes[-1][0][0] <= tolerance:
            planes[-1][0].append(at)
            planes[-1][1].append(points)
        else:
            planes.append(([at], [points]))
    return [_Plane(float(np.mean(at)), tuple(contours)) for at, contours in planes]


class _Filled:
    """Planes as pictures and as outlines to measure distances from, each made once when it is asked for."""

    def __init__(self, planes: list[_Plane], low: NDArray[np.int64], size: tuple[int, int], spacing: Sequence[float]):
        self.planes = planes
        self.at = np.array([plane.at for plane in planes])
        self._low, self._size, self._spacing = low, size, np.array(spacing)
        self._pictures: dict[int, NDArray[np.bool_]] = {}
        self._outlines: dict[int, cKDTree] = {}

    def picture(self, number: int) -> NDArray[np.bool_]:
        """What is drawn on a plane."""
        if number not in self._pictures:
            contours = [contour - self._low for contour in self.planes[number].contours]
            self._pictures[number] = fill(contours, self._size)
        return self._pictures[number]

    def distance(self, number: int, points: NDArray[np.int64]) -> NDArray[np.float64]:
        """Distance [mm] of points (n, 2) of the picture from the outline on a plane, > 0 inside."""
        if number not in self._outlines:
            step = float(self._spacing.min()) * _OUTLINE_STEP
            contours = [_dense((contour - self._low) * self._spacing, step) for contour in self.planes[number].contours]
            self._outlines[number] = cKDTree(np.concatenate(contours))
        distance = np.asarray(self._outlines[number].query(points * self._spacing)[0], np.float64)
        return np.where(self.picture(number)[tuple(points.T)], distance, -distance)


def _dense(contour: Points, step: float) -> Points:
    """Points of a closed contour, at most a step apart."""
    edges = np.roll(contour, -1, axis=0) - contour
    count = np.maximum(np.ceil(np.linalg.norm(edges, axis=1) / step), 1).astype(np.int64)
    edge = np.repeat(np.arange(len(contour)), count)
    share = (np.arange(edge.size) - np.repeat(np.cumsum(count) - count, count)) / count[edge]
    return np.asarray(contour[edge] + share[:, np.newaxis] * edges[edge])


def _slice(filled: _Filled, position: int, typical: float, tolerance: float) -> NDArray[np.bool_] | None:
    """Shape of the structure on the slice at `position`, or None if it is not there."""
    at = filled.at
    nearest = int(np.argmin(np.abs(at - position)))
    if abs(at[nearest] - position) <= tolerance:
        return filled.picture(nearest)
    above = int(np.searchsorted(at, position))
    if 0 < above < at.size and at[above] - at[above - 1] <= _BRIDGE * typical:
        return _between(filled, above, float((position - at[above - 1]) / (at[above] - at[above - 1])))
    # Half open, so that slabs of neighbours share no slice.
    return filled.picture(nearest) if -typical / 2 <= position - at[nearest] < typical / 2 else None


def _between(filled: _Filled, above: int, share: float) -> NDArray[np.bool_]:
    """Shape between plane `above` - 1 and plane `above`, `share` of the way; distances matter where they disagree."""
    lower, upper = filled.picture(above - 1), filled.picture(above)
    shape = lower & upper
    points = np.argwhere(lower ^ upper)
    if points.size:
        mixed = (1 - share) * filled.distance(above - 1, points) + share * filled.distance(above, points)
        shape[tuple(points.T)] = mixed > 0
    return shape


def _paste(target: NDArray[np.bool_], shape: NDArray[np.bool_], low: NDArray[np.int64]) -> None:
    """Copy what lies inside of the target, which `shape` overlaps from `low` on."""
    start = np.maximum(low, 0)
    end = np.minimum(low + shape.shape, target.shape)
    if (end > start).all():
        source = tuple(slice(a - o, b - o) for a, b, o in zip(start, end, low))
        target[tuple(slice(a, b) for a, b in zip(start, end))] = shape[source]


def _own_grid(contours: Sequence[Points], reference: Grid) -> Grid | None:
    """A fine grid along the contours' planes and just around them; None if these are not planes, or not parallel."""
    centred = np.concatenate([points - points.mean(axis=0) for points in contours])
    _, _, rows = np.linalg.svd(centred, full_matrices=False)
    heights = [points @ rows[2] for points in contours]
    if max(np.ptp(height) for height in heights) > _SAME_PLANE_MM:
        return None
    positions = np.concatenate(contours) @ rows.T
    levels = np.unique([float(height.mean()) for height in heights])
    gaps = np.diff(levels)
    margin = float(np.median(gaps[gaps > _SAME_PLANE_MM])) if (gaps > _SAME_PLANE_MM).any() else 0.0
    step = max(0.25, min(reference.spacing_mm) / 4)
    low, high = positions.min(axis=0) - margin - 2 * step, positions.max(axis=0) + margin + 2 * step
    step = max(step, float(np.prod(high - low) / _MOST_VOXELS) ** (1 / 3))
    # The first slice lies on a plane of contours, so that evenly spaced planes are met and not passed by.
    low[2] = levels[0] - np.ceil((levels[0] - low[2]) / step) * step
    affine = np.eye(4)
    affine[:3, :3] = rows.T * step
    affine[:3, 3] = rows.T @ low
    x, y, z = (int(np.ceil(extent)) + 1 for extent in (high - low) / step)
    return Grid((x, y, z), affine)


def resampled(mask: NDArray[np.bool_], own: Grid, reference: Grid) -> NDArray[np.bool_]:
    """A mask (x, y, z), empty along its border, on another grid: inside where half of it is, linearly."""
    to_own = np.asarray(np.linalg.inv(own.affine) @ reference.affine, np.float64)
    result = np.zeros(reference.shape, np.bool_)
    low, high = _window(np.asarray(np.linalg.inv(to_own), np.float64), own.shape, reference.shape)
    if (high > low).all():
        start = to_own[:3, :3] @ low + to_own[:3, 3]
        size = (int(high[0] - low[0]), int(high[1] - low[1]), int(high[2] - low[2]))
        share = affine_transform(mask.view(np.uint8), to_own[:3, :3], start, size, output=np.float32, order=1)
        result[tuple(slice(a, b) for a, b in zip(low, high))] = share > 0.5 - _TIE
    return result


def _window(
    matrix: NDArray[np.float64], inner: tuple[int, int, int], outer: tuple[int, int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Part of the outer lattice that a lattice inside it can reach."""
    corners = np.stack(np.meshgrid(*[(0, size - 1) for size in inner], indexing="ij"), axis=-1).reshape(-1, 3)
    placed = corners @ matrix[:3, :3].T + matrix[:3, 3]
    low = np.clip(np.floor(placed.min(axis=0)).astype(np.int64), 0, outer)
    high = np.clip(np.ceil(placed.max(axis=0)).astype(np.int64) + 1, 0, outer)
    return low, high
