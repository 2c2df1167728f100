"""Perpendicular diameters of one piece of tissue on one slice, exact on the voxels' edges.

A piece is a union of closed pixels. A chord is a segment that never leaves it: it may run along an edge or through a
corner where two pixels touch, and it may not cross a gap. Whether it does is decided on the pixels that it crosses, not
on samples, so that turning or flipping a mask changes nothing.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

__all__ = ["Cross", "Mode", "Segment", "caliper_mm", "widest_cross"]

Mode = Literal["longest_then_perp", "max_product"]
Point = tuple[float, float]
Segment = tuple[Point, Point]

Piece = NDArray[np.bool_]
Points = NDArray[np.float64]

_NEAR = 1e-6  # two places nearer than this [pixels] are one place
_EQUAL = 1e-9  # two lengths that differ by less than this share are equal
_BATCH = 128
_DIRECTIONS = 360  # between 0 and 90 degrees
_MOST_CORNERS = 1500  # of any lesion's outline; noise has more, and every so many of them are left out


@dataclass(frozen=True)
class Cross:
    """Two chords that cross at a right angle, ends in mm from the corner of the piece's array; `long` is the longer."""

    long: Segment
    perpendicular: Segment
    long_mm: float
    perpendicular_mm: float

    @property
    def product_mm2(self) -> float:
        return self.long_mm * self.perpendicular_mm


def caliper_mm(piece: Piece, spacing_mm: tuple[float, float]) -> float:
    """Largest distance [mm] between any two points of a piece, across gaps too: no chord can be longer."""
    rows = np.flatnonzero(piece.any(axis=1))
    first = piece.argmax(axis=1)[rows]
    last = piece.shape[1] - piece[:, ::-1].argmax(axis=1)[rows]
    ends = np.concatenate([np.stack([rows + r, c], axis=1) for r in (0, 1) for c in (first, last)])
    x, y = (ends * spacing_mm).T
    return float(np.sqrt(((x[:, None] - x) ** 2 + (y[:, None] - y) ** 2).max()))


def widest_cross(
    piece: Piece, spacing_mm: tuple[float, float], mode: Mode = "longest_then_perp", at_least_mm2: float = 0.0
) -> Cross | None:
    """The diameters of a piece.

    Args:
        piece: pixels of one connected piece (rows, columns), at least one of them set.
        spacing_mm: edges of a pixel [mm].
        mode: `longest_then_perp` takes the longest chord, then the longest chord that crosses it at a right angle; of
            several equally long ones that with the longest perpendicular. `max_product` takes the crossing pair with
            the largest product among those of which one runs between two corners of the outline.
        at_least_mm2: give up where the product [mm2] must be smaller.

    Returns: the cross, or `None` if its product is certainly smaller than `at_least_mm2`.
    """
    shape = _Shape(np.pad(piece, 1), np.asarray(spacing_mm, dtype=np.float64))
    if at_least_mm2 and _most_mm2(shape) < at_least_mm2:
        return None
    if mode == "max_product":
        return _largest_product(shape, at_least_mm2)
    return _longest_first(shape, at_least_mm2)


