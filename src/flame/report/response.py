"""The report's part on response: who responds to radiotherapy."""

from collections.abc import Mapping, Sequence
from typing import Any

from flame.report.blocks import Block, Cell, Folded, Heading, Paragraph, Picture, Section, Table
from flame.report.canvas import WIDTH_IN, paint_svg
from flame.report.charts import Series, draw_forest, draw_reliability, limits
from flame.report.estimates import MISSING, Estimate, number
from flame.report.matrix import cross_site_table
from flame.report.words import METRICS, context_text, name, plural

__all__ = ["response_section"]

_RANKING = ("auroc", "auroc_overall", "auprc", "balanced_accuracy")
_RANKING_HEAD = ("model", "trained", "AUROC", "AUROC, all sites", "AUPRC", "balanced accuracy")
_CALIBRATION = ("brier", "calibration_slope", "calibration_intercept")
_CALIBRATION_HEAD = ("model", "trained", "Brier score", "calibration slope", "calibration intercept", "ECE")
_MODELS = ("prevalence", "clinical", "clinical_volumes", "network")
_WAYS = ("local", "federated", "pooled")
_MARKERS = {"local": "s", "federated": "o", "pooled": "^"}
_EXPLAINED = ("auroc", "auprc", "balanced_accuracy", "brier", "calibration")


def response_section(parts: Sequence[Mapping[str, Any]]) -> Section:
    """Tables, intervals, calibration and cross-site matrices of all contexts."""
    title = "Response to radiotherapy"
    if not parts:
        return Section("response", title, [Paragraph("This comparison has no response task.", "missing")])
    opening = (
        "A responder is a patient whose disease is under control at +182 days (RANO 2.0 by volume). Local means "
        "the mean over the models that single sites trained alone, each tested at the other sites."
    )
    blocks: list[Block] = [Paragraph(opening), Paragraph(" ".join(METRICS[key] for key in _EXPLAINED), "note")]
    for part in parts:
        blocks += _part(part)
    return Section("response", title, blocks)


def _part(part: Mapping[str, Any]) -> list[Block]:
    rows = sorted(part["rows"], key=lambda row: (_rank(_MODELS, row["model"]), _rank(_WAYS, row["trained"])))
    who = f"{plural(part['patients'], 'patient')}, {plural(part['responders'], 'responder')}"
    blocks: list[Block] = [Heading(f"Predicted {context_text(part['context'])}")]
    if not rows:
        return [*blocks, Paragraph("No model was scored: not enough patients.", "missing")]
    blocks += [_forest(part, rows, who), _ranking(rows, who), _differences(part)]
    blocks += [*_reliability(part, rows, who), _calibration(rows, who)]
    return blocks + _matrices(part)


def _rank(order: Sequence[str], key: str) -> tuple[int, str]:
    return (order.index(key) if key in order else len(order), key)


def _forest(part: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], who: str) -> Picture:
    models = list(dict.fromkeys(row["model"] for row in rows))
    groups = [(name(model), [_point(row) for row in rows if row["model"] == model]) for model in models]
    across = limits([series.values[0] for _, group in groups for series in group], 0.4, 0.9)
    height = 1.0 + 0.19 * len(rows) + 0.17 * len(models)
    svg = paint_svg(
        lambda figure: draw_forest(figure, groups, "AUROC within site", across, 0.5),
        (0.8 * WIDTH_IN, height),
        f"AUROC with intervals for {len(models)} response models, each trained locally, federated and pooled.",
        f"response-forest-{part['context']}",
    )
    return Picture(
        svg,
        f"AUROC within site with 95 % intervals ({who}). The line at 0.5 is a coin; an interval that crosses it shows "
        "no "
        "ability to rank patients.",
    )


def _point(row: Mapping[str, Any]) -> Series:
    way = row["trained"]
    return Series(name(way), way, [Estimate.of(row["auroc"])], _MARKERS.get(way, "D"))


