"""The report's parts on training: what left each site, what was refused, how the loss fell."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from flame.report.blocks import Block, Folded, Paragraph, Picture, Section, Table
from flame.report.canvas import WIDTH_IN, paint_svg
from flame.report.charts import draw_bars, draw_lines
from flame.report.colours import SITES
from flame.report.estimates import bytes_text, number
from flame.report.words import plural

__all__ = ["refused_section", "traffic_section", "training_section"]

Training = Mapping[str, Any]
_PANELS = 3


def _split(training: Training) -> tuple[str, str]:
    question, _, way = str(training["name"]).rpartition("/")
    return question or "training", way


def _way(training: Training) -> str:
    return _split(training)[1].split("-")[0]


def _federated(trainings: Sequence[Training]) -> list[Training]:
    return [training for training in trainings if _way(training) == "federated" and training.get("rounds")]


def traffic_section(trainings: Sequence[Training]) -> Section:
    """Bytes sent and received per site and round of every federated training."""
    title = "What left the sites"
    federated = _federated(trainings)
    if not federated:
        return Section(
            "traffic", title, [Paragraph("This comparison holds no federated training with rounds.", "missing")]
        )
    opening = (
        "In each round a site receives the model and sends an update: named arrays of numbers, a sample count and a "
        "few "
        "scalars such as its loss. Images, label maps and tables of patients stay where they are."
    )
    first = list({_split(training)[0]: training for training in reversed(federated)}.values())[::-1]
    blocks: list[Block] = [Paragraph(opening), *_sent_figures(first)]
    blocks.append(_totals(federated))
    details = [_per_round(training) for training in federated]
    blocks.append(Folded(f"Bytes per site and round of {plural(len(details), 'federated training')}", details))
    return Section("traffic", title, blocks)


def _sites(training: Training) -> list[str]:
    return sorted({site for one in training["rounds"] for site in one["sites"]} | set(training.get("sites") or []))


def _sent_figures(trainings: Sequence[Training]) -> list[Block]:
    """Bytes per round of one federated training per question, a few questions side by side."""
    order = {site: number for number, site in enumerate(sorted({site for one in trainings for site in _sites(one)}))}
    blocks: list[Block] = []
    for start in range(0, len(trainings), _PANELS):
        shown = trainings[start : start + _PANELS]
        panels = {
            _split(training)[0]: [
                (site, SITES[order[site] % len(SITES)], _sent(training, site)) for site in _sites(training)
            ]
            for training in shown
        }
        svg = paint_svg(
            partial(draw_bars, panels=panels, y_label="sent [kB]", first=_first_round(shown)),
            (WIDTH_IN, 2.8),
            "Kilobytes that each site sent in each round of a federated training.",
            f"traffic-{start}",
        )
        names = ", ".join(str(training["name"]) for training in shown)
        blocks.append(Picture(svg, f"Bytes sent by each site in each round (1 kB = 1,000 bytes): {names}."))
    return blocks


def _first_round(trainings: Sequence[Training]) -> int:
    """The number that rounds are counted from."""
    return min((one["round"] for training in trainings for one in training.get("rounds") or []), default=0)


def _sent(training: Training, site: str) -> list[float]:
    return [one["sites"].get(site, {}).get("bytes_up", 0) / 1e3 for one in training["rounds"]]


def _totals(trainings: Sequence[Training]) -> Table:
    rows = []
    for training in trainings:
        sent = [entry["bytes_up"] for one in training["rounds"] for entry in one["sites"].values()]
        received = [entry["bytes_down"] for one in training["rounds"] for entry in one["sites"].values()]
        rounds, sites = len(training["rounds"]), len(_sites(training))
        per_round = sum(sent) / max(1, len(sent))
        rows.append(
            (
                str(training["name"]),
                str(sites),
                str(rounds),
                f"{training['parameters']:,}" if training.get("parameters") is not None else "–",
                bytes_text(per_round),
                bytes_text(sum(sent)),
                bytes_text(sum(received)),
            )
        )
    head = ("training", "sites", "rounds", "parameters", "sent per site and round", "sent in all", "received in all")
    return Table("Traffic of every federated training.", head, rows)


def _per_round(training: Training) -> Table:
    sites = _sites(training)
    rows = []
    for one in training["rounds"]:
        cells = []
        for site in sites:
            entry = one["sites"].get(site)
            cells.append(
                "–" if entry is None else f"{bytes_text(entry['bytes_up'])} / {bytes_text(entry['bytes_down'])}"
            )
        rows.append((str(one["round"]), *cells))
    return Table(f"{training['name']}: sent / received per round; a dash: not taken part.", ("round", *sites), rows)


def refused_section(trainings: Sequence[Training]) -> Section:
    """Updates that were not aggregated, and why."""
    rows = [
        (str(training["name"]), str(one["round"]), site, str(reason))
        for training in trainings
        for one in training.get("rounds") or []
        for site, reason in (one.get("refused") or {}).items()
    ]
    rounds = sum(len(training["rounds"]) for training in _federated(trainings))
    checks = "Every update is checked before it counts: finite numbers, right names and shapes, a norm within bounds."
    if not rows:
        text = f"{checks} Nothing was refused in {plural(rounds, 'federated round')}."
        return Section("refused", "What was refused", [Paragraph(text)])
    caption = (
        f"{plural(len(rows), 'refused update')} in {plural(rounds, 'federated round')}; the round went on without them."
    )
    table = Table(caption, ("training", "round", "site", "reason"), rows, names=4)
    return Section("refused", "What was refused", [Paragraph(checks), table])


def training_section(trainings: Sequence[Training]) -> Section:
    """Loss per round of every question and way of training; time and size as a table."""
    title = "Training"
    if not trainings:
        return Section("training", title, [Paragraph("This comparison lists no trainings.", "missing")])
    curves: dict[str, list[tuple[str, str, Sequence[float]]]] = {}
    for training in trainings:
        losses = [_loss(one) for one in training.get("rounds") or []]
        if any(loss == loss for loss in losses):
            question, way = _split(training)[0], _way(training)
            curves.setdefault(question, []).append((way, way, losses))
    blocks: list[Block] = []
    names = list(curves)
    for start in range(0, len(names), _PANELS):
        panels = {question: curves[question] for question in names[start : start + _PANELS]}
        svg = paint_svg(
            partial(draw_lines, panels=panels, y_label="training loss", first=_first_round(trainings)),
            (WIDTH_IN, 2.8),
            "Training loss over rounds, one line per training, coloured by way of training.",
            f"loss-{start}",
        )
        caption = (
            "Training loss over rounds, one line per training; for federated ones the mean over sites. It shows that "
            "training "
            "settled, not how good a model is: losses of different sites are of different patients."
        )
        blocks.append(Picture(svg, caption))
    if not names:
        blocks.append(Paragraph("Training curves: no training recorded a loss.", "missing"))
    rows = [
        (
            str(training["name"]),
            ", ".join(training.get("sites") or []),
            str(training.get("samples", "–")),
            str(len(training.get("rounds") or [])),
            number(sum(one.get("seconds") or 0.0 for one in training.get("rounds") or []), 1),
        )
        for training in trainings
    ]
    table = Table("Every training.", ("training", "sites", "samples", "rounds", "seconds"), rows, names=2)
    return Section("training", title, [*blocks, Folded(f"All {plural(len(rows), 'training')}", [table])])


def _loss(one: Mapping[str, Any]) -> float:
    """Mean loss over the sites of a round; NaN if none recorded one."""
    losses = [entry["scalars"]["loss"] for entry in one["sites"].values() if "loss" in (entry.get("scalars") or {})]
    return sum(losses) / len(losses) if losses else float("nan")
