"""The report's end: who took part, how everything was set, the models' cards, and what the report cannot say."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flame.report.blocks import Block, Facts, Folded, Paragraph, Section, Table
from flame.report.run import ModelCard
from flame.report.words import arm_order, name, plural

__all__ = ["cards_section", "limits_section", "settings_section", "sites_section"]


def sites_section(comparison: Mapping[str, Any]) -> Section:
    """Patients, arms and exclusions of every site."""
    sites = comparison.get("sites") or []
    if not sites:
        return Section("sites", "Sites", [Paragraph("This comparison lists no sites.", "missing")])
    held_out = comparison.get("held_out") or []
    arms = arm_order(arm for site in sites for arm in site.get("arms") or {})
    rows = [
        (
            site["name"],
            str(site["patients"]),
            "–" if site.get("responders") is None else str(site["responders"]),
            *(str((site.get("arms") or {}).get(arm, 0)) for arm in arms),
            str(len(site.get("excluded") or [])),
            "yes" if site["name"] in held_out else "no",
        )
        for site in sites
    ]
    total = sum(site["patients"] for site in sites)
    count = f"{plural(len(sites), 'site')} with {plural(total, 'patient')}"
    caption = f"{count}. Held out: once kept away from training, and tested on."
    head = ("site", "patients", "responders", *(name(arm) for arm in arms), "excluded", "held out")
    blocks: list[Block] = [Table(caption, head, rows)]
    excluded = [
        (site["name"], str(one["patient"]), str(one["reason"])) for site in sites for one in site.get("excluded") or []
    ]
    if excluded:
        blocks.append(Table("Excluded patients.", ("site", "patient", "reason"), excluded, names=3))
    else:
        blocks.append(Paragraph("No patient was excluded."))
    return Section("sites", "Sites", blocks)


def settings_section(comparison: Mapping[str, Any]) -> Section:
    """All settings that decide the numbers, and the versions that computed them."""
    settings = list(_flat(comparison.get("settings") or {}, ""))
    versions = [("flame", str(comparison.get("flame", "unknown"))), *_flat(comparison.get("versions") or {}, "")]
    blocks: list[Block] = [Table("Versions.", ("software", "version"), versions, names=2)]
    if settings:
        blocks.append(
            Table("Settings; the same settings give the same numbers.", ("setting", "value"), settings, names=2)
        )
    else:
        blocks.append(Paragraph("Settings: not recorded.", "missing"))
    return Section("settings", "Settings and versions", blocks)


def _flat(content: Any, prefix: str) -> Iterator[tuple[str, str]]:
    """Nested settings as dotted names and values; short lists of plain values stay on one line."""
    if isinstance(content, Mapping) and (content or not prefix):
        for key, value in content.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(content, Sequence) and not isinstance(content, str) and any(_nested(value) for value in content):
        for position, value in enumerate(content, start=1):
            yield from _flat(value, f"{prefix}.{position}")
    else:
        yield prefix, _plain(content)


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple)


def _plain(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, Mapping):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_plain(one) for one in value) or "none"
    return str(value) if str(value) else "none"


def cards_section(cards: Sequence[ModelCard]) -> Section:
    """A card for every model: task, training, size, intended use. Federated ones come first."""
    if not cards:
        return Section("models", "Model cards", [Paragraph("This comparison holds no finished models.", "missing")])
    ordered = sorted(cards, key=lambda card: ("/federated" not in card.name, card.name))
    blocks: list[Block] = [
        Paragraph(
            "One card per model in the folder “models”. Open a card to see what the model was trained on and is meant "
            "for."
        )
    ]
    blocks += [Folded(card.name, [Facts(list(_flat(card.content, "")))]) for card in ordered]
    return Section("models", "Model cards", blocks)


def limits_section(comparison: Mapping[str, Any]) -> Section:
    """What a reader must not conclude."""
    held_out = comparison.get("held_out") or []
    texts = [
        "Research use only, not a medical device. No number in this report may guide the care of a patient.",
        "Where patients come from a virtual trial, how hard its questions are is a choice of its settings. "
        "Scores "
        "on it show that methods work as built, not how well they work on real patients.",
        f"Intervals come from resampling patients within the {plural(len(held_out), 'tested site')}; they say nothing "
        "about "
        "sites of another kind. Differences of single sites rest on few patients.",
        "Patients without a later exam cannot be scored on it. Those who die early are missing at late horizons, so "
        "scores "
        "there describe survivors.",
        "Updates of a model can reveal something about the patients behind them; sending fewer bytes is not a proof "
        "of privacy.",
    ]
    return Section("limits", "Limits", [Paragraph(text) for text in texts])
