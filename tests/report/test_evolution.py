"""The evolution part's tables."""

from typing import Any

from flame.report.blocks import Folded, Paragraph, Picture, Table
from flame.report.evolution import evolution_section


def test_the_main_horizon_is_open_the_others_are_folded_and_captions_tell_how_many_patients_were_left(
    comparison: dict[str, Any],
) -> None:
    blocks = evolution_section(comparison["evolution"]).blocks
    scores = [block for block in blocks if isinstance(block, Table) and block.caption.startswith("All scores")]
    folded = [block.summary for block in blocks if isinstance(block, Folded) and block.summary.startswith("All scores")]
    assert [table.caption for table in scores] == ["All scores at +182 days with 95 % intervals."]
    assert folded == [f"All scores at +{horizon} days" for horizon in (91, 273, 365)]
    assert len(scores[0].rows) == 3 * (1 + 5)
    pictures = [block for block in blocks if isinstance(block, Picture)]
    assert "112 at +91 days, 95 at +182 days, 78 at +273 days, 61 at +365 days" in pictures[0].caption


def test_a_method_of_tomorrow_is_shown_by_its_name(comparison: dict[str, Any]) -> None:
    part = comparison["evolution"][0]
    part["rows"] = [{**row, "method": "diffusion"} if row["trained"] == "pooled" else row for row in part["rows"]]
    blocks = evolution_section([part]).blocks
    table = next(block for block in blocks if isinstance(block, Table))
    assert any(getattr(row[0], "text", "") == "diffusion, pooled" for row in table.rows)


def test_a_context_without_scores_says_so() -> None:
    part = {"context": "pre_rt", "patients": 1, "rows": [], "differences": []}
    last = evolution_section([part]).blocks[-1]
    assert last == Paragraph("No map was scored: not enough patients.", "missing")
