"""Measured diameters on the slices that they were taken from: one row per exam, one column per lesion."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.rano.measure import Lesion, Plane
from flame.rano.words import WORDS, Language, number, word
from flame.records.patient import REGIONS as LABEL_SETS
from flame.records.patient import SEQUENCES
from flame.records.volume import read_volume
from flame.report.canvas import WIDTH_IN, paint_png
from flame.report.colours import REGIONS, colour
from flame.report.tiles import grey

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flame.evaluation.assessment import AssessedExam, PatientAssessment

__all__ = ["DIAMETERS", "diameters_picture", "diameters_size_in", "draw_diameters", "shown_lesions"]

DIAMETERS: Mapping[str, str] = MappingProxyType({"long": "#3fd0ff", "perpendicular": "#ffe14d"})
"""Diameter -> colour on a grey image."""

_NORMAL: Mapping[Plane, int] = MappingProxyType({"sagittal": 0, "coronal": 1, "axial": 2})
_MOST_LESIONS = 3
_LEFT_IN, _TILE_IN, _GAP_IN, _CAPTION_IN, _EMPTY_IN, _HEAD_IN = 1.1, 2.4, 0.15, 0.42, 0.5, 0.75
_LEAST_MM, _SCALE_MM, _BRIGHTNESS = 40.0, 10.0, 0.85


@dataclass(frozen=True, eq=False)
class _Slice:
    """What a tile shows, indexed [right, up]: image or None, enhancing tumour, edges of a voxel [mm]."""

    image: NDArray[Any] | None
    tissue: NDArray[np.bool_]
    spacing_mm: tuple[float, float]

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height."""
        return self.tissue.shape[0] * self.spacing_mm[0], self.tissue.shape[1] * self.spacing_mm[1]


def shown_lesions(exam: "AssessedExam") -> tuple[int, ...]:
    """Places in the exam's measurement of the lesions that are drawn: targets first, then by size, at most three."""
    measurement, targets = exam.findings.measurement, exam.findings.targets
    if measurement is None:
        return ()
    places = sorted(range(len(measurement.lesions)), key=lambda place: (place not in targets, place))
    return tuple(places[:_MOST_LESIONS])


def diameters_picture(assessment: "PatientAssessment", path: Path, language: Language) -> Path:
    """Write `draw_diameters` into a PNG file; replaced atomically. Returns: `path`."""
    paint_png(lambda figure: draw_diameters(figure, assessment, language), diameters_size_in(assessment), path)
    return path


def diameters_size_in(assessment: "PatientAssessment") -> tuple[float, float]:
    """Width and height of the figure [inch]."""
    return WIDTH_IN, _HEAD_IN + sum(map(_row_in, _outlined(assessment))) + _EMPTY_IN / 2


def draw_diameters(figure: "Figure", assessment: "PatientAssessment", language: Language) -> None:
    """Draw each exam's largest lesions with both diameters over T1ce, in mm, anterior up and the patient's left left.

    Every tile is a square of whole centimetres around its lesion, with a bar of 10 mm. An image that is missing, can't
    be read or lies on another grid than the label map leaves the outline alone.

    Args:
        figure: empty, of the size of `diameters_size_in`.
        assessment: of one patient.
        language: of all text.
    """
    figure.set_layout_engine("none")
    width, height = diameters_size_in(assessment)
    _head(figure, assessment, language)
    exams = _outlined(assessment)
    if not exams:
        figure.text(_LEFT_IN / width, 0.1 / height, word("no_label_map", language), color=colour("muted"))
    top = _HEAD_IN
    for exam in exams:
        _name_row(figure, exam, top, language)
        image = _image(assessment, exam)
        for column, place in enumerate(shown_lesions(exam)):
            left, bottom = _LEFT_IN + column * (_TILE_IN + _GAP_IN), height - top - _TILE_IN
            axes = figure.add_axes((left / width, bottom / height, _TILE_IN / width, _TILE_IN / height))
            axes.set_gid(f"{exam.call.horizon} {place}")
            _tile(axes, assessment, exam, place, image, language)
            caption = "\n".join(_caption(assessment, exam, place, language))
            figure.text(left / width, (bottom - 0.04) / height, caption, va="top", fontsize=7.5, linespacing=1.3)
        top += _row_in(exam)


def _outlined(assessment: "PatientAssessment") -> "list[AssessedExam]":
    return [one for one in assessment.exams if one.label_map is not None]


