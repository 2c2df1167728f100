"""Charts of numbers: points with intervals, curves, bars. Each function draws on a given figure or axes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flame.report.colours import colour
from flame.report.estimates import Estimate

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Panel",
    "Series",
    "draw_bars",
    "draw_forest",
    "draw_lines",
    "draw_panels",
    "draw_reliability",
    "legend",
    "limits",
]


@dataclass(frozen=True)
class Series:
    """One row of points with intervals: a name, a colour of the theme, a marker, filled or hollow, joined or not."""

    label: str
    colour: str
    values: Sequence[Estimate]
    marker: str = "o"
    hollow: bool = False
    joined: bool = True


@dataclass(frozen=True)
class Panel:
    """A title, and series with one value per category."""

    title: str
    series: Sequence[Series]


def limits(estimates: Sequence[Estimate], low: float, high: float) -> tuple[float, float]:
    """Axis limits that hold every interval and at least [low, high]."""
    ends = [end for e in estimates for end in (e.value, e.low, e.high) if end is not None]
    lowest, highest = min([low, *ends]), max([high, *ends])
    margin = 0.04 * (highest - lowest)
    return lowest - margin, highest + margin


def draw_panels(
    figure: "Figure",
    panels: Sequence[Panel],
    categories: Sequence[str],
    y_label: str,
    y_limits: tuple[float, float],
    zero: bool = False,
) -> None:
    """Panels side by side with a shared scale: at each category the series' points beside each other, with intervals.

    Args:
        figure: empty.
        panels: at least one.
        categories: names along the horizontal axis.
        y_label: of the shared vertical axis.
        y_limits: of the shared vertical axis.
        zero: whether to mark zero as the line of no difference.
    """
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, panel in zip(all_axes, panels):
        axes.set_title(panel.title)
        axes.grid(axis="y")
        if zero:
            axes.axhline(0, color=colour("ink"), linewidth=0.9)
        step = 0.72 / max(1, len(panel.series))
        for position, series in enumerate(panel.series):
            offset = (position - (len(panel.series) - 1) / 2) * step
            _points(axes, series, [place + offset for place in range(len(categories))])
        axes.set_xticks(range(len(categories)), categories)
        axes.set_xlim(-0.6, len(categories) - 0.4)
        axes.tick_params(axis="x", length=0)
    all_axes[0].set_ylim(*y_limits)
    all_axes[0].set_ylabel(y_label)
    legend(figure, all_axes)


def _points(axes: "Axes", series: Series, x: Sequence[float]) -> None:
    known = [(at, e.value, e.low, e.high) for at, e in zip(x, series.values) if e.value is not None]
    if not known:
        return
    shade = colour(series.colour)
    places, values = [at for at, *_ in known], [value for _, value, *_ in known]
    for at, _, low, high in known:
        if low is not None and high is not None:
            axes.plot([at, at], [low, high], color=shade, linewidth=1.4, solid_capstyle="round")
    axes.plot(
        places,
        values,
        label=series.label,
        color=shade,
        marker=series.marker,
        markersize=4.5,
        markerfacecolor=colour("paper") if series.hollow else shade,
        linestyle=":" if series.joined else "none",
        linewidth=0.8,
    )


def legend(figure: "Figure", all_axes: Sequence["Axes"]) -> None:
    """One line of names above all panels."""
    found: dict[str, Artist] = {}
    for axes in all_axes:
        for handle, label in zip(*axes.get_legend_handles_labels()):
            found.setdefault(label, handle)
    if found:
        columns = _legend_columns([len(label) for label in found], figure.get_figwidth())
        figure.legend(list(found.values()), list(found), loc="outside upper left", ncols=columns)


def _legend_columns(lengths: Sequence[int], width_in: float) -> int:
    """How many names of `lengths` characters stand beside each other on `width_in` [inch], in full columns."""
    per_character_in, symbol_in = 0.066, 0.55
    column_in = symbol_in + per_character_in * max(lengths)
    return max(1, min(len(lengths), int(width_in / column_in)))


def draw_forest(
    figure: "Figure",
    rows: Sequence[tuple[str, Sequence[Series]]],
    x_label: str,
    x_limits: tuple[float, float],
    at: float,
) -> None:
    """Horizontal intervals in groups, one below the other, as in a forest plot.

    Args:
        figure: empty.
        rows: group name and its series, each with one value.
        x_label: of the horizontal axis.
        x_limits: of the horizontal axis.
        at: where the vertical line of "no information" or "no difference" stands.
    """
    axes = figure.subplots()
    axes.axvline(at, color=colour("ink"), linewidth=0.9)
    axes.grid(axis="x")
    y, ticks = 0.0, []
    for _, group in rows:
        ticks.append(y + (len(group) - 1) / 2)
        for series in group:
            _interval_row(axes, series, y)
            y += 1.0
        y += 0.9
    axes.set_yticks(ticks, [label for label, _ in rows])
    axes.set_ylim(y - 0.6, -0.9)
    axes.set_xlim(*x_limits)
    axes.set_xlabel(x_label)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    legend(figure, [axes])


def _interval_row(axes: "Axes", series: Series, y: float) -> None:
    estimate, shade = series.values[0], colour(series.colour)
    if estimate.value is None:
        axes.text(0.01, y, "not enough patients", transform=axes.get_yaxis_transform(), va="center", color=shade)
        return
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [y, y], color=shade, linewidth=1.8, solid_capstyle="round")
    axes.plot([estimate.value], [y], series.marker, color=shade, markersize=5.5, label=series.label)


def draw_reliability(
    figure: "Figure", panels: Mapping[str, Sequence[tuple[str, str, Sequence[Mapping[str, float]]]]]
) -> None:
    """Observed against predicted share of responders, one panel per model; the diagonal is perfect.

    Args:
        figure: empty.
        panels: title -> (label, colour, bins with "predicted", "observed", "patients"); a marker's area grows with its
            patients.
    """
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, curves) in zip(all_axes, panels.items()):
        axes.set_title(title)
        axes.plot([0, 1], [0, 1], color=colour("muted"), linewidth=0.8, linestyle="--")
        for label, shade, bins in curves:
            x, y = [one["predicted"] for one in bins], [one["observed"] for one in bins]
            axes.plot(x, y, color=colour(shade), linewidth=1.3, label=label)
            axes.scatter(x, y, s=[6 + 1.5 * one["patients"] for one in bins], color=colour(shade), linewidths=0)
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
        axes.set_aspect("equal")
        axes.set_xlabel("predicted probability")
    all_axes[0].set_ylabel("observed share")
    legend(figure, all_axes)


def draw_lines(
    figure: "Figure",
    panels: Mapping[str, Sequence[tuple[str, str, Sequence[float]]]],
    y_label: str,
    first: int,
) -> None:
    """Curves over rounds, one panel per group; curves of one label share a legend entry.

    Args:
        figure: empty.
        panels: title -> (label, colour, one value per round; NaN leaves a gap).
        y_label: of the first panel.
        first: number of the first round.
    """
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, curves) in zip(all_axes, panels.items()):
        axes.set_title(title)
        axes.grid(axis="y")
        for label, shade, values in curves:
            one = len(values) == 1
            axes.plot(
                np.arange(first, first + len(values)),
                values,
                color=colour(shade),
                linewidth=1.1,
                alpha=0.85,
                label=label,
                marker="o" if one else "",
                markersize=4,
            )
        axes.set_xlabel("round")
        axes.xaxis.get_major_locator().set_params(integer=True)
    all_axes[0].set_ylabel(y_label)
    legend(figure, all_axes)


def draw_bars(
    figure: "Figure", panels: Mapping[str, Sequence[tuple[str, str, Sequence[float]]]], y_label: str, first: int
) -> None:
    """Stacked bars, one per round; one panel per group.

    Args:
        figure: empty.
        panels: title -> (label, CSS colour, one value >= 0 per round).
        y_label: of the first panel.
        first: number of the first round.
    """
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, parts) in zip(all_axes, panels.items()):
        axes.set_title(title)
        axes.grid(axis="y")
        base = np.zeros(max((len(values) for *_, values in parts), default=0))
        for label, shade, values in parts:
            axes.bar(np.arange(first, first + base.size), values, 0.8, bottom=base, color=shade, label=label)
            base = base + np.asarray(values)
        axes.set_xlabel("round")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.tick_params(axis="x", length=0)
    all_axes[0].set_ylabel(y_label)
    legend(figure, all_axes)
