"""Images in rows and columns: grey slices with outlines and coloured regions on top."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flame.report.canvas import WIDTH_IN
from flame.report.colours import LABELS, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Grid", "draw_band", "draw_labels", "draw_outline", "grey", "show", "upright"]

_LEVELS = 64  # noise hides finer steps, and the file stays small


@dataclass(frozen=True)
class Grid:
    """Where tiles of one shape stand on a figure of the full width.

    `aspect` is height over width of a tile; room is left of the tiles for row names and above them for column names,
    and `legend_in` [inch] at the very top.
    """

    rows: int
    columns: int
    aspect: float
    left_in: float = 0.95
    head_in: float = 0.25
    gap_in: float = 0.04
    legend_in: float = 0.3

    @property
    def tile_in(self) -> tuple[float, float]:
        """Width and height of a tile [inch]; few columns do not make huge tiles."""
        width = min(1.7, (WIDTH_IN - self.left_in) / max(1, self.columns) - self.gap_in)
        return width, width * self.aspect

    @property
    def size_in(self) -> tuple[float, float]:
        """Width and height of the figure [inch]."""
        width, height = self.tile_in
        across = self.left_in + self.columns * (width + self.gap_in)
        return max(across, 0.6 * WIDTH_IN), self.legend_in + self.head_in + self.rows * (height + self.gap_in)

    def axes(self, figure: "Figure", row: int, column: int) -> "Axes":
        """Bare axes of one tile."""
        figure.set_layout_engine("none")
        (width, height), (whole_width, whole_height) = self.tile_in, self.size_in
        left = self.left_in + column * (width + self.gap_in)
        bottom = whole_height - self.legend_in - self.head_in - row * (height + self.gap_in) - height
        axes = figure.add_axes((left / whole_width, bottom / whole_height, width / whole_width, height / whole_height))
        axes.set_axis_off()
        return axes

    def name_row(self, figure: "Figure", row: int, text: str, note: str = "") -> None:
        """Write a row's name, and a smaller note below it, left of its tiles."""
        (_, height), (whole_width, whole_height) = self.tile_in, self.size_in
        middle = whole_height - self.legend_in - self.head_in - row * (height + self.gap_in) - height / 2
        right = (self.left_in - 0.08) / whole_width
        lift = 0.07 * (1 + note.count("\n")) if note else 0.0
        figure.text(right, (middle + lift) / whole_height, text, ha="right", va="center", weight="bold")
        if note:
            figure.text(
                right, (middle - 0.02) / whole_height, note, ha="right", va="top", fontsize=7, color=colour("muted")
            )

    def name_column(self, figure: "Figure", column: int, text: str) -> None:
        """Write a column's name above its tiles."""
        (width, _), (whole_width, whole_height) = self.tile_in, self.size_in
        middle = self.left_in + column * (width + self.gap_in) + width / 2
        top = (whole_height - self.legend_in - self.head_in + 0.07) / whole_height
        figure.text(middle / whole_width, top, text, ha="center", va="bottom", color=colour("muted"))


def upright(slice_xy: NDArray[Any]) -> NDArray[Any]:
    """A slice indexed [x, y] in RAS with anterior at the top; the patient's left is on the left of the page."""
    return np.rot90(slice_xy)


def grey(slice_xy: NDArray[np.float32], brightness: float = 1.0) -> NDArray[np.uint8]:
    """An image slice as upright RGB, windowed to its 1st and 99.7th percentile inside the head.

    Args:
        slice_xy: (x, y) in RAS, raw or z-scored; exactly 0 is air and becomes black, as does a slice without head.
        brightness: of the brightest voxel, in (0, 1]; less leaves contrast for what is drawn on top.
    """
    finite = np.nan_to_num(slice_xy)
    head = finite != 0
    low, high = np.percentile(finite[head], [1, 99.7]) if head.any() else (0.0, 1.0)
    share = brightness * np.where(head, np.clip((finite - low) / max(high - low, 1e-6), 0, 1), 0)
    levels = (np.round(share * (_LEVELS - 1)) * (255 / (_LEVELS - 1))).astype(np.uint8)
    return np.repeat(upright(levels)[..., None], 3, axis=2)


def show(axes: "Axes", image: NDArray[np.uint8]) -> None:
    """Draw an upright RGB image over the whole tile."""
    axes.imshow(image, interpolation="none", aspect="auto")


def draw_outline(
    axes: "Axes", field_xy: NDArray[Any], shade: str, width: float = 1.0, dashes: str = "solid", level: float = 0.5
) -> None:
    """Outline where `field_xy` (x, y) crosses `level`; nothing if it never does."""
    field = upright(field_xy).astype(np.float32)
    if field.min() < level < field.max():
        axes.contour(field, [level], colors=[shade], linewidths=width, linestyles=dashes)


def draw_band(axes: "Axes", field_xy: NDArray[Any], low: float, high: float, shade: str, alpha: float) -> None:
    """Fill where `field_xy` (x, y) lies in [low, high); nothing if it never does."""
    field = upright(field_xy).astype(np.float32)
    if field.max() >= low and field.min() < low:
        axes.contourf(field, [low, high], colors=[shade], alpha=alpha)


def draw_labels(
    axes: "Axes", labels_xy: NDArray[Any], values: Sequence[int] = (2, 1, 3, 4), width: float = 0.9
) -> None:
    """Outline the labels of a label map (x, y), each in its colour."""
    for value in values:
        draw_outline(axes, labels_xy == value, LABELS[value], width)