class _Shape:
    """A padded piece: where its outline turns (`inward`: with tissue on more than one side), and what belongs to it."""

    def __init__(self, piece: Piece, spacing: NDArray[np.float64]) -> None:
        self.size = piece.shape
        self.spacing = spacing
        self.cells = _cells(piece)
        touching = piece[:-1, :-1].astype(np.int8) + piece[1:, :-1] + piece[:-1, 1:] + piece[1:, 1:]
        by_corner = (touching == 2) & (piece[:-1, :-1] == piece[1:, 1:])
        turns = (touching == 1) | (touching == 3) | by_corner
        corners = np.argwhere(turns)
        corners = corners[:: -(-len(corners) // _MOST_CORNERS)]
        self.inward: NDArray[np.bool_] = touching[tuple(corners.T)] > 1
        self.corners: Points = corners.astype(np.float64) + 1.0
        self.corners_mm: Points = self.corners * spacing
        self.hull_mm: Points = self.corners_mm[ConvexHull(self.corners_mm).vertices]

    def holds(self, points: Points) -> NDArray[np.bool_]:
        """Whether points (..., 2), in pixels, lie in the closed shape."""
        row, column = self._places(points[..., 0], 0), self._places(points[..., 1], 1)
        held: NDArray[np.bool_] = self.cells[row, column]
        return held

    def _places(self, values: NDArray[np.float64], axis: int) -> NDArray[np.intp]:
        """Where coordinates lie in the cells: even on a line between pixels, odd between two lines."""
        whole = np.floor(values)
        rest = values - whole
        places = 2 * whole + (rest >= _NEAR) + (rest > 1 - _NEAR)
        np.clip(places, 0, self.cells.shape[axis] - 1, out=places)
        return places.astype(np.intp)

    def segment(self, ends: Points) -> Segment:
        """Ends in pixels of the padded piece as ends in mm of the piece."""
        (a, b), (c, d) = (ends - 1.0) * self.spacing
        return (float(a), float(b)), (float(c), float(d))


def _cells(piece: Piece) -> Piece:
    """Pixels at odd places, their edges and corners at even ones; an edge belongs if a pixel beside it does."""
    cells = np.zeros((2 * piece.shape[0] + 1, 2 * piece.shape[1] + 1), dtype=bool)
    cells[1::2, 1::2] = piece
    cells[:-1:2] |= cells[1::2]
    cells[2::2] |= cells[1::2]
    cells[:, :-1:2] |= cells[:, 1::2]
    cells[:, 2::2] |= cells[:, 1::2]
    return cells


def _most_mm2(shape: _Shape) -> float:
    """No cross has a larger product [mm2]: that of the extents in two directions at a right angle, in all of them.

    Between directions that are tried an extent grows by no more than the largest one times the angle between them.
    """
    step = 0.5 * np.pi / _DIRECTIONS
    angles = step * (np.arange(_DIRECTIONS) + 0.5)
    along = np.stack([np.cos(angles), np.sin(angles)])
    first, second = (np.ptp(shape.hull_mm @ turned, axis=0) for turned in (along, along[::-1] * [[-1.0], [1.0]]))
    margin = max(first.max(), second.max()) * step
    return float(((first + margin) * (second + margin)).max())


def _longest_first(shape: _Shape, at_least_mm2: float) -> Cross | None:
    chords, length = _longest(shape)
    across = _extents(shape, _turned(chords * shape.spacing))
    if length * across.max() < at_least_mm2 * (1 - _EQUAL):
        return None
    return max((_cross(shape, ends) for ends in chords), key=lambda cross: cross.product_mm2)


def _largest_product(shape: _Shape, at_least_mm2: float) -> Cross:
    """Branch and bound: a chord's product is at most its length times the shape's extent across it."""
    best = max((_cross(shape, ends) for ends in _longest(shape)[0]), key=lambda cross: cross.product_mm2)
    pairs, lengths = _pairs(shape)
    wanted = lengths**2 > max(best.product_mm2, at_least_mm2)
    pairs, lengths = pairs[wanted], lengths[wanted]
    across = _extents(shape, _turned(shape.corners_mm[pairs]))
    bounds = lengths * np.minimum(across, lengths)
    for at in np.argsort(-bounds, kind="stable"):
        if bounds[at] <= max(best.product_mm2 * (1 + _EQUAL), at_least_mm2):
            break
        if _inside(shape, pairs[at : at + 1]).all():
            best = max(best, _cross(shape, shape.corners[pairs[at]]), key=lambda cross: cross.product_mm2)
    return best


def _pairs(shape: _Shape) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """All pairs of corners (pairs, 2) whose midpoint is in the shape, and their distances [mm]."""
    first, second = np.triu_indices(len(shape.corners), k=1)
    row, column = shape.corners.T.astype(np.intp)
    held = shape.cells[row[first] + row[second], column[first] + column[second]]
    first, second = first[held], second[held]
    x, y = shape.corners_mm.T
    lengths: NDArray[np.float64] = np.sqrt((x[first] - x[second]) ** 2 + (y[first] - y[second]) ** 2)
    return np.stack([first, second], axis=1), lengths


def _longest(shape: _Shape) -> tuple[Points, float]:
    """The longest chord, or all equally long ones (chords, 2, 2) [pixels], and its length [mm].

    A longest chord of a polygon runs between two corners, or it leans on an inward corner and goes through another one:
    else it could be turned or shifted and grow.
    """
    pairs, lengths = _pairs(shape)
    between = _longest_between(shape, pairs, lengths)
    longest = float(lengths[between].max())
    chords, reached = _leaning(shape, pairs, lengths, longest)
    if reached > longest * (1 + _EQUAL):
        return chords, reached
    return np.concatenate([shape.corners[pairs[between]], chords]), longest


def _longest_between(shape: _Shape, pairs: NDArray[np.intp], lengths: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which pairs of corners have the longest segment that stays inside.

    Pairs are tried from the farthest apart on, in batches that grow until one holds such a segment.
    """
    batch, rest = _BATCH, np.arange(len(pairs))
    inside = rest[:0]
    while True:
        if batch < rest.size:
            order = np.argpartition(-lengths[rest], batch)
            tried, next_mm = rest[order[:batch]], float(lengths[rest[order[batch]]])
            rest, batch = rest[order[batch:]], 4 * batch
        else:
            tried, next_mm = rest, 0.0
        inside = np.concatenate([inside, tried[_inside(shape, pairs[tried])]])
        longest = float(lengths[inside].max(initial=0.0))
        if longest > next_mm * (1 + _EQUAL):
            return inside[lengths[inside] >= longest * (1 - _EQUAL)]


def _leaning(
    shape: _Shape, pairs: NDArray[np.intp], lengths: NDArray[np.float64], at_least_mm: float
) -> tuple[Points, float]:
    """Longest chords (chords, 2, 2) [pixels] through two corners, one of them inward, at least as long as asked for."""
    none: tuple[Points, float] = np.zeros((0, 2, 2)), 0.0
    wanted = (lengths <= at_least_mm) & shape.inward[pairs].any(axis=1)
    ends = _could_reach(shape, shape.corners[pairs[wanted]], lengths[wanted], at_least_mm)
    ends = ends[_extents(shape, ends * shape.spacing) > at_least_mm * (1 + _EQUAL)]
    if not len(ends):
        return none
    found, reached = [], []
    for start in range(0, len(ends), 4 * _BATCH):
        part = ends[start : start + 4 * _BATCH]
        step = part[:, 1] - part[:, 0]
        step /= np.linalg.norm(step * shape.spacing, axis=1, keepdims=True)
        origins = part.mean(axis=1)
        low, high = _runs(shape, origins, step)
        best = np.flatnonzero(high - low >= (high - low).max() * (1 - _EQUAL))
        reached.append((high - low)[best])
        found.append(origins[best, None] + np.stack([low, high], 1)[best, :, None] * step[best, None])
    lengths_mm, chords = np.concatenate(reached), np.concatenate(found)
    longest = float(lengths_mm.max())
    if longest < at_least_mm * (1 - _EQUAL):
        return none
    return chords[lengths_mm >= longest * (1 - _EQUAL)], longest


def _could_reach(shape: _Shape, ends: Points, lengths: NDArray[np.float64], at_least_mm: float) -> Points:
    """Those segments (segments, 2, 2) [pixels] that a few places beyond their ends do not show to be too short.

    What is missing must be found beyond the two ends together: if less than a share of it is beyond one end, then more
    than the rest is beyond the other.
    """
    missing = (at_least_mm / lengths - 1)[:, None] * (ends[:, 1] - ends[:, 0])
    for part in (0.5, 0.25):
        beyond = shape.holds(ends[:, 1] + part * missing), shape.holds(ends[:, 0] - part * missing)
        far = shape.holds(ends[:, 1] + (1 - part) * missing), shape.holds(ends[:, 0] - (1 - part) * missing)
        keep = (far[0] | beyond[1]) & (far[1] | beyond[0])
        ends, missing = ends[keep], missing[keep]
    return ends


def _inside(shape: _Shape, pairs: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether the segments between pairs of corners stay inside; a few places are tried before all pixels are."""
    ends: Points = shape.corners[pairs]
    tried = np.array([0.25, 0.75, 0.125, 0.375, 0.625, 0.875])[:, None]
    held = shape.holds(ends[:, :1] + tried * (ends[:, 1:] - ends[:, :1]))
    inside: NDArray[np.bool_] = np.logical_and.reduce(held, axis=1)
    inside[inside] = _crosses_only_tissue(shape, ends[inside])
    return inside


def _crosses_only_tissue(shape: _Shape, ends: Points) -> NDArray[np.bool_]:
    """Exact test of segments (segments, 2, 2): the middle of every stretch between two pixel edges is looked up."""
    start, step = ends[:, :1], ends[:, 1:] - ends[:, :1]
    spans = np.abs(step[:, 0])
    crossings: list[Points] = [np.zeros((len(ends), 1)), np.ones((len(ends), 1))]
    for axis in (0, 1):
        lines = np.arange(1, int(spans[:, axis].max(initial=1)))
        crossings.append(np.minimum(lines / np.maximum(spans[:, axis : axis + 1], 1), 1.0))
    times = np.sort(np.concatenate(crossings, axis=1), axis=1)
    middles = 0.5 * (times[:, 1:] + times[:, :-1])
    held = shape.holds(start + middles[..., None] * step)
    moments = np.diff(times, axis=1) <= _EQUAL
    crossed: NDArray[np.bool_] = np.logical_and.reduce(held | moments, axis=1)
    return crossed


def _turned(ends_mm: Points) -> Points:
    """Segments (segments, 2, 2) [mm] turned by a right angle."""
    return ends_mm[..., ::-1] * (1.0, -1.0)


def _extents(shape: _Shape, ends_mm: Points) -> NDArray[np.float64]:
    """Extent [mm] of the shape along segments (segments, 2, 2) [mm]."""
    along = ends_mm[:, 1] - ends_mm[:, 0]
    along = along / np.linalg.norm(along, axis=1, keepdims=True)
    extents: NDArray[np.float64] = np.ptp(along @ shape.hull_mm.T, axis=1)
    return extents


def _cross(shape: _Shape, ends: Points) -> Cross:
    """A chord (2, 2) [pixels] with the longest chord that crosses it at a right angle.

    The length of the perpendicular changes linearly between two corners of the boundary, so only the perpendiculars
    through corners need to be looked at.
    """
    start, end = ends * shape.spacing
    length = float(np.hypot(*(end - start)))
    along = (end - start) / length
    across = np.array([-along[1], along[0]])
    places = (shape.corners_mm - start) @ along
    places = np.clip(places[(places >= -_NEAR) & (places <= length + _NEAR)], 0.0, length)
    places = places[np.unique(places.round(9), return_index=True)[1]]
    origins = start + places[:, None] * along
    low, high = _runs(shape, origins / shape.spacing, across[None] / shape.spacing)
    at = int(np.argmax((high - low).round(9)))
    perpendicular = (origins[at] + np.array([[low[at]], [high[at]]]) * across) / shape.spacing
    width = float(high[at] - low[at])
    chords = (shape.segment(ends), shape.segment(perpendicular))
    if width > length * (1 + _EQUAL):
        return Cross(chords[1], chords[0], width, length)
    return Cross(chords[0], chords[1], length, width)


def _runs(shape: _Shape, origins: Points, directions: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far [mm] one can go inside the shape from origins (lines, 2), against and along directions [pixels/mm].

    `directions` is (lines, 2), or (1, 2) for parallel lines.
    """
    crossings = [np.zeros((len(origins), 1))]
    for axis in (0, 1):
        gaps = np.arange(shape.size[axis] + 1) - origins[:, axis : axis + 1]
        along = directions[:, axis : axis + 1]
        crossings.append(np.divide(gaps, along, out=np.zeros_like(gaps), where=np.abs(along) > _EQUAL))
    times = np.sort(np.concatenate(crossings, axis=1), axis=1)
    left, right = times[:, :-1], times[:, 1:]
    middles = 0.5 * (left + right)
    outside = (right - left > _NEAR) & ~shape.holds(origins[:, None] + middles[..., None] * directions[:, None])
    high = np.where(outside & (left >= 0), left, times[:, -1:]).min(axis=1)
    low = np.where(outside & (right <= 0), right, times[:, :1]).max(axis=1)
    return low, high
