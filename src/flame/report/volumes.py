"""Volume curves of one patient: observed, then predicted and true under every arm."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flame.report.charts import legend
from flame.report.colours import colour
from flame.report.words import arm_order, name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_volumes"]

_MARKERS: Mapping[str, str] = {"photon": "o", "proton": "s", "carbon": "^"}


def draw_volumes(figure: "Figure", facts: Mapping[str, Any]) -> None:
    """One panel per region: what was observed (black), predicted (solid) and true (dashed) volumes per arm.

    Args:
        figure: empty.
        facts: the JSON beside a patient's predicted maps.
    """
    all_axes = figure.subplots(1, 3, squeeze=False)[0]
    observed = facts.get("observed") or {"horizons": [], "volumes_ml": {}}
    for axes, region in zip(all_axes, ("ET", "TC", "WT")):
        axes.set_title(name(region))
        axes.grid(axis="y")
        _curve(axes, observed["horizons"], observed["volumes_ml"].get(region, []), "ink", "D", "-", "observed", False)
        for arm in arm_order(facts["arms"]):
            content, marker = facts["arms"][arm], _MARKERS.get(arm, "v")
            truth = (content.get("true_ml") or {}).get(region, [])
            _curve(axes, facts["horizons"], truth, arm, marker, "--", f"{name(arm)}, true", True)
            predicted = (content.get("predicted_ml") or {}).get(region, [])
            _curve(axes, facts["horizons"], predicted, arm, marker, "-", f"{name(arm)}, predicted", False)
        highest = axes.dataLim.ymax if axes.lines else 1.0
        axes.set_ylim(0, 1.08 * max(highest, 0.1))
        axes.set_xlabel("days since the end of radiotherapy")
    all_axes[0].set_ylabel("volume [ml]")
    legend(figure, all_axes)


def _curve(
    axes: "Axes",
    days: Sequence[float],
    volumes: Sequence[float | None],
    shade: str,
    marker: str,
    dashes: str,
    label: str,
    hollow: bool,
) -> None:
    values = np.array([np.nan if volume is None else volume for volume in volumes], dtype=float)
    if not np.isfinite(values).any():
        return
    axes.plot(
        days,
        values,
        color=colour(shade),
        linestyle=dashes,
        marker=marker,
        markersize=4.5,
        linewidth=1.2,
        markerfacecolor=colour("paper") if hollow else colour(shade),
        label=label,
    )
