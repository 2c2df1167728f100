"""The part on arms: statement, support, no advice."""

from typing import Any

from flame.report.arms import NO_ADVICE, arms_section
from flame.report.blocks import Banner, Folded, Paragraph, Table


def test_scores_under_each_arm_carry_their_support(comparison: dict[str, Any]) -> None:
    blocks = arms_section(comparison).blocks
    offered, main = [block for block in blocks if isinstance(block, Table)]
    assert list(offered.head) == ["site", "photons", "protons", "carbon ions"]
    assert len(main.rows) == 3 * 2 * 3
    assert {(row[0], row[1]) for row in main.rows} == {
        ("photons", "factual"),
        ("photons", "in-support counterfactual"),
        ("protons", "factual"),
        ("protons", "in-support counterfactual"),
        ("carbon ions", "factual"),
        ("carbon ions", "mechanistic extrapolation"),
    }
    (folded,) = [block for block in blocks if isinstance(block, Folded)]
    assert isinstance(folded.blocks[0], Table)
    assert len(folded.blocks[0].rows) == 3 * 2 * 3 * 4


def test_no_treatment_is_recommended_whatever_is_known(comparison: dict[str, Any]) -> None:
    for content in ({}, comparison):
        texts = [block.text for block in arms_section(content).blocks if isinstance(block, Paragraph)]
        assert NO_ADVICE in texts


def test_the_statement_of_the_comparison_is_quoted(comparison: dict[str, Any]) -> None:
    banner = arms_section(comparison).blocks[0]
    assert banner == Banner("Effects of arms are not identified", comparison["arm_effects"]["statement"], "warning")
