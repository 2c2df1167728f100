"""Pictures of the trial's patients: sequences and dose, follow-up over time, arms side by side."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flame.records.patient import SEQUENCES
from flame.report.colours import LABELS, colour
from flame.report.estimates import number
from flame.report.run import PictureData
from flame.report.tiles import Grid, draw_band, draw_labels, grey, show
from flame.report.words import arm_order, horizon_text, name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["arms_grid", "baseline_grid", "draw_arms", "draw_baseline", "draw_followup", "followup_grid"]

_FOLLOWED = ("T1ce", "FLAIR")
_DOSE_BANDS = ((0.3, 0.6, "#4c78d8", 0.3), (0.6, 0.9, "#c24fb0", 0.34), (0.9, 1.01, "#ffb000", 0.42))
_LABEL_NAMES: Mapping[int, str] = {1: "necrosis", 2: "oedema", 3: "enhancing tumour", 4: "resection cavity"}


def baseline_grid(patients: Sequence[PictureData]) -> Grid:
    """Tiles of `draw_baseline`."""
    return Grid(rows=len(patients), columns=len(SEQUENCES) + 2, aspect=_aspect(patients))


def draw_baseline(figure: "Figure", patients: Sequence[PictureData]) -> None:
    """One row per patient: the sequences of the first exam, its label map, the dose of the course over T1ce."""
    grid = baseline_grid(patients)
    for column, text in enumerate((*SEQUENCES, "label map", "dose")):
        grid.name_column(figure, column, text)
    for row, data in enumerate(patients):
        grid.name_row(figure, row, _short(data), f"{data.facts.get('site', '')}\n{_response(data)}")
        for column, sequence in enumerate(SEQUENCES):
            _sequence(grid.axes(figure, row, column), data, 0, sequence)
        labels = grid.axes(figure, row, len(SEQUENCES))
        if _sequence(labels, data, 0, _background(data)) and "labels_0" in data.arrays:
            draw_labels(labels, data.arrays["labels_0"])
        dose = grid.axes(figure, row, len(SEQUENCES) + 1)
        if _sequence(dose, data, 0, _background(data)):
            _dose(dose, data)
    _label_legend(figure)


def followup_grid(patients: Sequence[PictureData]) -> Grid:
    """Tiles of `draw_followup`."""
    exams = max(len(data.facts["exam_days"]) for data in patients)
    return Grid(rows=len(_FOLLOWED) * len(patients), columns=exams, aspect=_aspect(patients))


def draw_followup(figure: "Figure", patients: Sequence[PictureData]) -> None:
    """Two rows per patient, T1ce with tumour core and cavity outlined and FLAIR with oedema; columns are exams."""
    grid = followup_grid(patients)
    for column in range(grid.columns):
        grid.name_column(figure, column, f"exam {column + 1}")
    for place, data in enumerate(patients):
        for offset, sequence in enumerate(_FOLLOWED):
            row = len(_FOLLOWED) * place + offset
            note = f"{sequence}\n{name(str(data.facts.get('arm', '')))}" if offset == 0 else sequence
            grid.name_row(figure, row, _short(data) if offset == 0 else "", note)
            for exam in range(len(data.facts["exam_days"])):
                axes = grid.axes(figure, row, exam)
                acquired = _sequence(axes, data, exam, sequence)
                if acquired and f"labels_{exam}" in data.arrays:
                    draw_labels(axes, data.arrays[f"labels_{exam}"], (1, 3, 4) if sequence == "T1ce" else (2,))
                if offset == 0:
                    axes.text(0.04, 0.04, _exam_text(data, exam), transform=axes.transAxes, color="#ffffff", fontsize=7)
    _label_legend(figure)


def arms_grid(data: PictureData) -> Grid:
    """Tiles of `draw_arms`."""
    return Grid(rows=len(data.facts["arms"]), columns=1 + len(_horizons(data)), aspect=_aspect([data]))


def draw_arms(figure: "Figure", data: PictureData) -> None:
    """One row per arm: the simulated label maps at each horizon over the first exam's image."""
    grid, horizons = arms_grid(data), _horizons(data)
    grid.name_column(figure, 0, "before")
    for column, horizon in enumerate(horizons, start=1):
        grid.name_column(figure, column, horizon_text(horizon))
    for row, arm in enumerate(arm_order(data.facts["arms"])):
        grid.name_row(figure, row, name(arm), "delivered" if arm == data.facts.get("arm") else "simulated")
        keys = ["labels_0", *(f"arm_{arm}_{horizon}" for horizon in horizons)]
        for column, key in enumerate(keys):
            axes = grid.axes(figure, row, column)
            if key not in data.arrays:
                _absent(axes, "not simulated")
            elif _sequence(axes, data, 0, _background(data)):
                draw_labels(axes, data.arrays[key])
    _label_legend(figure)


