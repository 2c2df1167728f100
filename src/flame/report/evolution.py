"""The report's part on evolution: where the tumour will be."""

from collections.abc import Mapping, Sequence
from typing import Any

from flame.report.answer import main_horizon
from flame.report.blocks import Block, Cell, Folded, Heading, Paragraph, Picture, Section, Table
from flame.report.canvas import WIDTH_IN, paint_svg
from flame.report.charts import Panel, Series, draw_panels, limits
from flame.report.estimates import Estimate
from flame.report.matrix import cross_site_table
from flame.report.words import METRICS, context_text, horizon_text, name

__all__ = ["evolution_section"]

_REGIONS = ("ET", "TC", "WT")
_WAYS = (
    ("persistence", "none", "D"),
    ("volume_trend", "none", "v"),
    ("unet", "local", "s"),
    ("unet", "federated", "o"),
    ("unet", "pooled", "^"),
)
_SCORES = ("dice", "change_dice", "surface_dice", "hd95", "volume_error_ml", "volume_log_ratio")
_HEAD = (
    "method",
    "patients",
    "Dice",
    "change-Dice",
    "surface Dice 2 mm",
    "HD95 [mm]",
    "volume error [ml]",
    "log ratio",
)
_DIGITS = {"hd95": 1, "volume_error_ml": 1}
_EXPLAINED = ("dice", "change_dice", "surface_dice", "hd95", "volume")

Way = tuple[str, str]


def evolution_section(parts: Sequence[Mapping[str, Any]]) -> Section:
    """Curves, differences, tables and cross-site matrices of all contexts."""
    title = "Tumour evolution"
    if not parts:
        return Section("evolution", title, [Paragraph("This comparison has no evolution task.", "missing")])
    opening = (
        "The model gives a probability for each voxel to be enhancing tumour, tumour core (enhancing and necrotic) or "
        "whole "
        "tumour (core and oedema) at a horizon, counted in days since the end of radiotherapy. Two references need no "
        "training: persistence carries the last map forward; the volume trend grows or shrinks it to the extrapolated "
        "volume."
    )
    blocks: list[Block] = [Paragraph(opening), Paragraph(" ".join(METRICS[key] for key in _EXPLAINED), "note")]
    for part in parts:
        blocks += _part(part)
    return Section("evolution", title, blocks)


def _part(part: Mapping[str, Any]) -> list[Block]:
    blocks: list[Block] = [Heading(f"Predicted {context_text(part['context'])}")]
    rows = {(row["method"], row["trained"], row["region"], row["horizon"]): row for row in part["rows"]}
    if not rows:
        return [*blocks, Paragraph("No map was scored: not enough patients.", "missing")]
    horizons = sorted({horizon for *_, horizon in rows})
    regions = [region for region in _REGIONS if any(key[2] == region for key in rows)]
    ways = _ways(rows)
    blocks.append(_dice(part, rows, ways, regions, horizons))
    blocks += _differences(part, regions, horizons)
    for horizon in horizons:
        table = _table(rows, ways, regions, horizon)
        blocks.append(
            table if horizon == main_horizon(horizons) else Folded(f"All scores at {horizon_text(horizon)}", [table])
        )
    return blocks + _matrices(part, horizons)


def _ways(rows: Mapping[tuple[str, str, str, int], Any]) -> list[tuple[str, str, str]]:
    """The methods that were scored: known ones in their order, then any other."""
    there = {(method, trained) for method, trained, *_ in rows}
    known = [way for way in _WAYS if way[:2] in there]
    others = sorted(there - {way[:2] for way in _WAYS})
    return known + [(method, trained, "P") for method, trained in others]


def _way_text(method: str, trained: str) -> str:
    return name(method) if trained == "none" else f"{name(method)}, {name(trained)}"


def _shade(method: str, trained: str) -> str:
    return "volume_trend" if method == "volume_trend" else trained


