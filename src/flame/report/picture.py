"""One patient's predicted maps as a PNG file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from flame.report.canvas import paint_png
from flame.report.maps import draw_maps, maps_grid

__all__ = ["prediction_picture"]


def prediction_picture(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any], path: Path) -> Path:
    """Write predicted maps over the last exam's T1ce: rows are arms, columns horizons; truth is outlined where known.

    Args:
        arrays: as in `pictures/evolution-<patient>.npz`: `background` float32 (x, y), `last` uint8 (x, y),
            `predicted_<arm>_<horizon>` float32 (3, x, y) probabilities of ET, TC, WT, `true_<arm>_<horizon>` uint8 or
            absent; all [x, y] in RAS.
        facts: as in `pictures/evolution-<patient>.json`; `horizons` [days since the end of radiotherapy] and `arms`
            (name -> `{"support": ...}`) are needed, `arm` marks the delivered one.
        path: of the PNG file; replaced atomically.

    Returns: `path`.
    """
    paint_png(lambda figure: draw_maps(figure, arrays, facts), maps_grid(arrays, facts).size_in, path)
    return path