def _horizons(data: PictureData) -> list[int]:
    return sorted({horizon for horizons in data.facts["arms"].values() for horizon in horizons})


def _sequence(axes: "Axes", data: PictureData, exam: int, sequence: str) -> bool:
    """Draw the image, or say that it was not acquired; returns whether it was."""
    image = data.arrays.get(f"image_{exam}_{sequence}")
    if image is None:
        _absent(axes, "not acquired")
        return False
    show(axes, grey(image))
    return True


def _absent(axes: "Axes", text: str) -> None:
    """An empty tile that says why it is empty."""
    from matplotlib.patches import Rectangle

    frame = Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor=colour("line"), linewidth=0.8)
    axes.add_patch(frame)
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=colour("muted"), fontsize=7)


def _dose(axes: "Axes", data: PictureData) -> None:
    dose = data.arrays.get("dose")
    if dose is None or not dose.max() > 0:
        axes.text(0.04, 0.04, "no dose", transform=axes.transAxes, color="#ffffff", fontsize=6.5)
        return
    for low, high, shade, opacity in _DOSE_BANDS:
        draw_band(axes, dose / dose.max(), low, high, shade, opacity)
    unit = "Gy" if data.facts.get("arm") == "photon" else "Gy(RBE)"
    text = f"{name(str(data.facts.get('arm', '')))}, max {dose.max():.0f} {unit}"
    axes.text(0.04, 0.04, text, transform=axes.transAxes, color="#ffffff", fontsize=6.5)


def _background(data: PictureData) -> str:
    """T1ce, or the first sequence that the first exam has."""
    there = [sequence for sequence in SEQUENCES if f"image_0_{sequence}" in data.arrays]
    return "T1ce" if "T1ce" in there or not there else there[0]


def _aspect(patients: Sequence[PictureData]) -> float:
    shapes = [array.shape for data in patients for key, array in data.arrays.items() if key.startswith("image_")]
    return max((height / width for width, height in shapes), default=1.0)


def _short(data: PictureData) -> str:
    return data.patient.removeprefix(f"{data.facts.get('site', '')}_")


def _response(data: PictureData) -> str:
    responder: Any = data.facts.get("responder")
    return {True: "responder", False: "non-responder"}.get(responder, "response unknown")


def _exam_text(data: PictureData, exam: int) -> str:
    horizons = data.facts.get("horizons") or []
    known = exam < len(horizons) and horizons[exam] is not None
    return horizon_text(horizons[exam]) if known else f"day {number(data.facts['exam_days'][exam], 0)}"


def _label_legend(figure: "Figure") -> None:
    from matplotlib.lines import Line2D

    handles: list[Any] = [
        Line2D([], [], color=LABELS[value], linewidth=2, label=text) for value, text in _LABEL_NAMES.items()
    ]
    figure.legend(handles=handles, loc="upper left", ncols=4, fontsize=7.5, borderpad=0, handlelength=1.6)
