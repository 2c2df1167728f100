"""Goals, and how all comparisons went."""

from typing import Any

import pytest

from flame.report.blocks import Cell, Paragraph, Table
from flame.report.opening import goals_section, main_section


@pytest.mark.parametrize(
    ("goal", "measured", "mark"),
    [
        ({"value": 0.1, "low": 0.05, "high": 0.2, "reached": True}, "+0.100 (+0.050 to +0.200)", "✓ reached"),
        ({"value": -0.1, "low": None, "high": None, "reached": False}, "−0.100 (no interval)", "✗ not reached"),
        (
            {"value": None, "low": None, "high": None, "reached": False},
            "not enough patients",
            "✗ not reached: not measured",
        ),
    ],
)
def test_a_goal_is_shown_with_its_number_and_result(goal: dict[str, Any], measured: str, mark: str) -> None:
    (table,) = goals_section({"goals": [{"statement": "Response (pre_rt): better", **goal}]}).blocks
    assert isinstance(table, Table)
    ((statement, value, result),) = table.rows
    assert statement == "Response (before radiotherapy): better"
    assert value == measured
    assert isinstance(result, Cell)
    assert result.text == mark


def test_all_comparisons_with_local_models_are_counted() -> None:
    def row(low: float | None, high: float | None) -> dict[str, Any]:
        estimate = None if low is None or high is None else (low + high) / 2
        return {
            "model": "network",
            "between": "federated - local",
            "auroc": {"estimate": estimate, "low": low, "high": high},
        }

    rows = [row(0.1, 0.2), row(-0.2, -0.1), row(-0.1, 0.1), row(-0.1, 0.2), row(None, None)]
    part = {"context": "pre_rt", "patients": 9, "differences": rows, "rows": []}
    tally = [block for block in main_section({"response": [part]}).blocks if isinstance(block, Paragraph)][-1].text
    assert tally.startswith("Over all 5 comparisons")
    assert "better in 1, worse in 1, undecided in 2; 1 had too few patients" in tally
