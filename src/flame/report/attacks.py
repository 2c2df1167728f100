"""The report's part on attacks: who could tell who was trained on, what could be seen of a patient, what noise costs.

Shown when a run folder holds `attacks.json`, which `benchmarks/attacks.py` writes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flame.report.blocks import Block, Heading, Paragraph, Section, Table
from flame.report.estimates import Estimate, number

__all__ = ["attacks_section"]

Row = Mapping[str, Any]


def attacks_section(content: Mapping[str, Any]) -> Section:
    """What attackers got, in tables.

    Args:
        content: of `attacks.json`: lists `membership`, `inversion` and `worth`, and `delta`.
    """
    patients = content.get("patients") or {}
    opening = (
        "Two attacks, carried out on virtual patients with the demo's models: on what a site sends, or on the finished "
        "model, with and without noise. They show what was got by these attackers; better ones may get more, and a "
        "failed attack proves nothing. What the noise proves, it proves for every attacker: epsilon is the bound "
        f"(delta {content.get('delta', 0):g})."
    )
    sites = ", ".join(f"{site} {count}" for site, count in patients.items())
    blocks: list[Block] = [Paragraph(opening)]
    if sites:
        blocks.append(Paragraph(f"Patients: {sites}. The last site trained nothing.", "note"))
    blocks += _membership(content.get("membership") or [])
    blocks += _inversion(content.get("inversion") or [])
    blocks += _worth(content.get("worth") or [])
    return Section("attacks", "Attacks", blocks)


def _membership(rows: Sequence[Row]) -> list[Block]:
    if not rows:
        return []
    words = (
        "The attacker has a patient's record and images, and asks whether the patient was trained on. By the loss: "
        "members fit better. By the calibrated loss: better than in a training without them, which takes an attacker "
        "who has half of the hospital's patients. 0.5 is guessing; the last column is about 0.10 by guessing."
    )
    head = ("model", "attacker sees", "attacker goes by", "noise", "epsilon", "AUROC", "found at 10 % false alarms")
    cells = [
        (
            str(row["model"]),
            str(row["sees"]),
            str(row["attacker"]),
            *_noise(row),
            Estimate.of(row["auroc"]).text(),
            Estimate.of(row["found"]).text(),
        )
        for row in rows
    ]
    count = f"{rows[0]['members']} members and {rows[0]['others']} others of the same sites"
    caption = f"Telling members from others; 95 % intervals over patients ({count} in the first row)."
    return [Heading("Was this patient trained on?"), Paragraph(words), Table(caption, head, cells, names=3)]


def _inversion(rows: Sequence[Row]) -> list[Block]:
    if not rows:
        return []
    words = (
        "The attacker looks for images whose gradient is the one that was sent, in the case that is worst for the "
        "patient: one patient, one step, and all but the images known. Every brain is like the mean of others; what is "
        "the patient's own is the correlation once that mean is taken out of both."
    )
    head = ("model", "attacker has", "patients", "correlation", "of it the patient's own", "PSNR [dB]", "recognised")
    cells = [
        (
            str(row["model"]),
            str(row["attack"]),
            str(row["patients"]),
            Estimate.of(row["correlation"], row["patients"]).text(),
            Estimate.of(row["own"], row["patients"]).text(),
            Estimate.of(row["psnr_db"], row["patients"]).text(1),
            number(100 * row["is_first"]["estimate"], 0) + " %",
        )
        for row in rows
    ]
    caption = (
        "Reconstructed images against the true ones, in the brain. Recognised: more like this patient than like any "
        "other of the site."
    )
    return [Heading("What did this patient look like?"), Paragraph(words), Table(caption, head, cells, names=2)]


def _worth(rows: Sequence[Row]) -> list[Block]:
    if not rows:
        return []
    words = (
        "The same trainings, tested at a site that trained nothing. The more patients a site has, the less noise costs "
        "for the same epsilon; at this size it costs much."
    )
    head = ("model", "score", "noise", "epsilon", "value", "patients")
    cells = [
        (str(row["model"]), str(row["score"]), *_noise(row), Estimate.of(row["value"]).text(), str(row["patients"]))
        for row in rows
    ]
    caption = "AUROC of response, Dice of the whole tumour; the last map is what predicts without any training."
    return [Heading("What does the noise cost?"), Paragraph(words), Table(caption, head, cells, names=2)]


def _noise(row: Row) -> tuple[str, str]:
    """Noise multiplier and epsilon as they are written; a dash where nothing is trained."""
    if row.get("noise") is None:
        return "–", "–"
    if row["noise"] == 0:
        return "none", "no bound"
    return f"{row['noise']:g}", f"{row['epsilon']:.3g}"
