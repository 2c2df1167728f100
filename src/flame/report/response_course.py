"""A patient's course by response criteria: volumes and diameters over time, thresholds, and every call in words."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flame.rano.endpoints import best_response
from flame.rano.presets import Criteria, Quantity
from flame.rano.readings import Call
from flame.rano.wording import call_text
from flame.rano.words import WORDS, Language, number, word
from flame.report.canvas import WIDTH_IN, paint_png
from flame.report.colours import colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flame.evaluation.assessment import PatientAssessment

__all__ = ["CALLS", "Threshold", "course_picture", "course_size_in", "draw_course", "thresholds"]

CALLS: Mapping[str, str] = MappingProxyType(
    {"BL": "#1b2330", "CR": "#0063a8", "PR": "#56b4e9", "SD": "#f0ad1f", "PD": "#b8341b", "NE": "#8a929c"}
)
"""Status -> colour, told apart by colour-blind readers; its code stands beside it wherever it is drawn."""

_LEFT_IN, _RIGHT_IN = 0.75, 0.2
_TITLE_IN, _LEGEND_IN, _PANEL_IN, _GAP_IN, _AXIS_IN = 0.5, 0.55, 2.1, 0.2, 0.55
_LINE_IN, _ENTRY_GAP_IN, _TEXT_LEFT_IN = 0.145, 0.06, 1.6
_COLUMNS = 124
_LETTER_IN, _DOT_IN = 0.08, 0.12  # width of a letter of a code, and of a point
_LIFT_IN = 0.14  # from the middle of a point to the foot of its code


@dataclass(frozen=True)
class Threshold:
    """Lines of the quantity since one baseline; `horizons` begins with the baseline's own.

    `progression` holds for the exam at the same place, and back to the exam before it; None where growth from nothing
    is no matter of a number. `response` holds throughout. Units are the quantity's.
    """

    horizons: tuple[int, ...]
    progression: tuple[float | None, ...]
    response: float


def thresholds(assessment: "PatientAssessment") -> tuple[Threshold, ...]:
    """From where on the quantity is progression or partial response, for each baseline in turn, until progression.

    The steps are those that an exam is judged by, so that a new nadir lowers them from the next exam on.
    """
    criteria = assessment.criteria
    values = {one.call.horizon: _value(one.findings.reading, criteria.quantity) for one in assessment.exams}
    found: list[Threshold] = []
    for baseline in dict.fromkeys(call.baseline for call in assessment.calls):
        then = None if baseline is None else values[baseline]
        if baseline is None or then is None:
            continue
        judged = [
            (call.horizon, _progression(values[call.nadir], criteria))
            for call in assessment.calls
            if call.baseline == baseline and call.nadir is not None
            if all(reason.rule != "after_progression" for reason in call.reasons)
        ]
        horizons, steps = zip((baseline, _progression(then, criteria)), *judged, strict=True)
        found.append(Threshold(horizons, steps, (1 - criteria.decrease) * then))
    return tuple(found)


def _progression(reference: float | None, criteria: Criteria) -> float | None:
    return reference + max(criteria.increase * reference, criteria.floor) if reference else None


def _value(reading: Any, quantity: Quantity) -> float | None:
    value: float | None = getattr(reading, quantity)
    return value


def course_picture(assessment: "PatientAssessment", path: Path, language: Language) -> Path:
    """Write `draw_course` into a PNG file; replaced atomically. Returns: `path`."""
    paint_png(lambda figure: draw_course(figure, assessment, language), course_size_in(assessment, language), path)
    return path


def course_size_in(assessment: "PatientAssessment", language: Language) -> tuple[float, float]:
    """Width and height of the figure [inch]; the height follows from the number of exams and the length of words."""
    charts = _TITLE_IN + _LEGEND_IN + 2 * _PANEL_IN + _GAP_IN + _AXIS_IN
    return WIDTH_IN, charts + sum(height for _, height in _entries(assessment, language)) + 0.12


def draw_course(figure: "Figure", assessment: "PatientAssessment", language: Language) -> None:
    """Draw volume and sum of products over horizon, thresholds of the criteria, and all calls in words below.

    Args:
        figure: empty, of the size of `course_size_in`.
        assessment: of one patient.
        language: of all text.
    """
    figure.set_layout_engine("none")
    width, height = course_size_in(assessment, language)
    _title(figure, assessment, language)
    tops = (_TITLE_IN + _LEGEND_IN, _TITLE_IN + _LEGEND_IN + _PANEL_IN + _GAP_IN)
    across = (width - _LEFT_IN - _RIGHT_IN) / width
    upper, lower = (
        figure.add_axes((_LEFT_IN / width, 1 - (top + _PANEL_IN) / height, across, _PANEL_IN / height)) for top in tops
    )
    volume: Quantity = "tc_ml" if assessment.criteria.quantity == "tc_ml" else "et_ml"
    limits = _limits(assessment)
    for axes, quantity in ((upper, volume), (lower, "spd_mm2")):
        axes.set_xlim(limits)
        _panel(axes, assessment, quantity, language)
    _ends(upper, lower, assessment, language)
    upper.tick_params(labelbottom=False)
    lower.set_xlabel(word("axis.horizon", language))
    _legend(figure, assessment, language)
    _words(figure, assessment, language)


def _title(figure: "Figure", assessment: "PatientAssessment", language: Language) -> None:
    width, height = figure.get_size_inches()
    criteria, best = assessment.criteria.name, best_response(assessment.follow_up)
    name = word(criteria, language) if criteria in WORDS else criteria
    verdict = word("unknown", language) if best is None else f"{word(best, language)} ({best})"
    title = word("patient", language, value=assessment.patient.id, criteria=name, best=verdict)
    left, line = 0.12 / width, 1 / height
    figure.text(left, 1 - 0.12 * line, title[0].upper() + title[1:], va="top", weight="bold", fontsize=10)
    figure.text(left, 1 - 0.33 * line, word("disclaimer", language), va="top", fontsize=7.5, color=colour("muted"))


def _limits(assessment: "PatientAssessment") -> tuple[float, float]:
    """Horizons from the first exam or the start of radiotherapy to the last of whatever is drawn, with a margin."""
    course, follow_up = assessment.course, assessment.follow_up
    ends = [course.start_day - course.end_day, 0, *(call.horizon for call in assessment.calls)]
    ends += [day for day in (follow_up.death_horizon, follow_up.contact_horizon) if day is not None]
    margin = 0.03 * (max(ends) - min(ends)) + 1
    return min(ends) - margin, max(ends) + margin


def _panel(axes: "Axes", assessment: "PatientAssessment", quantity: Quantity, language: Language) -> None:
    """One quantity with its range; on the criteria's own, thresholds, baseline, nadir and codes as well."""
    course, criteria = assessment.course, assessment.criteria
    axes.set_ylabel(word(f"axis.{quantity}", language))
    axes.grid(axis="y")
    arm = colour(course.arm)
    axes.axvspan(course.start_day - course.end_day, 0, color=arm, alpha=0.16, linewidth=0, gid="radiotherapy")
    if criteria.early_until is not None:
        axes.axvspan(0, criteria.early_until, color=colour("muted"), alpha=0.09, linewidth=0, gid="early")
    ranges = [(one, one.findings.reading.interval(quantity, criteria.reader_spread)) for one in assessment.exams]
    known = [(one, found) for one, found in ranges if found is not None]
    horizons = [one.call.horizon for one, _ in known]
    values, lows, highs = ([found[place] for _, found in known] for place in range(3))
    axes.fill_between(horizons, lows, highs, color=colour("ink"), alpha=0.18, linewidth=0, gid="range")
    axes.vlines(horizons, lows, highs, color=colour("ink"), linewidth=1, alpha=0.5)
    axes.plot(horizons, values, color=colour("ink"), linewidth=0.9, gid="values")
    axes.yaxis.set_major_formatter(lambda tick, _: f"{tick:g}" if language == "en" else f"{tick:g}".replace(".", ","))
    if not known:
        axes.set_yticks([])
    own = quantity == criteria.quantity
    lines = thresholds(assessment) if own else ()
    tops = [*highs, *(step for one in lines for step in one.progression if step is not None)]
    axes.set_ylim(0, (max(tops, default=0) or 1.0) * 1.25)
    if own:
        _thresholds(axes, lines)
        _references(axes, assessment)
    for one, (value, *_) in known:
        shade = CALLS[one.call.status]
        hollow = one.call.indeterminate
        axes.plot(
            one.call.horizon,
            value,
            "o",
            markersize=6,
            markeredgewidth=1.5,
            color=shade,
            markerfacecolor="white" if hollow else shade,
            gid=f"exam {one.call.horizon}",
            zorder=4,
            clip_on=False,
        )
    _codes(axes, [(one.call, found[0]) for one, found in known])
    for one in assessment.exams:
        if one.call.horizon not in horizons:
            _unreadable(axes, one.call)


