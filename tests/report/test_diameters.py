"""The picture of a patient's measured diameters."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from flame.evaluation.assessment import AssessedExam, PatientAssessment
from flame.rano.criteria import assess
from flame.rano.presets import RANO_2
from flame.rano.series import Scan, read
from flame.rano.words import Language
from flame.records.patient import Course, Exam, Patient
from flame.records.volume import Grid, Volume, write_volume
from flame.report.diameters import diameters_picture, diameters_size_in, draw_diameters, shown_lesions

SPACING = (1.0, 2.0, 3.0)
SHAPE = (60, 40, 10)
GRID = Grid(SHAPE, np.diag([*SPACING, 1.0]))
LARGE = (slice(10, 34), slice(10, 18), slice(2, 6))  # 24 x 16 mm on four slices
SMALL = (slice(44, 56), slice(28, 34), slice(4, 7))  # 12 x 12 mm on three slices
SPECK = (slice(50, 54), slice(3, 5), slice(5, 7))  # 4 x 4 mm


def labels(*boxes: tuple[slice, ...]) -> NDArray[np.uint8]:
    array = np.zeros(SHAPE, np.uint8)
    for box in boxes:
        array[box] = 3
    return array


def assessment(
    maps: Sequence[NDArray[np.uint8] | None], images: dict[int, dict[str, Path]] | None = None
) -> PatientAssessment:
    """Exams 24, 60, 96, ... days after radiotherapy; `images` are the sequences of an exam by its place."""
    horizons = [24 + 36 * place for place in range(len(maps))]
    findings = read([Scan(day, one, False, 0.0, False) for day, one in zip(horizons, maps)], SPACING, RANO_2)
    calls = assess([one.reading for one in findings], RANO_2)
    sequences = images or {}
    exams = tuple(Exam(day=day + 45, sequences=sequences.get(i, {})) for i, day in enumerate(horizons))  # type: ignore[arg-type]
    course = Course("photon", 60.0, 30, 0, 45)
    patient = Patient("p1", exams=exams, courses=(course,))
    parts = zip(exams, maps, findings, calls, strict=True)
    return PatientAssessment(patient, course, RANO_2, GRID, tuple(AssessedExam(*one) for one in parts))


def drawn(one: PatientAssessment, language: Language = "en") -> Figure:
    figure = Figure(figsize=diameters_size_in(one), layout="constrained")
    FigureCanvasAgg(figure)
    draw_diameters(figure, one, language)
    figure.draw_without_rendering()
    return figure


def chord(axes: Axes, gid: str) -> NDArray[np.float64]:
    """Ends of a diameter [mm], one a row."""
    (line,) = [line for line in axes.get_lines() if line.get_gid() == gid]
    return np.asarray(line.get_xydata(), np.float64)


def outline(axes: Axes) -> NDArray[np.float64]:
    (edges,) = [one for one in axes.collections if one.get_gid() == "outline"]
    assert isinstance(edges, LineCollection)
    return np.array(edges.get_segments())


def words(figure: Figure) -> str:
    inside = [text.get_text() for axes in figure.axes for text in axes.texts]
    return "\n".join([*(text.get_text() for text in figure.texts), *inside])


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A T1ce whose values rise along x from 1 to 60."""
    values = np.broadcast_to(np.arange(1, 61, dtype=np.float32)[:, None, None], SHAPE)
    write_volume(tmp_path / "t1ce.nii.gz", Volume(np.ascontiguousarray(values), GRID))
    return tmp_path / "t1ce.nii.gz"


def test_one_row_per_exam_with_a_label_map_and_one_column_per_lesion() -> None:
    one = assessment([labels(LARGE, SMALL), None, labels(LARGE), labels()])
    figure = drawn(one)
    assert [axes.get_gid() for axes in figure.axes] == ["24 0", "24 1", "96 0"]
    rows = [axes.get_position().y0 for axes in figure.axes]
    columns = [axes.get_position().x0 for axes in figure.axes]
    assert rows[0] == rows[1] > rows[2]
    assert columns[0] == columns[2] < columns[1]
    assert "no enhancing lesion" in words(figure)
    _, height = diameters_size_in(one)
    assert height == pytest.approx(0.75 + 2 * (2.4 + 0.42) + 0.5 + 0.25)  # an exam without lesions takes a line


def test_targets_come_first_then_the_largest_and_no_more_than_three() -> None:
    large, other = (slice(2, 40), slice(2, 22), slice(1, 5)), (slice(56, 60), slice(8, 10), slice(1, 3))
    one = assessment([labels(SMALL), labels(SMALL, large, SPECK, other)])
    later = one.exams[1]
    assert later.findings.measurement is not None
    assert len(later.findings.measurement.lesions) == 4
    assert later.findings.targets == (1,)
    assert shown_lesions(later) == (1, 0, 2)
    assert "and 1 more" in words(drawn(one))


@pytest.mark.parametrize("place", [0, 1])
def test_diameters_run_from_edge_to_edge_of_the_outline_in_mm(place: int, image: Path) -> None:
    one = assessment([labels(LARGE, SMALL)], {0: {"T1ce": image}})
    axes = drawn(one).axes[place]
    measurement = one.exams[0].findings.measurement
    assert measurement is not None
    lesion = measurement.lesions[place]
    box = (LARGE, SMALL)[place]
    low = [box[axis].start * SPACING[axis] for axis in (0, 1)]
    high = [box[axis].stop * SPACING[axis] for axis in (0, 1)]
    for name, mm in (("long", lesion.long_mm), ("perpendicular", lesion.perpendicular_mm)):
        ends = chord(axes, name)
        assert np.hypot(*(ends[1] - ends[0])) == pytest.approx(mm, abs=1e-6)
        assert (ends >= np.array(low) - 1e-6).all()
        assert (ends <= np.array(high) + 1e-6).all()
    # All drawn outlines of this lesion are the box's sides, of the length of its perimeter.
    edges = outline(axes)
    middle = edges.mean(axis=1)
    own = edges[((middle >= np.array(low) - 0.1) & (middle <= np.array(high) + 0.1)).all(axis=1)]
    length = np.abs(own[:, 1] - own[:, 0]).sum()
    assert length == pytest.approx(2 * (high[0] - low[0] + high[1] - low[1]))
    assert own.min(axis=(0, 1)) == pytest.approx(low)
    assert own.max(axis=(0, 1)) == pytest.approx(high)