def _ranking(rows: Sequence[Mapping[str, Any]], who: str) -> Table:
    body: list[Sequence[Cell | str]] = [
        (*_names(row), *(Estimate.of(row.get(score)).text() for score in _RANKING)) for row in rows
    ]
    return Table(
        f"How well patients are ranked and classified, with 95 % intervals ({who}).", _RANKING_HEAD, body, names=2
    )


def _calibration(rows: Sequence[Mapping[str, Any]], who: str) -> Table:
    body: list[Sequence[Cell | str]] = []
    for row in rows:
        ece = row.get("ece")
        # A model with one probability for everybody has neither slope nor intercept, however many patients there are.
        missing = "not defined" if row["model"] == "prevalence" else MISSING
        scores = [Estimate.of(row.get(score)).text(missing=missing) for score in _CALIBRATION]
        body.append((*_names(row), *scores, "not measured" if ece is None else number(ece)))
    return Table(
        f"How far probabilities can be trusted, with 95 % intervals ({who}).", _CALIBRATION_HEAD, body, names=2
    )


def _names(row: Mapping[str, Any]) -> tuple[str, Cell]:
    return name(row["model"]), Cell(name(row["trained"]), f"way {row['trained']}")


def _differences(part: Mapping[str, Any]) -> Block:
    rows = [
        (name(row["model"]), _between(row["between"]), Estimate.of(row["auroc"]).difference_text())
        for row in sorted(part["differences"], key=lambda row: _rank(_MODELS, row["model"]))
    ]
    if not rows:
        return Paragraph("No differences between ways of training were estimated.", "missing")
    caption = "Differences in AUROC on the same patients, with 95 % intervals; one that includes zero decides nothing."
    return Table(caption, ("model", "difference", "AUROC"), rows, names=2)


def _between(text: str) -> str:
    return " − ".join(name(side) for side in text.split(" - "))


def _reliability(part: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], who: str) -> list[Block]:
    curves: dict[str, list[tuple[str, str, Sequence[Mapping[str, float]]]]] = {}
    order = {(row["model"], row["trained"]): position for position, row in enumerate(rows)}
    known = [one for one in part.get("reliability") or [] if one["bins"] and one["model"] != "prevalence"]
    for one in sorted(known, key=lambda one: order.get((one["model"], one["trained"]), len(order))):
        curves.setdefault(name(one["model"]), []).append((name(one["trained"]), one["trained"], one["bins"]))
    if not curves:
        return [Paragraph("Reliability curves: not enough patients.", "missing")]
    svg = paint_svg(
        lambda figure: draw_reliability(figure, curves),
        (min(WIDTH_IN, 0.6 + 2.8 * len(curves)), 3.5),
        "Reliability curves: observed share of responders against predicted probability, per model and way of "
        "training.",
        f"reliability-{part['context']}",
    )
    caption = (
        f"Reliability ({who}): among patients with a predicted probability, how many responded. On the dashed line "
        "predictions mean what they say; below it they promise too much. Larger dots hold more patients; the "
        "prevalence "
        "model has one probability only and is left out."
    )
    return [Picture(svg, caption)]


def _matrices(part: Mapping[str, Any]) -> list[Block]:
    tables: list[Block] = [
        cross_site_table(
            name(matrix["model"]),
            "AUROC",
            matrix["sites"],
            [(row["trained"], row["auroc"]) for row in matrix["rows"]],
        )
        for matrix in sorted(part.get("matrix") or [], key=lambda one: _rank(_MODELS, one["model"]))
        if matrix["model"] != "prevalence"
    ]
    if not tables:
        return [Paragraph("Cross-site matrix: not available.", "missing")]
    blocks: list[Block] = [tables[-1]]
    if len(tables) > 1:
        blocks.append(Folded("Cross-site matrices of the other response models", tables[:-1]))
    return blocks
