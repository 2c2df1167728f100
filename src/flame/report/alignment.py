"""The picture by which a person sees whether an exam is aligned: sequences, brain outline, and two images in one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flame.records.patient import LABELS as LABEL_VALUES
from flame.records.patient import SEQUENCES
from flame.report.canvas import paint_png
from flame.report.colours import LABELS, colour
from flame.report.tiles import draw_labels, draw_outline, grey, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["alignment_picture"]

_BRAIN = "#3fc2b3"
_EDGE = "#ffb000"
_SQUARE_MM = 22.0
_LIGHTS = {"green": "#2e9e5b", "amber": "#e0a100", "red": "#d03a2f"}
_TILE_IN, _LEFT_IN, _GAP_IN, _HEAD_IN = 1.75, 0.72, 0.04, 0.68
_PLANES = ("axial", "coronal", "sagittal")
_EDGE_SHARE = 93.0


@dataclass(frozen=True, eq=False)
class _Column:
    """One column of tiles: its name, the image of each plane as RGB, and contours over it."""

    name: str
    light: str
    tiles: tuple[NDArray[np.uint8], ...]
    edges: tuple[NDArray[np.bool_], ...] | None


def alignment_picture(
    path: Path,
    images: Mapping[str, NDArray[np.float32]],
    brain: NDArray[np.bool_],
    label_map: NDArray[np.uint8] | None,
    spacing_mm: float,
    lights: Mapping[str, str],
    title: str,
) -> None:
    """Write the picture of one exam as PNG, atomically.

    Rows are an axial, a coronal and a sagittal slice through the tumour, else through the middle of the brain. Columns
    are the sequences with the outline of the brain, then T1ce and FLAIR (or the first two) as a chequerboard, then the
    edges of the one over the other.

    Args:
        images: float32 (x, y, z) on one RAS grid, 0 outside the brain; `CT` may be among them [HU].
        brain, label_map: the same grid.
        spacing_mm: of the cubic voxels.
        lights: the worst traffic light of each image, by its name.
        title: above the picture; tells of nobody.
    """
    centre = _centre(brain, label_map)
    columns = _columns(images, centre, spacing_mm, lights)
    outlines = _planes(brain, centre)
    labels = (None,) * len(_PLANES) if label_map is None else _planes(label_map, centre)
    layout = _Layout(len(columns), tuple(tile.shape[1] / tile.shape[0] for tile in outlines))

    def painter(figure: "Figure") -> None:
        figure.set_layout_engine("none")
        layout.text(figure, 0.12, layout.height - 0.14, title, va="top", fontsize=11, weight="bold")
        _legend(figure, label_map)
        for row, plane in enumerate(_PLANES):
            middle = layout.bottom(row) + layout.heights[row] / 2
            layout.text(figure, 0.62, middle, plane, ha="right", va="center", color=colour("muted"))
            for place, column in enumerate(columns):
                _tile(layout.axes(figure, row, place), column, row, outlines[row], labels[row])
        for place, column in enumerate(columns):
            _name(figure, layout, column, place)

    paint_png(painter, (layout.width, layout.height), path, dpi=140)


@dataclass(frozen=True)
class _Layout:
    """Where tiles stand [inch]: columns of one width, rows as high as their slices need."""

    columns: int
    aspects: tuple[float, ...]

    @property
    def heights(self) -> tuple[float, ...]:
        return tuple(_TILE_IN * aspect for aspect in self.aspects)

    @property
    def width(self) -> float:
        return _LEFT_IN + self.columns * (_TILE_IN + _GAP_IN)

    @property
    def height(self) -> float:
        return _HEAD_IN + sum(self.heights) + _GAP_IN * len(self.aspects)

    def bottom(self, row: int) -> float:
        return self.height - _HEAD_IN - sum(self.heights[: row + 1]) - _GAP_IN * row

    def left(self, column: int) -> float:
        return _LEFT_IN + column * (_TILE_IN + _GAP_IN)

    def axes(self, figure: "Figure", row: int, column: int) -> "Axes":
        whole = (self.width, self.height)
        corner = (self.left(column) / whole[0], self.bottom(row) / whole[1])
        axes = figure.add_axes((*corner, _TILE_IN / whole[0], self.heights[row] / whole[1]))
        axes.set_axis_off()
        return axes

    def text(self, figure: "Figure", x_in: float, y_in: float, text: str, **look: Any) -> None:
        figure.text(x_in / self.width, y_in / self.height, text, **look)


def _columns(
    images: Mapping[str, NDArray[np.float32]],
    centre: tuple[int, int, int],
    spacing_mm: float,
    lights: Mapping[str, str],
) -> list[_Column]:
    names = [name for name in (*SEQUENCES, "CT") if name in images]
    planes = {name: _planes(images[name], centre) for name in names}
    columns = [
        _Column(name, lights.get(name, "green"), tuple(map(_window(name), planes[name])), None) for name in names
    ]
    for first, second in _pairs(names):
        pairs = tuple(zip(planes[first], planes[second], strict=True))
        both = tuple(_chequered(_window(first)(one), _window(second)(two), spacing_mm) for one, two in pairs)
        columns.append(_Column(f"{first} | {second}", "", both, None))
        edges = tuple(_edges(two) for _, two in pairs)
        columns.append(_Column(f"{second} edges on {first}", "", tuple(map(grey, planes[first])), edges))
    return columns


def _pairs(names: list[str]) -> list[tuple[str, str]]:
    """Which two images are shown in one: the two that differ most in what they show, and CT over MR."""
    mri = [name for name in ("T1ce", "FLAIR", "T1w", "T2w") if name in names]
    found = [(mri[0], mri[1])] if len(mri) > 1 else []
    return found + [(mri[0], "CT") for name in names if name == "CT" and mri]


def _centre(brain: NDArray[np.bool_], label_map: NDArray[np.uint8] | None) -> tuple[int, int, int]:
    """The voxel through which the slices run."""
    middle = np.argwhere(brain).mean(0)
    if label_map is not None and (label_map > 0).any():
        middle = np.argwhere(label_map > 0).mean(0)
    x, y, z = np.rint(middle).astype(int)
    return int(x), int(y), int(z)


def _planes(volume: NDArray[Any], centre: tuple[int, int, int]) -> tuple[NDArray[Any], ...]:
    x, y, z = centre
    return volume[:, :, z], volume[:, y, :], volume[x, :, :]


def _window(name: str) -> Any:
    return _ct if name == "CT" else grey


def _ct(tile: NDArray[np.float32]) -> NDArray[np.uint8]:
    return grey(np.clip(tile, -150, 1000) + np.float32(150))


def _chequered(one: NDArray[np.uint8], two: NDArray[np.uint8], spacing_mm: float) -> NDArray[np.uint8]:
    """Squares of the one and of the other picture."""
    side = max(2, round(_SQUARE_MM / spacing_mm))
    rows, columns = np.indices(one.shape[:2]) // side
    return np.asarray(np.where(((rows + columns) % 2 == 0)[..., None], one, two))


def _edges(tile: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where brightness changes most, inside what is not 0."""
    from scipy.ndimage import binary_erosion, gaussian_gradient_magnitude

    inside = binary_erosion(tile != 0, iterations=3)
    steep = gaussian_gradient_magnitude(tile.astype(np.float32), 1.5)
    if not inside.any():
        return np.zeros(tile.shape, np.bool_)
    return np.asarray((steep > np.percentile(steep[inside], _EDGE_SHARE)) & inside)