def _thresholds(axes: "Axes", lines: Sequence[Threshold]) -> None:
    for one in lines:
        steps = [float("nan") if step is None else step for step in one.progression]
        drawn: dict[str, Any] = {"linewidth": 1.1, "drawstyle": "steps-pre"}
        axes.plot(one.horizons, steps, "--", color=CALLS["PD"], gid="progression", **drawn)
        axes.plot(one.horizons, [one.response] * len(steps), ":", color=CALLS["CR"], gid="response", **drawn)


def _references(axes: "Axes", assessment: "PatientAssessment") -> None:
    """A square around each baseline, a triangle below the last nadir since each."""
    found = ((one.call.horizon, _value(one.findings.reading, assessment.criteria.quantity)) for one in assessment.exams)
    values = {horizon: value for horizon, value in found if value is not None}
    look: dict[str, Any] = {"markerfacecolor": "none", "color": colour("ink"), "clip_on": False, "zorder": 5}
    nadirs = {call.baseline: call.nadir for call in assessment.calls}
    for baseline, nadir in nadirs.items():
        if baseline is not None:
            axes.plot(baseline, values[baseline], "s", markersize=11, gid="baseline", **look)
        if assessment.criteria.nadir and nadir is not None:
            axes.plot(nadir, values[nadir], "v", markersize=13, gid="nadir", **look)


