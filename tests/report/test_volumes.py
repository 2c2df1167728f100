"""Volume curves."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from flame.report.volumes import draw_volumes


def test_observed_predicted_and_true_volumes_are_drawn_where_they_are_known() -> None:
    facts: dict[str, Any] = {
        "horizons": [91, 182],
        "observed": {"horizons": [-56, 28], "volumes_ml": {"ET": [2.0, 3.0]}},
        "arms": {"photon": {"predicted_ml": {"ET": [4.0, 5.0]}, "true_ml": {"ET": [4.5, None]}}},
    }
    figure = Figure(layout="constrained")
    draw_volumes(figure, facts)
    lines = {line.get_label(): np.asarray(line.get_xydata()) for line in figure.axes[0].lines}
    assert lines["observed"].tolist() == [[-56, 2], [28, 3]]
    assert lines["photons, predicted"].tolist() == [[91, 4], [182, 5]]
    assert lines["photons, true"][0].tolist() == [91, 4.5]
    assert np.isnan(lines["photons, true"][1, 1])
    assert not figure.axes[1].lines