def _dice(
    part: Mapping[str, Any],
    rows: Mapping[tuple[str, str, str, int], Mapping[str, Any]],
    ways: Sequence[tuple[str, str, str]],
    regions: Sequence[str],
    horizons: Sequence[int],
) -> Picture:
    panels = []
    for region in regions:
        series = [
            Series(
                _way_text(method, trained),
                _shade(method, trained),
                [_score(rows.get((method, trained, region, horizon)), "dice") for horizon in horizons],
                marker,
            )
            for method, trained, marker in ways
        ]
        panels.append(Panel(name(region), series))
    counts = [
        f"{max(row['patients'] for (*_, at), row in rows.items() if at == horizon)} at {horizon_text(horizon)}"
        for horizon in horizons
    ]
    within = limits([value for panel in panels for series in panel.series for value in series.values], 0.0, 0.8)
    svg = paint_svg(
        lambda figure: draw_panels(figure, panels, [f"+{horizon}" for horizon in horizons], "Dice", within),
        (WIDTH_IN, 3.3),
        "Dice per region and horizon with intervals for persistence, volume trend and the U-Net trained in three ways.",
        f"dice-{part['context']}",
    )
    caption = (
        "Dice with 95 % intervals at each horizon (days since the end of radiotherapy); higher is better. Patients: "
        f"{', '.join(counts)}; those who died or left have no later map."
    )
    return Picture(svg, caption)


def _differences(part: Mapping[str, Any], regions: Sequence[str], horizons: Sequence[int]) -> list[Block]:
    found = {(row["between"], row["region"], row["horizon"]): row for row in part["differences"]}
    between = list(dict.fromkeys(row["between"] for row in part["differences"]))
    if not between:
        return [Paragraph("No differences between ways of training were estimated.", "missing")]
    looks = {"persistence": ("none", "D"), "local": ("local", "s"), "pooled": ("pooled", "^")}
    panels = [
        Panel(
            name(region),
            [
                Series(
                    f"federated − {name(other)}",
                    looks.get(other, ("ink", "P"))[0],
                    [_score(found.get((one, region, horizon)), "dice") for horizon in horizons],
                    looks.get(other, ("ink", "P"))[1],
                    joined=False,
                )
                for one in between
                for other in [one.removeprefix("federated - ")]
            ],
        )
        for region in regions
    ]
    within = limits([value for panel in panels for series in panel.series for value in series.values], -0.05, 0.05)
    svg = paint_svg(
        lambda figure: draw_panels(
            figure, panels, [f"+{h}" for h in horizons], "difference in Dice", within, zero=True
        ),
        (WIDTH_IN, 2.9),
        "Difference in Dice between federated training and persistence, local and pooled training, with intervals.",
        f"dice-difference-{part['context']}",
    )
    caption = (
        "Difference in Dice on the same patients, with 95 % intervals; above the line federated training is better. An "
        "interval that crosses the line decides nothing."
    )
    rows = [
        (
            " − ".join(name(side) for side in row["between"].split(" - ")),
            name(row["region"]),
            horizon_text(row["horizon"]),
            str(row["patients"]),
            _score(row, "dice").difference_text(),
        )
        for row in part["differences"]
    ]
    head = ("difference", "region", "horizon", "patients", "Dice")
    table = Table("All differences in Dice with 95 % intervals.", head, rows, names=3)
    return [Picture(svg, caption), Folded("All differences as a table", [table])]


def _score(row: Mapping[str, Any] | None, score: str) -> Estimate:
    return Estimate(None, None, None) if row is None else Estimate.of(row.get(score), row["patients"])


def _table(
    rows: Mapping[tuple[str, str, str, int], Mapping[str, Any]],
    ways: Sequence[tuple[str, str, str]],
    regions: Sequence[str],
    horizon: int,
) -> Table:
    body: list[Sequence[Cell | str]] = []
    for region in regions:
        body.append((Cell(name(region), "group"), *("" for _ in _HEAD[1:])))
        for method, trained, _ in ways:
            row = rows.get((method, trained, region, horizon))
            if row is None:
                continue
            scores = [_score(row, score).text(_DIGITS.get(score, 2)) for score in _SCORES]
            way = Cell(_way_text(method, trained), f"way {_shade(method, trained)}")
            body.append((way, str(row["patients"]), *scores))
    return Table(f"All scores at {horizon_text(horizon)} with 95 % intervals.", _HEAD, body)


def _matrices(part: Mapping[str, Any], horizons: Sequence[int]) -> list[Block]:
    main: list[Block] = []
    others: list[Block] = []
    for matrix in part.get("matrix") or []:
        table = cross_site_table(
            f"{name(matrix['region'])}, {horizon_text(matrix['horizon'])}",
            "mean Dice",
            matrix["sites"],
            [(row["trained"], row["dice"]) for row in matrix["rows"]],
        )
        first = matrix["horizon"] == main_horizon(horizons) and matrix["region"] in ("ET", "WT")
        (main if first else others).append(table)
    if not main and not others:
        return [Paragraph("Cross-site matrix: not available.", "missing")]
    folded = (
        [Folded(f"Cross-site matrices of the other regions and horizons ({len(others)})", others)] if others else []
    )
    return [*main, *folded]
