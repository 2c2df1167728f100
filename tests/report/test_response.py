"""The response part's tables."""

from typing import Any

from flame.report.blocks import Cell, Folded, Paragraph, Table
from flame.report.response import response_section


def test_models_and_ways_come_in_a_fixed_order_whatever_the_file_says(comparison: dict[str, Any]) -> None:
    part = comparison["response"][0]
    part["rows"].reverse()
    ranking = next(block for block in response_section([part]).blocks if isinstance(block, Table))
    assert [row[0] for row in ranking.rows[::3]] == [
        "prevalence",
        "clinical data",
        "clinical data + volumes",
        "3-D network",
    ]
    assert [row[1] for row in ranking.rows[:3]] == [Cell(way, f"way {way}") for way in ("local", "federated", "pooled")]


def test_one_probability_for_all_has_no_calibration_slope_and_that_is_not_for_want_of_patients(
    comparison: dict[str, Any],
) -> None:
    tables = [block for block in response_section(comparison["response"]).blocks if isinstance(block, Table)]
    calibration = next(table for table in tables if "calibration slope" in table.head)
    assert calibration.rows[0][3] == "not defined"


def test_the_last_models_matrix_is_open_and_the_others_are_folded(comparison: dict[str, Any]) -> None:
    blocks = response_section(comparison["response"]).blocks
    (folded,) = [block for block in blocks if isinstance(block, Folded)]
    assert len(folded.blocks) == 2
    matrix = blocks[-2]
    assert isinstance(matrix, Table)
    assert matrix.caption.startswith("3-D network: AUROC")


def test_a_context_without_scores_says_so() -> None:
    part = {"context": "pre_rt", "patients": 1, "responders": 0, "rows": [], "differences": []}
    last = response_section([part]).blocks[-1]
    assert last == Paragraph("No model was scored: not enough patients.", "missing")