def test_a_millimetre_is_as_long_across_as_up_whatever_the_voxels(image: Path) -> None:
    for axes in drawn(assessment([labels(LARGE, SMALL)], {0: {"T1ce": image}})).axes:
        (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
        assert x1 - x0 == pytest.approx(y1 - y0)
        box = axes.get_window_extent()
        assert box.width == pytest.approx(box.height, rel=1e-3)
        (scale,) = [line for line in axes.get_lines() if line.get_gid() == "scale"]
        assert np.ptp(np.asarray(scale.get_xdata())) == pytest.approx(10.0)
        ends = np.concatenate([chord(axes, "long"), chord(axes, "perpendicular")])
        assert ((ends > [x0, y0]) & (ends < [x1, y1])).all()


def test_the_image_lies_under_the_outline_with_x_to_the_right(image: Path) -> None:
    axes = drawn(assessment([labels(LARGE)], {0: {"T1ce": image}})).axes[0]
    (picture,) = axes.get_images()
    assert picture.get_extent() == [0, 60.0, 0, 80.0]
    pixels = np.asarray(picture.get_array())
    assert pixels.shape[:2] == (40, 60)  # rows are y, columns x
    assert pixels[0, -1, 0] > pixels[0, 0, 0]


def test_any_sequence_serves_and_another_grid_does_not(image: Path, tmp_path: Path) -> None:
    other = Grid(SHAPE, np.diag([1.0, 2.0, 3.5, 1.0]))
    write_volume(tmp_path / "moved.nii.gz", Volume(np.ones(SHAPE, np.float32), other))
    (tmp_path / "damaged.nii.gz").write_bytes(b"no image")
    sequences = [{"FLAIR": image}, {"T1ce": tmp_path / "moved.nii.gz"}, {"T1ce": tmp_path / "damaged.nii.gz"}, {}]
    figure = drawn(assessment([labels(LARGE)] * 4, dict(enumerate(sequences))), "fr")
    assert [len(axes.get_images()) for axes in figure.axes] == [1, 0, 0, 0]
    assert words(figure).count("pas d'image") == 3
    assert all(outline(axes).size for axes in figure.axes)


def test_captions_say_lengths_part_and_slice_in_both_languages() -> None:
    one = assessment([labels(LARGE), labels(LARGE, SMALL), labels(LARGE, SMALL, SPECK)])
    english, french = words(drawn(one)), words(drawn(one, "fr"))
    measurement = one.exams[0].findings.measurement
    assert measurement is not None
    lesion = measurement.lesions[0]
    product = f"{lesion.long_mm:.1f} × {lesion.perpendicular_mm:.1f} mm = {lesion.product_mm2:.0f} mm²"
    assert product in english
    assert product.replace(".", ",") in french
    assert f"target, measurable, slice {lesion.slice_index + 1} of 10" in english
    assert f"cible, mesurable, coupe {lesion.slice_index + 1} sur 10" in french
    assert "day 24" in english
    assert "jour 96" in french
    assert "Research use only, not a medical device" in english
    assert "pas un dispositif médical" in french


def test_a_new_lesion_stays_new_in_later_exams() -> None:
    one = assessment([labels(LARGE), labels(LARGE, SMALL), labels(LARGE, SMALL)])
    assert one.exams[2].findings.lesions is not None
    assert one.exams[2].findings.lesions.sightings[1].event == "continues"
    assert words(drawn(one)).count("new, measurable") == 2


def test_no_text_overlaps_or_leaves_the_figure(image: Path) -> None:
    one = assessment([labels(LARGE, SMALL, SPECK), labels()], {0: {"T1ce": image}})
    for language in ("en", "fr"):
        figure = drawn(one, language)
        renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        legend = [text for part in figure.legends for text in part.get_texts()]
        found = [text.get_window_extent(renderer) for text in [*figure.texts, *legend]]
        assert not any(found[i].overlaps(found[j]) for j in range(len(found)) for i in range(j))
        tiles = [axes.get_window_extent() for axes in figure.axes]
        assert not any(box.overlaps(tile) for box in found for tile in tiles)
        page = figure.bbox
        assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in found)


def test_the_file_shows_outline_and_diameters_and_is_the_same_each_time(image: Path, tmp_path: Path) -> None:
    one = assessment([labels(LARGE)], {0: {"T1ce": image}})
    first, second = (diameters_picture(one, tmp_path / name, "en") for name in ("a.png", "b.png"))
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as picture:
        width, height = diameters_size_in(one)
        assert picture.size == (int(width * 160), int(height * 160))
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    tile = pixels[int(0.75 * 160) : int(3.15 * 160), int(1.1 * 160) : int(3.5 * 160)]
    for red, green, blue in ((0x3F, 0xD0, 0xFF), (0xFF, 0xE1, 0x4D), (0xFF, 0x6A, 0x3D)):
        near = np.abs(tile - [red, green, blue]).sum(axis=2) < 60
        assert near.sum() > 50


def test_a_patient_without_label_maps_gets_a_picture_that_says_so() -> None:
    assert "no exam has a label map" in words(drawn(assessment([None])))
