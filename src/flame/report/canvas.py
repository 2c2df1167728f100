"""From a drawing to SVG that lives inside a page, or to a PNG file. The only place that sets matplotlib up."""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame.files import replacing
from flame.report.colours import THEME, colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["WIDTH_IN", "Painter", "paint_png", "paint_svg"]

Painter = Callable[["Figure"], None]

WIDTH_IN = 9.0
"""Width of a full figure [inch]; the page shows it at about 110 pixels per inch."""


def paint_svg(painter: Painter, size_in: tuple[float, float], alt: str, salt: str) -> str:
    """Draw a figure as an `<svg>` element: text stays text, colours of the theme become CSS variables.

    Args:
        painter: draws on an empty figure.
        size_in: width and height [inch].
        alt: what a reader who cannot see the figure should know.
        salt: must differ between the figures of one page, so that their ids do.

    Returns: markup without XML declaration; the same drawing gives the same text.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    with _style(salt):
        figure = _painted(painter, size_in)
        FigureCanvasSVG(figure)  # which measures text as it writes it
        _lay_out(figure, FigureCanvasSVG.fixed_dpi)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inlined(buffer.getvalue().decode(), alt)


def paint_png(painter: Painter, size_in: tuple[float, float], path: Path, dpi: int = 160) -> None:
    """Draw a figure into a PNG file on white, atomically; the same drawing gives the same bytes."""
    with _style("png"), replacing(path) as temporary:
        figure = _painted(painter, size_in)
        _lay_out(figure, dpi)
        figure.savefig(temporary, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})


def _painted(painter: Painter, size_in: tuple[float, float]) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_in, layout="constrained")
    FigureCanvasAgg(figure)
    painter(figure)
    return figure


def _lay_out(figure: "Figure", dpi: float) -> None:
    """Place the axes once and for all: for a figure that is still to be laid out, `savefig` draws everything twice."""
    figure.dpi = dpi
    engine = figure.get_layout_engine()
    if engine is not None and figure.axes:
        engine.execute(figure)
    figure.set_layout_engine(None)


@contextmanager
def _style(salt: str) -> Iterator[None]:
    """matplotlib's defaults plus the report's look, whatever the user's own settings are; undone afterwards."""
    import matplotlib
    from matplotlib import style

    ink, muted, line = colour("ink"), colour("muted"), colour("line")
    look: dict[str, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": salt,
        "text.parse_math": False,
        "image.composite_image": False,
        "font.family": "DejaVu Sans",
        "font.size": 8.5,
        "text.color": ink,
        "axes.titlesize": 9.5,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.labelcolor": muted,
        "axes.edgecolor": muted,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.facecolor": "none",
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "grid.color": line,
        "grid.linewidth": 0.7,
        "xtick.color": muted,
        "ytick.color": muted,
        "xtick.labelcolor": ink,
        "ytick.labelcolor": ink,
        "legend.frameon": False,
        "figure.constrained_layout.h_pad": 0.08,
    }
    with warnings.catch_warnings(), matplotlib.rc_context(), style.context(["default", look], after_reset=True):
        # The reader's font draws the text; that matplotlib's own font lacks a letter of a site's name does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _inlined(svg: str, alt: str) -> str:
    """Cut what only a file of its own needs: declaration, namespaces, metadata, style, ids that nothing refers to."""
    body = svg[svg.index("<svg") :]
    view_box = re.search(r'viewBox="([^"]+)"', body)
    if view_box is None:
        raise ValueError("the SVG has no viewBox")
    width = float(view_box[1].split()[2])
    body = body[body.index(">") + 1 :]
    body = re.sub(r"<(metadata|style)[ >].*?</\1>", "", body, flags=re.DOTALL)
    used = frozenset(re.findall(r'(?:href="|url\()#([^")]+)', body))
    body = re.sub(r"<[^>]+>", lambda tag: _plain_tag(tag[0], used), body)
    body = re.sub(r">\s+<", "><", body).strip()
    return (
        f'<svg role="img" aria-label="{escape(alt)}" viewBox="{view_box[1]}" '
        f'style="max-width: {width * 110 / 72:.0f}px">{body}'
    )


def _plain_tag(tag: str, used: frozenset[str]) -> str:
    """One tag with the page's font and colours, short numbers, smooth images and no id that nothing refers to."""
    tag = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", tag)
    tag = tag.replace("xlink:href", "href").replace("image-rendering:crisp-edges;image-rendering:pixelated", "")
    tag = re.sub(r"font-family: [^;\"]+", "font-family: inherit", tag)
    tag = re.sub(r"font: ([0-9. a-z]*?)([0-9.]+px) [^;\"]+", r"font: \1\2 var(--font)", tag)
    for name, (light, _) in THEME.items():
        tag = tag.replace(light, f"var(--{name.replace('_', '-')})")
    if tag.startswith("<image"):
        return re.sub(r"base64,\s+", "base64,", tag)
    tag = re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), tag)
    return re.sub(r"\s+", " ", tag)
