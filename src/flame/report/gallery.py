"""The report's pictures of patients: predicted beside true maps, volume curves, and the montage of the trial."""

from collections.abc import Sequence

from flame.report.blocks import Block, Heading, Paragraph, Picture, Section
from flame.report.canvas import WIDTH_IN, paint_svg
from flame.report.maps import draw_maps, maps_grid
from flame.report.montage import (
    arms_grid,
    baseline_grid,
    draw_arms,
    draw_baseline,
    draw_followup,
    followup_grid,
)
from flame.report.run import PictureData, Run
from flame.report.volumes import draw_volumes
from flame.report.words import arm_order, context_short, horizon_text, name, plural

__all__ = ["maps_section", "montage_section"]


def maps_section(run: Run) -> Section:
    """For several patients: maps and volume curves under every arm."""
    title = "Predicted and true maps"
    absent = _absent(run, "evolution")
    if not run.predictions:
        return Section(
            "maps", title, [Paragraph("This comparison holds no pictures of predicted maps.", "missing"), *absent]
        )
    blocks: list[Block] = [
        Paragraph(
            "Filled areas are where the federated model gives a probability of at least one half; outlines are the "
            "truth, for "
            "arms that were not delivered the outcome that the trial simulated. No model had seen the patient's site."
        )
    ]
    for data in run.predictions:
        blocks += _patient(data)
    return Section("maps", title, [*blocks, *absent])


def _patient(data: PictureData) -> list[Block]:
    facts = data.facts
    arms = ", ".join(
        f"{name(arm)} {content['prescription_gy']:g} Gy{'' if arm == 'photon' else '(RBE)'} in {content['fractions']}"
        for arm in arm_order(facts["arms"])
        if (content := facts["arms"][arm]).get("prescription_gy") is not None
    )
    about = (
        f"Patient {data.patient}, treated with {name(str(facts.get('arm', 'an unknown arm')))}; predicted "
        f"{context_short(str(facts.get('context', '')))} by the model “{facts.get('training', 'not named')}”."
    )
    maps = paint_svg(
        lambda figure: draw_maps(figure, data.arrays, facts),
        maps_grid(data.arrays, facts).size_in,
        f"Patient {data.patient}: predicted and true tumour for each arm (rows) and horizon (columns).",
        f"maps-{data.patient}",
    )
    curves = paint_svg(
        lambda figure: draw_volumes(figure, facts),
        (WIDTH_IN, 2.9),
        f"Patient {data.patient}: predicted and true volumes of three regions over time under each arm.",
        f"volumes-{data.patient}",
    )
    prescriptions = f" Prescriptions: {arms} fractions." if arms else ""
    return [
        Heading(f"Patient {data.patient}"),
        Picture(
            maps,
            f"{about} One axial slice over T1ce of the last exam that the model saw; the patient's left is on the left."
            f"{prescriptions}",
        ),
        Picture(
            curves,
            f"Volumes of patient {data.patient}: observed until the prediction, then predicted and true per arm.",
        ),
    ]


def montage_section(run: Run) -> Section:
    """The trial's patients: sequences, dose, follow-up, arms side by side."""
    title = "The patients in pictures"
    absent = _absent(run, "montage")
    patients = run.montage
    if not patients:
        return Section(
            "montage", title, [Paragraph("This comparison holds no montage of its patients.", "missing"), *absent]
        )
    count = plural(len(patients), "patient")
    baseline = paint_svg(
        lambda figure: draw_baseline(figure, patients),
        baseline_grid(patients).size_in,
        f"{count}: four sequences before radiotherapy, label map and dose.",
        "montage-baseline",
    )
    followed = paint_svg(
        lambda figure: draw_followup(figure, patients),
        followup_grid(patients).size_in,
        f"{count}: T1ce and FLAIR of every exam with the outlines of the label maps.",
        "montage-followup",
    )
    blocks: list[Block] = [
        Picture(
            baseline,
            f"{count} before radiotherapy, one axial slice each (the patient's left is on the left): sequences, label "
            "map, dose. Dose bands: blue 30–60 %, "
            "magenta 60–90 %, yellow above 90 % of the slice's highest RBE-weighted dose.",
        ),
        Picture(
            followed,
            f"{count} over time: days count from the end of radiotherapy, before it from its start. T1ce with "
            "enhancing tumour, necrosis and cavity "
            "outlined; FLAIR with oedema outlined. Fewer exams: the patient died or left.",
        ),
        *(block for data in patients for block in _arms(data)),
    ]
    return Section("montage", title, [*blocks, *absent])


def _arms(data: PictureData) -> list[Block]:
    if not any(data.facts.get("arms", {}).values()):
        return []
    svg = paint_svg(
        lambda figure: draw_arms(figure, data),
        arms_grid(data).size_in,
        f"Patient {data.patient}: label maps that the trial simulated under each arm.",
        f"montage-arms-{data.patient}",
    )
    last = max(horizon for horizons in data.facts["arms"].values() for horizon in horizons)
    caption = (
        f"Patient {data.patient} under every arm until {horizon_text(last)}, as simulated; only the delivered one was "
        "seen "
        "by any model."
    )
    return [Picture(svg, caption)]


def _absent(run: Run, kind: str) -> Sequence[Block]:
    missing = [patient for patient in run.absent if patient.startswith(f"{kind}-")]
    return [Paragraph(f"Announced but not there: {', '.join(missing)}.", "missing")] if missing else []