def _tile(
    axes: "Axes", column: _Column, row: int, outline: NDArray[np.bool_], labels: NDArray[np.uint8] | None
) -> None:
    show(axes, column.tiles[row])
    if column.edges is not None:
        draw_outline(axes, column.edges[row], _EDGE, 0.6)
    elif column.light:
        draw_outline(axes, outline, _BRAIN, 0.8)
        if labels is not None:
            draw_labels(axes, labels)


def _name(figure: "Figure", layout: _Layout, column: _Column, place: int) -> None:
    left, bottom = layout.left(place), layout.height - _HEAD_IN + 0.06
    if column.light:
        layout.text(figure, left, bottom, "●", color=_LIGHTS[column.light])
    layout.text(figure, left + (0.14 if column.light else 0.0), bottom, column.name)


def _legend(figure: "Figure", label_map: NDArray[np.uint8] | None) -> None:
    from matplotlib.lines import Line2D

    entries = [("brain", _BRAIN), ("edges", _EDGE)]
    if label_map is not None:
        present = [(name, value) for name, value in LABEL_VALUES.items() if (label_map == value).any()]
        entries += [(name, LABELS[value]) for name, value in present]
    handles: list[Any] = [Line2D([], [], color=shade, linewidth=2, label=text) for text, shade in entries]
    figure.legend(handles=handles, loc="upper right", ncols=len(handles), fontsize=8, borderpad=0.2, handlelength=1.4)
