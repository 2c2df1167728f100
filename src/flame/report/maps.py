"""Predicted beside true maps of one patient: rows are arms, columns are horizons."""

from collections.abc import Mapping
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flame.records.patient import REGIONS as LABEL_SETS
from flame.records.patient import Region
from flame.report.colours import REGIONS, colour
from flame.report.tiles import Grid, draw_band, draw_outline, grey, show
from flame.report.words import arm_order, horizon_text, name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_maps", "maps_grid"]

_ORDER: tuple[Region, ...] = ("ET", "TC", "WT")
Drawn = tuple[tuple[Region, float], ...]
_DRAWN: Drawn = (("WT", 0.26), ("ET", 0.5))
"""Regions that are drawn, from the outer to the inner, with the opacity of the predicted one."""

_BRIGHTNESS = 0.75
_LINE_IN = 0.15
_LINE_LETTERS = 115
_NARROW, _NARROW_LEGEND, _LEGEND_COLUMNS = 4, 3, 5
"""A picture of so many columns or fewer has room for three entries of the legend beside each other, not for five."""


def maps_grid(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Grid:
    """The tiles that `draw_maps` needs for this patient."""
    width, height = arrays["background"].shape
    return Grid(
        rows=max(1, len(facts["arms"])),
        columns=1 + len(facts["horizons"]),
        aspect=height / width,
        legend_in=_legend_in(1 + len(facts["horizons"])) + _LINE_IN * len(_notes(facts)),
    )


def draw_maps(figure: "Figure", arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Draw the last exam, then for every arm and horizon the prediction (filled) and the truth (outlined, if known).

    Args:
        figure: empty, of the size of `maps_grid`.
        arrays: `background`, `last`, `predicted_<arm>_<horizon>`, `true_<arm>_<horizon>`.
        facts: `horizons` [days], `arms` (name -> facts with `support`), `arm` (the delivered one).
    """
    grid = maps_grid(arrays, facts)
    image, drawn = grey(arrays["background"], _BRIGHTNESS), _drawn(facts)
    grid.name_column(figure, 0, "last exam")
    for column, horizon in enumerate(facts["horizons"], start=1):
        grid.name_column(figure, column, horizon_text(horizon))
    for row, arm in enumerate(arm_order(facts["arms"])):
        grid.name_row(figure, row, name(arm), _support_text(facts, arm))
        first = grid.axes(figure, row, 0)
        show(first, image)
        if "last" in arrays:
            _outline_regions(first, arrays["last"], drawn)
        for column, horizon in enumerate(facts["horizons"], start=1):
            axes = grid.axes(figure, row, column)
            show(axes, image)
            _draw_horizon(axes, arrays, f"{arm}_{horizon}", drawn)
    _legend(figure, drawn, _LEGEND_COLUMNS if grid.columns > _NARROW else _NARROW_LEGEND)
    for line, text in enumerate(_notes(facts)):
        top = 1 - (_legend_in(grid.columns) + _LINE_IN * line) / grid.size_in[1]
        figure.text(0.005, top, text, va="top", fontsize=7.5, color=colour("muted"))


def _drawn(facts: Mapping[str, Any]) -> Drawn:
    """The regions that are drawn; the core takes the place of enhancing tumour where nobody outlined that."""
    unknown = facts.get("regions_unknown", [])
    instead: dict[Region, Region] = {"ET": "TC"}
    chosen = ((instead.get(region, region) if region in unknown else region, share) for region, share in _DRAWN)
    return tuple((region, share) for region, share in chosen if region not in unknown)


def _legend_in(columns: int) -> float:
    return 0.3 if columns > _NARROW else 0.5


def _notes(facts: Mapping[str, Any]) -> list[str]:
    """What a reader must know beside the maps, a line each: an assumed course, the response, an unfamiliar patient."""
    notes = [] if facts.get("course", "delivered") == "delivered" else [str(facts["course"])]
    if facts.get("regions_unknown"):
        notes.append(f"not outlined, so not to be believed: {', '.join(map(name, facts['regions_unknown']))}")
    if "response" in facts:
        shares = ", ".join(f"{name(arm)} {share:.0%}" for arm, share in facts["response"]["probability"].items())
        notes.append(f"probability of {facts['response']['endpoint']}: {shares}")
    known = [part.get("familiarity", {}) for part in (facts, facts.get("response", {}))]
    said = dict.fromkeys(str(one["statement"]) for one in known if one.get("unlike_training"))
    notes += [f"Warning: {statement}" for statement in said]
    return [line for note in notes for line in wrap(note, _LINE_LETTERS)]


def _support_text(facts: Mapping[str, Any], arm: str) -> str:
    support = str(facts["arms"][arm].get("support", "support unknown")).replace(" counterfactual", "\ncounterfactual")
    support = support.replace("mechanistic ", "mechanistic\n").replace("planned, ", "planned,\n")
    return f"delivered\n{support}" if arm == facts.get("arm") else support


def _draw_horizon(axes: "Axes", arrays: Mapping[str, NDArray[Any]], key: str, drawn: Drawn) -> None:
    predicted, truth = arrays.get(f"predicted_{key}"), arrays.get(f"true_{key}")
    if predicted is None:
        axes.text(0.5, 0.5, "not predicted", transform=axes.transAxes, ha="center", va="center", color="#ffffff")
    else:
        for region, opacity in drawn:
            draw_band(axes, predicted[_ORDER.index(region)], 0.5, 2.0, REGIONS[region], opacity)
    if "last" in arrays:
        draw_outline(axes, np.isin(arrays["last"], LABEL_SETS["WT"]), "#ffffff", 0.7, "dotted")
    if truth is None:
        axes.text(0.04, 0.04, "truth not known", transform=axes.transAxes, color="#ffffff", fontsize=6.5)
    else:
        _outline_regions(axes, truth, drawn)


def _outline_regions(axes: "Axes", labels_xy: NDArray[Any], drawn: Drawn) -> None:
    for region, _ in drawn:
        draw_outline(axes, np.isin(labels_xy, LABEL_SETS[region]), REGIONS[region], 1.2)


def _legend(figure: "Figure", drawn: Drawn, columns: int) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    for region, opacity in drawn[::-1]:
        handles.append(Patch(facecolor=REGIONS[region], alpha=opacity + 0.2, label=f"predicted {name(region)}"))
        handles.append(Line2D([], [], color=REGIONS[region], linewidth=1.6, label=f"true {name(region)}"))
    handles.append(
        Line2D([], [], color=colour("muted"), linewidth=1.2, linestyle="dotted", label="whole tumour at the last exam")
    )
    figure.legend(handles=handles, loc="upper left", ncols=columns, fontsize=7.5, borderpad=0, handlelength=1.6)
