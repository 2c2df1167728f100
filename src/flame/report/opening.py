"""The first part of the report: the answer, its numbers, and the goals that were set beforehand."""

from collections.abc import Mapping
from typing import Any

from flame.report.answer import main_comparisons, main_scores
from flame.report.blocks import Banner, Block, Cell, Paragraph, Section, Table
from flame.report.estimates import Estimate
from flame.report.words import context_short, name

__all__ = ["arm_banner", "goals_section", "main_section"]

_MARKS = {"better": "up", "worse": "down", "undecided": "even", "unknown": "blank"}
_WAYS = ("persistence", "local", "federated", "pooled")
_READ = {
    "better": "federated better",
    "worse": "federated worse",
    "undecided": "not decided",
    "unknown": "not enough patients",
}


def main_section(comparison: Mapping[str, Any]) -> Section:
    """The main comparisons as a table, and how many of all comparisons went which way."""
    rows = [
        (
            one.subject,
            f"federated − {name(one.reference)}",
            one.score,
            one.difference.difference_text(),
            Cell(_READ[one.difference.verdict], _MARKS[one.difference.verdict]),
        )
        for one in main_comparisons(comparison)
    ]
    blocks: list[Block] = [Banner(*banner)] if (banner := arm_banner(comparison)) else []
    if rows:
        caption = (
            "Differences with 95 % intervals (bootstrap over patients within sites); above zero favours federated "
            "training. Each patient was predicted by models that never saw the patient's site."
        )
        head = ("question", "difference", "score", "estimate (interval)", "reading")
        blocks += [_scores(comparison), Table(caption, head, rows, names=3), Paragraph(_tally(comparison), "note")]
    else:
        blocks.append(Paragraph("This comparison holds no difference between ways of training.", "missing"))
    return Section("comparisons", "Main comparisons", blocks)


def _scores(comparison: Mapping[str, Any]) -> Table:
    """What every way of training scored on the main subjects."""
    rows = []
    for one in main_scores(comparison):
        cells = ["–" if (estimate := one.ways.get(way)) is None else estimate.text() for way in _WAYS]
        rows.append((one.subject, one.score, *cells))
    caption = (
        "Scores with 95 % intervals; higher is better. Local is the mean over the models that sites trained alone; "
        "persistence carries the last map forward and has no counterpart for response."
    )
    return Table(caption, ("question", "score", *(name(way) for way in _WAYS)), rows, names=2)


def arm_banner(comparison: Mapping[str, Any]) -> tuple[str, str, Any] | None:
    """Title, text and kind of the statement on arms; a warning unless effects of arms are identified."""
    effects = comparison.get("arm_effects")
    if not effects:
        return None
    if effects["identified"]:
        return "Effects of arms can be compared", str(effects["statement"]), "note"
    return "Effects of arms are not identified", str(effects["statement"]), "warning"


def _tally(comparison: Mapping[str, Any]) -> str:
    """How all differences to local models went, so that the main ones cannot have been picked."""
    found = [
        Estimate.of(row[score]).verdict
        for task, score in (("response", "auroc"), ("evolution", "dice"))
        for part in comparison.get(task) or []
        for row in part["differences"]
        if row["between"] == "federated - local"
    ]
    counted = (
        f"Over all {len(found)} comparisons with a site's own model in this report (all models, contexts, regions and "
        f"horizons) federated training was better in {found.count('better')}, worse in {found.count('worse')}, "
        "undecided "
        f"in {found.count('undecided')}; {found.count('unknown')} had too few patients. "
    )
    return (
        counted
        + "Intervals are not widened for the number of comparisons: about one in twenty excludes zero by chance."
    )


def goals_section(comparison: Mapping[str, Any]) -> Section:
    """What was to be shown, and whether it was."""
    goals = comparison.get("goals") or []
    if not goals:
        return Section("goals", "Goals", [Paragraph("No goals were set for this comparison.", "missing")])
    rows = []
    for goal in goals:
        statement = str(goal["statement"])
        for context in ("first_post_rt", "pre_rt"):
            statement = statement.replace(context, context_short(context))
        value = Estimate(goal.get("value"), goal.get("low"), goal.get("high"))
        mark = Cell("✓ reached", "up") if goal.get("reached") else Cell("✗ not reached", "down")
        if not value.known:
            mark = Cell("✗ not reached: not measured", "down")
        rows.append((statement, value.difference_text(), mark))
    reached = sum(bool(goal.get("reached")) for goal in goals)
    caption = f"{reached} of {len(goals)} goals were reached. The goals were set before the numbers were known."
    return Section("goals", "Goals", [Table(caption, ("goal", "measured (95 % interval)", "result"), rows)])