def _row_in(exam: "AssessedExam") -> float:
    """Height of an exam's row [inch]; one without lesions is a line of text."""
    return _TILE_IN + _CAPTION_IN if shown_lesions(exam) else _EMPTY_IN


def _head(figure: "Figure", assessment: "PatientAssessment", language: Language) -> None:
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    criteria = assessment.criteria.name
    name = word(criteria, language) if criteria in WORDS else criteria
    title = word("diameters_of", language, value=assessment.patient.id, criteria=name)
    figure.text(0.12 / width, 1 - 0.1 / height, title[0].upper() + title[1:], va="top", weight="bold", fontsize=10)
    note = word("disclaimer", language)
    figure.text(0.12 / width, 1 - 0.31 / height, note, va="top", fontsize=7.5, color=colour("muted"))
    shades = {"long_diameter": DIAMETERS["long"], "perpendicular_diameter": DIAMETERS["perpendicular"]}
    handles: list[Any] = [
        Line2D([], [], color=shade, linewidth=2.5, label=word(key, language))
        for key, shade in {**shades, "outline": REGIONS["ET"]}.items()
    ]
    place = (_LEFT_IN / width, 1 - 0.42 / height)
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=place, ncols=3, fontsize=7.5, borderpad=0.2)


def _name_row(figure: "Figure", exam: "AssessedExam", top: float, language: Language) -> None:
    width, height = figure.get_size_inches()
    measured = exam.findings.measurement
    empty = measured is None or not measured.lesions
    at, right = height - top - (_EMPTY_IN + 0.12 if empty else _TILE_IN) / 2, _LEFT_IN - 0.12
    day = word("day", language, value=number(exam.call.horizon, language))
    figure.text(right / width, (at + 0.18) / height, exam.call.code, ha="right", va="bottom", weight="bold")
    figure.text(right / width, (at + 0.13) / height, day, ha="right", va="top", fontsize=8)
    if measured is None or not measured.lesions:
        note, place, align, at = word("no_lesion", language), _LEFT_IN, "left", at + 0.21
    elif len(measured.lesions) > _MOST_LESIONS:
        hidden = number(len(measured.lesions) - _MOST_LESIONS, language)
        note, place, align = word("more_lesions", language, value=hidden), right, "right"
    else:
        return
    figure.text(
        place / width,
        (at - 0.08) / height,
        note,
        ha=align,
        va="top",
        fontsize=7,
        color=colour("muted"),
        linespacing=1.2,
    )


def _image(assessment: "PatientAssessment", exam: "AssessedExam") -> NDArray[Any] | None:
    """T1ce, or the first sequence there is; None if it can't be read or lies on another grid."""
    there = exam.exam.sequences
    path = there.get("T1ce") or next((there[name] for name in SEQUENCES if name in there), None)
    if path is None:
        return None
    try:
        volume = read_volume(path)
    except DataError:
        return None
    return volume.array if volume.grid.matches(assessment.grid) else None


def _caption(assessment: "PatientAssessment", exam: "AssessedExam", place: int, language: Language) -> tuple[str, str]:
    findings = exam.findings
    measurement = findings.measurement
    assert measurement is not None
    lesion = measurement.lesions[place]
    part = "target" if place in findings.targets else "new" if place in findings.new else "no_target"
    kind = word("is_measurable" if lesion.measurable else "not_measurable", language)
    depth = assessment.grid.shape[_NORMAL[measurement.plane]]
    at = word("slice", language, value=number(lesion.slice_index + 1, language), of=number(depth, language))
    long, perpendicular = (number(mm, language, 1) for mm in (lesion.long_mm, lesion.perpendicular_mm))
    product = number(lesion.product_mm2, language)
    return f"{long} × {perpendicular} mm = {product} mm²", f"{word(part, language)}, {kind}, {at}"