def _codes(axes: "Axes", points: Sequence[tuple[Call, float]]) -> None:
    """Each call's code above its point; where points or other codes are in the way, higher, then below."""
    width, height = WIDTH_IN - _LEFT_IN - _RIGHT_IN, _PANEL_IN
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    places = [
        ((call.horizon - left) / (right - left) * width, (value - bottom) / (top - bottom) * height)
        for call, value in points
    ]
    taken = [(x, y - _LINE_IN / 2, _DOT_IN / 2) for x, y in places]
    for (call, value), (x, point) in zip(points, places, strict=True):
        half = _LETTER_IN * (len(call.code) + 0.6) / 2
        near = [level for other, level, wide in taken if abs(x - other) < half + wide]
        free = (y for y in _levels(point, height) if all(abs(y - level) >= _LINE_IN for level in near))
        y = next(free, point + _LIFT_IN)
        taken.append((x, y, half))
        _code(axes, call, call.code, value, y - point)


def _levels(point: float, height: float) -> Iterator[float]:
    """Where the foot of a code may stand in a panel, the best place first; all in inch above the panel's foot."""
    step = 0.25 * _LINE_IN
    above, below = point + _LIFT_IN, point - _LIFT_IN - _LINE_IN
    yield from (above + step * place for place in range(int((height - above) / step)))
    yield from (below - step * place for place in range(int(below / step)))


def _unreadable(axes: "Axes", call: Call) -> None:
    """A tick and NE at the bottom, where the quantity of an exam is not known."""
    look: dict[str, Any] = {"markersize": 14, "markeredgewidth": 1.5, "gid": f"exam {call.horizon}", "zorder": 4}
    axes.plot(call.horizon, 0, "|", color=CALLS["NE"], **look)
    _code(axes, call, "NE", 0.0, _LIFT_IN)


def _code(axes: "Axes", call: Call, text: str, value: float, lift_in: float) -> None:
    from matplotlib.patheffects import withStroke

    axes.annotate(
        text,
        (call.horizon, value),
        xytext=(0, 72 * lift_in),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=7.5,
        weight="bold",
        zorder=6,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
        gid=f"code {call.horizon}",
    )


