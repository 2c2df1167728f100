"""The report's part on arms: what predictions under photons, protons or carbon ions rest on, and how good they are."""

from collections.abc import Mapping, Sequence
from typing import Any

from flame.report.answer import main_horizon
from flame.report.blocks import Banner, Block, Folded, Heading, Paragraph, Picture, Section, Table
from flame.report.canvas import WIDTH_IN, paint_svg
from flame.report.charts import Panel, Series, draw_panels, limits
from flame.report.estimates import Estimate
from flame.report.opening import arm_banner
from flame.report.words import arm_order, context_text, horizon_text, name

__all__ = ["arms_section"]

NO_ADVICE = (
    "Nothing here recommends a treatment. Maps under an arm that a patient did not have show what the model expects, "
    "not what would have happened."
)
_SUPPORT = (
    "Factual: the arm that the patient had. In-support counterfactual: another arm that sites in training offered to "
    "comparable patients. Mechanistic extrapolation: an arm for which only dose, LET and the radiobiology built into "
    "the "
    "inputs speak, not data."
)
_REGIONS = ("ET", "TC", "WT")
_MARKERS: Mapping[str, str] = {"photon": "o", "proton": "s", "carbon": "^"}


def arms_section(comparison: Mapping[str, Any]) -> Section:
    """Which arms were offered where, whether their effects are identified, and scores under each arm."""
    blocks: list[Block] = []
    if banner := arm_banner(comparison):
        blocks.append(Banner(*banner))
    else:
        blocks.append(Paragraph("This comparison makes no statement on the effects of arms.", "missing"))
    blocks += [Paragraph(NO_ADVICE), *_offered(comparison), Paragraph(_SUPPORT, "note")]
    scored = [part for part in comparison.get("evolution") or [] if part.get("arms")]
    if not scored:
        blocks.append(
            Paragraph("Predictions under other arms: no score, for no true map is known for them.", "missing")
        )
    for part in scored:
        blocks += [Heading(f"Predicted {context_text(part['context'])}"), _figure(part), *_tables(part["arms"])]
    return Section("arms", "Photons, protons, carbon ions", blocks)


def _offered(comparison: Mapping[str, Any]) -> list[Block]:
    offered = (comparison.get("arm_effects") or {}).get("offered") or {}
    if not offered:
        return []
    arms = arm_order(arm for counts in offered.values() for arm in counts)
    rows = [(site, *(str(counts.get(arm, 0)) for arm in arms)) for site, counts in offered.items()]
    return [Table("Patients treated per site and arm.", ("site", *(name(arm) for arm in arms)), rows)]


def _figure(part: Mapping[str, Any]) -> Picture:
    rows = part["arms"]
    cells = {(row["region"], row["arm"], row["support"], row["horizon"]): row for row in rows}
    regions = [region for region in _REGIONS if any(row["region"] == region for row in rows)]
    horizons = sorted({row["horizon"] for row in rows})
    kinds = [
        (arm, support)
        for arm in arm_order(row["arm"] for row in rows)
        for support in dict.fromkeys(row["support"] for row in rows if row["arm"] == arm)
    ]
    panels = [
        Panel(
            name(region),
            [
                Series(
                    f"{name(arm)}, {support}",
                    arm,
                    [_dice(cells.get((region, arm, support, horizon))) for horizon in horizons],
                    _MARKERS.get(arm, "D"),
                    hollow=support != "factual",
                    joined=False,
                )
                for arm, support in kinds
            ],
        )
        for region in regions
    ]
    within = limits([value for panel in panels for series in panel.series for value in series.values], 0.0, 0.8)
    svg = paint_svg(
        lambda figure: draw_panels(figure, panels, [f"+{horizon}" for horizon in horizons], "Dice", within),
        (WIDTH_IN, 3.3),
        "Dice of maps predicted under each arm, per region and horizon, with intervals; hollow for arms not delivered.",
        f"arms-{part['context']}",
    )
    caption = (
        "Dice of federated predictions under each arm with 95 % intervals. Filled: the arm that the patient had; "
        "hollow: "
        "another arm, against the outcome that the trial simulated for it."
    )
    return Picture(svg, caption)


def _dice(row: Mapping[str, Any] | None) -> Estimate:
    return Estimate(None, None, None) if row is None else Estimate.of(row["dice"], row["patients"])


def _tables(rows: Sequence[Mapping[str, Any]]) -> list[Block]:
    """The scores at the main horizon, and those at all horizons folded."""
    main = main_horizon(sorted({row["horizon"] for row in rows}))
    return [_table([row for row in rows if row["horizon"] == main]), Folded("Scores at all horizons", [_table(rows)])]


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    order = {arm: position for position, arm in enumerate(arm_order(row["arm"] for row in rows))}
    body = [
        (
            name(row["arm"]),
            str(row["support"]),
            name(row["region"]),
            horizon_text(row["horizon"]),
            str(row["patients"]),
            _dice(row).text(),
            Estimate.of(row["persistence"], row["patients"]).text(),
        )
        for row in sorted(
            rows,
            key=lambda row: (order[row["arm"]], not row["delivered"], row["support"], row["region"], row["horizon"]),
        )
    ]
    head = ("arm", "support", "region", "horizon", "patients", "Dice", "Dice of persistence")
    return Table("Scores under each arm with 95 % intervals, beside persistence.", head, body, names=4)
