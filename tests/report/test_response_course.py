"""The picture of a patient's course."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

from flame.evaluation.assessment import AssessedExam, PatientAssessment
from flame.rano.criteria import assess
from flame.rano.presets import CFB_V2, PRESETS, RANO_2, RANO_2010, Criteria
from flame.rano.readings import Reading
from flame.rano.series import Findings
from flame.rano.words import Language
from flame.records.patient import Course, Exam, Outcome, Patient
from flame.records.volume import Grid
from flame.report.response_course import CALLS, course_picture, course_size_in, draw_course, thresholds

END_DAY = 45
KNOWN: dict[str, Any] = {
    "measurable": True,
    "new_lesion": "none",
    "non_target_worse": False,
    "t2_worse": False,
    "clinical_worse": False,
    "steroid_mg": 0.0,
}
SERIES = ((-50, 20.0), (24, 10.0), (52, 15.0), (84, 11.0), (112, 3.3), (150, 3.0), (200, None), (300, 5.0))


def assessment(
    criteria: Criteria = RANO_2,
    series: Sequence[tuple[int, float | None]] = SERIES,
    surgery_at: int | None = None,
    outcome: Outcome | None = None,
) -> PatientAssessment:
    """A patient with these volumes of enhancing tumour [ml]; the rest follows from them."""
    readings = [
        Reading(
            horizon,
            et_ml=ml,
            tc_ml=None if ml is None else 1.5 * ml,
            spd_mm2=None if ml is None else 50 * ml,
            surgery=horizon == surgery_at,
            **KNOWN,
        )
        for horizon, ml in series
    ]
    calls = assess(readings, criteria)
    exams = tuple(Exam(day=reading.horizon + END_DAY) for reading in readings)
    course = Course("proton", 59.4, 33, 3, END_DAY)
    patient = Patient("p1", exams=exams, courses=(course,), outcome=outcome or Outcome(death_day=420))
    parts = zip(exams, readings, calls, strict=True)
    assessed = tuple(AssessedExam(exam, None, Findings(reading), call) for exam, reading, call in parts)
    return PatientAssessment(patient, course, criteria, Grid((4, 4, 4), np.eye(4)), assessed)


def drawn(one: PatientAssessment, language: Language = "en") -> Figure:
    figure = Figure(figsize=course_size_in(one, language), layout="constrained")
    FigureCanvasAgg(figure)
    draw_course(figure, one, language)
    return figure


def lines(axes: Axes, gid: str) -> list[tuple[list[float], list[float]]]:
    return [
        (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for line in axes.get_lines()
        if line.get_gid() == gid
    ]


def words(figure: Figure) -> str:
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    axes = [text.get_text() for one in figure.axes for text in one.texts]
    return " ".join([*(text.get_text() for text in figure.texts), *legends, *axes])


def boxes(figure: Figure, texts: Sequence[Any]) -> list[Bbox]:
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    return [text.get_window_extent(renderer) for text in texts]


def overlapping(found: Sequence[Bbox]) -> list[tuple[int, int]]:
    shrunk = [Bbox.from_extents(box.x0 + 0.5, box.y0 + 0.5, box.x1 - 0.5, box.y1 - 0.5) for box in found]
    return [(i, j) for j in range(len(shrunk)) for i in range(j) if shrunk[i].overlaps(shrunk[j])]


def test_thresholds_step_down_with_the_nadir_and_never_below_the_floor() -> None:
    (one,) = thresholds(assessment())
    assert one.horizons == (24, 52, 84, 112, 150, 200, 300)
    # 40 % over the nadir of 10 ml until 3.3 ml are seen, then over 3.3, and over 3.0 ml from the next exam on.
    assert one.progression == pytest.approx((14.0, 14.0, 14.0, 14.0, 4.62, 4.2, 4.2))
    assert one.response == pytest.approx(3.5)
    (small,) = thresholds(assessment(series=((24, 1.0), (120, 0.9))))
    assert small.progression == pytest.approx((1.52, 1.52))


def test_a_new_baseline_begins_new_thresholds_and_progression_ends_them() -> None:
    before, after = thresholds(
        assessment(series=((24, 10.0), (120, 15.0), (150, 16.0), (180, 2.0), (240, 2.1)), surgery_at=180)
    )
    assert before.horizons == (24, 120)
    assert after.horizons == (180, 240)
    assert after.response == pytest.approx(0.7)


def test_growth_from_nothing_has_no_threshold() -> None:
    (one,) = thresholds(assessment(series=((24, 10.0), (60, 0.0), (100, 0.0))))
    assert one.progression == (pytest.approx(14.0), pytest.approx(14.0), None)


@pytest.mark.parametrize(("criteria", "place", "factor"), [(RANO_2, 0, 1.0), (RANO_2010, 1, 50.0), (CFB_V2, 0, 1.5)])
def test_thresholds_are_drawn_on_the_panel_of_the_criteria_s_quantity(
    criteria: Criteria, place: int, factor: float
) -> None:
    one = assessment(criteria)
    panels = drawn(one).axes
    (expected,) = thresholds(one)
    ((horizons, steps),) = lines(panels[place], "progression")
    assert horizons == list(expected.horizons)
    assert steps == pytest.approx(list(expected.progression))
    (line,) = [line for line in panels[place].get_lines() if line.get_gid() == "progression"]
    assert line.get_drawstyle() == "steps-pre"  # a threshold reaches back from the exam that is judged by it
    baseline = 20.0 if criteria is CFB_V2 else 10.0
    assert lines(panels[place], "response")[0][1] == pytest.approx(
        [(1 - criteria.decrease) * baseline * factor] * len(horizons)
    )
    assert not lines(panels[1 - place], "progression")
    assert len(panels) == 2


def test_points_lie_at_the_values_in_the_colours_of_their_calls() -> None:
    one = assessment()
    upper, lower = drawn(one).axes
    for exam in one.exams:
        gid = f"exam {exam.call.horizon}"
        for axes, value in ((upper, exam.findings.reading.et_ml), (lower, exam.findings.reading.spd_mm2)):
            ((at, level),) = lines(axes, gid)
            assert (at, level) == ([exam.call.horizon], [0 if value is None else value])
        (line,) = [line for line in upper.get_lines() if line.get_gid() == gid]
        assert line.get_color() == CALLS[exam.call.status]
        hollow = exam.call.indeterminate and exam.findings.reading.et_ml is not None
        assert (line.get_markerfacecolor() == "white") == hollow
    assert {exam.call.indeterminate for exam in one.exams} == {True, False}


def test_each_exam_has_its_code_and_an_unknown_quantity_is_a_tick_with_ne() -> None:
    one = assessment()
    upper = drawn(one).axes[0]
    codes = {text.get_gid(): text.get_text() for text in upper.texts if (text.get_gid() or "").startswith("code")}
    assert codes == {f"code {call.horizon}": call.code for call in one.calls}
    assert codes["code 200"] == "NE"
    (tick,) = [line for line in upper.get_lines() if line.get_gid() == "exam 200"]
    assert tick.get_marker() == "|"


def test_baseline_and_nadir_are_marked() -> None:
    upper, lower = drawn(assessment()).axes
    assert lines(upper, "baseline") == [([24], [10.0])]
    assert lines(upper, "nadir") == [([150], [3.0])]
    assert not lines(lower, "nadir")
    assert not lines(drawn(assessment(CFB_V2)).axes[0], "nadir")


def test_spans_are_radiotherapy_and_the_time_of_preliminary_progression() -> None:
    def spans(axes: Axes) -> dict[str, tuple[float, float]]:
        found = {patch.get_gid(): patch.get_extents().transformed(axes.transData.inverted()) for patch in axes.patches}
        return {str(gid): (round(box.x0), round(box.x1)) for gid, box in found.items()}

    upper, lower = drawn(assessment()).axes
    assert spans(upper) == spans(lower) == {"radiotherapy": (-42, 0), "early": (0, 84)}
    assert "early" not in spans(drawn(assessment(CFB_V2)).axes[0])


def test_the_band_is_the_range_of_the_measurement() -> None:
    one = assessment(series=((24, 10.0), (120, 12.0)))
    upper, lower = drawn(one).axes
    for axes, quantity in ((upper, "et_ml"), (lower, "spd_mm2")):
        (band,) = [part for part in axes.collections if part.get_gid() == "range"]
        box = band.get_paths()[0].get_extents()
        intervals = [exam.findings.reading.interval(quantity) for exam in one.exams]  # type: ignore[arg-type]
        assert box.y0 == pytest.approx(min(found[1] for found in intervals if found))
        assert box.y1 == pytest.approx(max(found[2] for found in intervals if found))


def test_death_goes_before_last_contact() -> None:
    upper = drawn(assessment(outcome=Outcome(death_day=420, last_contact_day=420))).axes[0]
    assert lines(upper, "death")[0][0] == [375, 375]
    assert not lines(upper, "last_contact")
    upper = drawn(assessment(outcome=Outcome(last_contact_day=600)), "fr").axes[0]
    assert lines(upper, "last_contact")[0][0] == [555, 555]
    assert any(text.get_text() == "dernières nouvelles, jour 555" for text in upper.texts)
    assert upper.get_xlim()[1] > 555
    assert not lines(drawn(assessment(outcome=Outcome())).axes[0], "death")


def test_all_that_a_reader_needs_is_said_in_both_languages() -> None:
    one = assessment()
    english, french = words(drawn(one)), words(drawn(one, "fr"))
    for part in ("Patient p1, RANO 2.0, best response: partial response (PR)", "not a medical device", "protons"):
        assert part in english
    for part in ("meilleure réponse\u00a0: réponse partielle (PR)", "pas un dispositif médical", "59,4 Gy(EBR)"):
        assert part in french
    assert "which was pseudoprogression" in english
    assert "pseudoprogression" in french


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_text_overlaps_or_leaves_the_figure(preset: str, language: Language) -> None:
    close: list[tuple[int, float | None]] = [(24, 10.0), (30, 10.1), (36, 14.2), (42, 9.9), (200, None), (700, 12.0)]
    for series in (SERIES, close):
        figure = drawn(assessment(PRESETS[preset], series), language)
        figure.draw_without_rendering()
        legend = [text for one in figure.legends for text in one.get_texts()]
        found = boxes(figure, [*figure.texts, *legend])
        assert overlapping(found) == []
        codes = [text for axes in figure.axes for text in axes.texts]
        assert overlapping(boxes(figure, codes)) == []
        page = figure.bbox
        for box in [*found, *boxes(figure, codes)]:
            assert box.x0 >= page.x0
            assert box.x1 <= page.x1
            assert box.y0 >= page.y0
            assert box.y1 <= page.y1


def test_nothing_known_still_gives_a_picture_with_ne(tmp_path: Path) -> None:
    one = assessment(series=((-50, None), (24, None)))
    assert thresholds(one) == ()
    assert words(drawn(one)).count("NE") >= 6
    path = course_picture(one, tmp_path / "course.png", "en")
    with Image.open(path) as image:
        width, height = course_size_in(one, "en")
        assert image.size == (int(width * 160), int(height * 160))


def test_the_same_assessment_gives_the_same_bytes(tmp_path: Path) -> None:
    one = assessment()
    first, second = (course_picture(one, tmp_path / name, "fr").read_bytes() for name in ("a.png", "b.png"))
    assert first == second