def _ends(upper: "Axes", lower: "Axes", assessment: "PatientAssessment", language: Language) -> None:
    """How follow-up ended: a line with its name, death before last contact."""
    follow_up = assessment.follow_up
    death, contact = follow_up.death_horizon, follow_up.contact_horizon
    day, key = (contact, "last_contact") if death is None else (death, "death")
    if day is None:
        return
    left, right = upper.get_xlim()
    for axes in (upper, lower):
        axes.axvline(day, color=colour("ink"), linewidth=1.2, linestyle="-" if key == "death" else (0, (1, 2)), gid=key)
    on_left = day > (left + right) / 2
    upper.annotate(
        word(key, language, value=number(day, language)),
        (day, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if on_left else 4, 1),
        textcoords="offset points",
        ha="right" if on_left else "left",
        va="bottom",
        fontsize=7.5,
    )


def _legend(figure: "Figure", assessment: "PatientAssessment", language: Language) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    criteria, course = assessment.criteria, assessment.course
    unit = word("unit.photon" if course.arm == "photon" else "unit.ion", language)
    dose = number(course.prescription_gy, language, 0 if course.prescription_gy % 1 == 0 else 1)
    treatment = f"{word('legend.radiotherapy', language)}, {word(course.arm, language)}, {dose} {unit}"
    ink = colour("ink")
    hollow: dict[str, Any] = {"linestyle": "", "markerfacecolor": "none"}
    handles: list[Any] = [Patch(color=colour(course.arm), alpha=0.3, label=treatment)]
    if criteria.early_until is not None:
        text = word(f"legend.{criteria.early}", language, value=number(criteria.early_until, language))
        handles.append(Patch(color=colour("muted"), alpha=0.2, label=text))
    handles += [
        Patch(color=ink, alpha=0.25, label=word("legend.range", language)),
        Line2D([], [], color=CALLS["PD"], linestyle="--", label=word("legend.pd", language)),
        Line2D([], [], color=CALLS["CR"], linestyle=":", label=word("legend.pr", language)),
        Line2D([], [], color=ink, marker="s", label=word("legend.baseline", language), **hollow),
        Line2D([], [], color=ink, marker="o", label=word("legend.indeterminate", language), **hollow),
    ]
    if criteria.nadir:
        handles.append(Line2D([], [], color=ink, marker="v", label=word("legend.nadir", language), **hollow))
    width, height = figure.get_size_inches()
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.06 / width, 1 - 0.47 / height),
        ncols=4,
        fontsize=7,
        borderpad=0.2,
        handlelength=1.8,
        columnspacing=1.2,
    )


def _entries(assessment: "PatientAssessment", language: Language) -> Iterator[tuple[list[str], float]]:
    """For each exam its call in words, as lines, and the height that they take [inch]."""
    for call in assessment.calls:
        text = call_text(call, assessment.criteria, language).replace(" %", "\u00a0%")
        lines = textwrap.wrap(text, _COLUMNS, break_long_words=False, break_on_hyphens=False)
        yield lines, len(lines) * _LINE_IN + _ENTRY_GAP_IN


def _words(figure: "Figure", assessment: "PatientAssessment", language: Language) -> None:
    """The calls in words below the charts: day and code on the left, the explanation on the right."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    top = _TITLE_IN + _LEGEND_IN + 2 * _PANEL_IN + _GAP_IN + _AXIS_IN
    for call, (lines, taken) in zip(assessment.calls, _entries(assessment, language), strict=True):
        at, shade = 1 - top / height, CALLS[call.status]
        dot = Line2D([0.17 / width], [at - 0.06 / height], marker="o", markersize=6, markeredgewidth=1.5, color=shade)
        dot.set_markerfacecolor("white" if call.indeterminate else shade)
        figure.add_artist(dot)
        day = word("day", language, value=number(call.horizon, language))
        figure.text(0.3 / width, at, day, va="top", fontsize=7.5)
        figure.text(1.05 / width, at, call.code, va="top", fontsize=7.5, weight="bold")
        for place, line in enumerate(lines):
            figure.text(_TEXT_LEFT_IN / width, at - place * _LINE_IN / height, line, va="top", fontsize=7.5)
        top += taken