def _tile(
    axes: "Axes",
    assessment: "PatientAssessment",
    exam: "AssessedExam",
    place: int,
    image: NDArray[Any] | None,
    language: Language,
) -> None:
    """One lesion on its slice; both axes are in mm from the outer corner of the slice's first voxel."""
    measurement = exam.findings.measurement
    assert measurement is not None
    assert exam.label_map is not None
    lesion, normal = measurement.lesions[place], _NORMAL[measurement.plane]
    right, up = (axis for axis in range(3) if axis != normal)
    edges = assessment.grid.spacing_mm
    shown = _Slice(
        None if image is None else np.take(image, lesion.slice_index, axis=normal),
        np.isin(np.take(exam.label_map, lesion.slice_index, axis=normal), LABEL_SETS["ET"]),
        (edges[right], edges[up]),
    )
    axes.set_facecolor("black")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if shown.image is not None:
        width, height = shown.size_mm
        pixels = grey(shown.image.astype(np.float32), _BRIGHTNESS)
        axes.imshow(pixels, extent=(0, width, 0, height), interpolation="none", gid="image")
    _outline(axes, shown)
    _diameters(axes, lesion, (right, up), language)
    _frame(axes, lesion, (right, up))
    _notes(axes, measurement.plane, shown.image is None, language)


def _outline(axes: "Axes", shown: _Slice) -> None:
    """Outer edges of the voxels of enhancing tumour, which is where diameters begin and end."""
    from matplotlib.collections import LineCollection

    lines = list(_edges(shown.tissue, shown.spacing_mm))
    axes.add_collection(LineCollection(lines, colors=REGIONS["ET"], linewidths=1.0, gid="outline"), autolim=False)


def _edges(tissue: NDArray[np.bool_], spacing_mm: Sequence[float]) -> Iterator[list[tuple[float, float]]]:
    """Voxel edges [mm] between tissue and what is none."""
    first, second = spacing_mm
    padded = np.pad(tissue, 1)
    for i, j in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1]):
        yield [(i * first, j * second), (i * first, (j + 1) * second)]
    for i, j in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1]):
        yield [(i * first, j * second), ((i + 1) * first, j * second)]


def _diameters(axes: "Axes", lesion: Lesion, in_slice: tuple[int, int], language: Language) -> None:
    """Both diameters as lines, and their lengths in the upper corner."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=3, foreground="black")]
    parts = (
        ("long", lesion.long_ends_mm, lesion.long_mm),
        ("perpendicular", lesion.perpendicular_ends_mm, lesion.perpendicular_mm),
    )
    for row, (name, ends, mm) in enumerate(parts):
        across, along = ([end[axis] for end in ends] for axis in in_slice)
        axes.plot(
            across, along, color=DIAMETERS[name], linewidth=1.6, solid_capstyle="butt", gid=name, path_effects=halo
        )
        axes.text(
            0.03,
            0.97 - 0.075 * row,
            f"{number(mm, language, 1)} mm",
            transform=axes.transAxes,
            va="top",
            fontsize=8,
            color=DIAMETERS[name],
            path_effects=halo,
        )


def _frame(axes: "Axes", lesion: Lesion, in_slice: tuple[int, int]) -> None:
    """Limit the tile to a square around both diameters, and draw a bar of 10 mm at its lower right."""
    ends = (*lesion.long_ends_mm, *lesion.perpendicular_ends_mm)
    ranges = [(min(end[axis] for end in ends), max(end[axis] for end in ends)) for axis in in_slice]
    widest = max(high - low for low, high in ranges)
    side = max(_LEAST_MM, 10 * np.ceil(0.16 * widest))
    (x0, x1), (y0, y1) = (((low + high - side) / 2, (low + high + side) / 2) for low, high in ranges)
    axes.set_xlim(x0, x1)
    axes.set_ylim(y0, y1)
    axes.set_aspect("equal")
    bar, level = x1 - 0.05 * side, y0 + 0.05 * side
    axes.plot([bar - _SCALE_MM, bar], [level, level], color="white", linewidth=2, gid="scale")
    axes.text(
        bar - _SCALE_MM / 2,
        level + 0.015 * side,
        f"{_SCALE_MM:.0f} mm",
        color="white",
        fontsize=6.5,
        ha="center",
        va="bottom",
    )


def _notes(axes: "Axes", plane: Plane, no_image: bool, language: Language) -> None:
    """Letters of the patient's sides, and that there is no image where there is none."""
    look: dict[str, Any] = {"transform": axes.transAxes, "color": "white", "fontsize": 7.5}
    if plane != "sagittal":
        axes.text(0.02, 0.5, word("left", language), ha="left", va="center", **look)
        axes.text(0.98, 0.5, word("right", language), ha="right", va="center", **look)
    if no_image:
        axes.text(0.03, 0.03, word("no_image", language), va="bottom", **look)
