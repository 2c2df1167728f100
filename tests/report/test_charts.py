"""What charts draw is what they were given."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from flame.report.charts import Panel, Series, draw_bars, draw_forest, draw_lines, draw_panels, draw_reliability, limits
from flame.report.estimates import Estimate

KNOWN, UNKNOWN = Estimate(0.5, 0.4, 0.7), Estimate(None, None, None)


def figure() -> Figure:
    return Figure(figsize=(6, 3), layout="constrained")


def test_limits_hold_every_interval_and_a_margin_of_4_percent() -> None:
    assert limits([KNOWN, UNKNOWN], 0.5, 0.6) == pytest.approx((0.4 - 0.012, 0.7 + 0.012))
    assert limits([], 0.0, 1.0) == pytest.approx((-0.04, 1.04))


def test_points_stand_at_their_values_and_unknown_ones_are_left_out() -> None:
    drawn = figure()
    series = Series("a", "federated", [KNOWN, UNKNOWN, Estimate(0.6, None, None)])
    draw_panels(drawn, [Panel("one", [series]), Panel("two", [])], ["x", "y", "z"], "score", (0, 1))
    first, second = drawn.axes
    interval, points = first.lines
    assert interval.get_ydata().tolist() == [0.4, 0.7]
    assert points.get_xdata().tolist() == [0, 2]
    assert points.get_ydata().tolist() == [0.5, 0.6]
    assert first.get_ylim() == second.get_ylim() == (0, 1)
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["a"]


def test_series_stand_beside_each_other_around_their_category() -> None:
    drawn = figure()
    pair = [Series(label, "local", [KNOWN]) for label in ("a", "b")]
    draw_panels(drawn, [Panel("one", pair)], ["x"], "score", (0, 1), zero=True)
    places = [line.get_xdata()[0] for line in drawn.axes[0].lines if line.get_label() in ("a", "b")]
    assert np.mean(places) == pytest.approx(0)
    assert places[1] - places[0] == pytest.approx(0.36)


def test_a_forest_writes_where_nothing_could_be_estimated() -> None:
    drawn = figure()
    rows = [("m", [Series("local", "local", [KNOWN]), Series("pooled", "pooled", [UNKNOWN])])]
    draw_forest(drawn, rows, "AUROC", (0.3, 0.9), 0.5)
    (axes,) = drawn.axes
    assert [text.get_text() for text in axes.texts] == ["not enough patients"]
    assert axes.get_yticks().tolist() == [0.5]


def test_reliability_has_a_diagonal_and_the_bins() -> None:
    drawn = figure()
    bins = [{"predicted": 0.2, "observed": 0.1, "patients": 10.0}, {"predicted": 0.8, "observed": 0.9, "patients": 5.0}]
    draw_reliability(drawn, {"m": [("local", "local", bins)]})
    diagonal, curve = drawn.axes[0].lines
    assert diagonal.get_xdata().tolist() == diagonal.get_ydata().tolist() == [0, 1]
    assert np.asarray(curve.get_xydata()).tolist() == [[0.2, 0.1], [0.8, 0.9]]


def test_rounds_keep_their_numbers() -> None:
    drawn = figure()
    draw_lines(drawn, {"q": [("local", "local", [3.0, 2.0])]}, "loss", first=4)
    assert np.asarray(drawn.axes[0].lines[0].get_xydata()).tolist() == [[4, 3], [5, 2]]


def test_bars_of_sites_are_stacked() -> None:
    drawn = figure()
    draw_bars(drawn, {"q": [("a", "#000000", [1.0, 2.0]), ("b", "#ff0000", [3.0, 0.0])]}, "kB", first=0)
    assert drawn.axes[0].patches[1].get_center()[0] == 1
    tops = [bar.get_y() + bar.get_height() for bar in drawn.axes[0].patches]
    assert tops == [1.0, 2.0, 4.0, 2.0]
