"""SVG that can live in a page, PNG files, and no trace in matplotlib's global state."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from flame.report.canvas import paint_png, paint_svg
from flame.report.colours import colour


def drawing(figure: Figure) -> None:
    axes = figure.subplots()
    axes.imshow(np.full((4, 4, 3), 90, np.uint8), interpolation="none")
    axes.plot([0, 3], [0, 3], color=colour("federated"))
    axes.set_title("a <b> & $x^2$ 1.23456 #1d5fbd")


def test_the_markup_is_an_element_with_text_and_theme_colours() -> None:
    svg = paint_svg(drawing, (3, 2), 'says "what" & why', "one")
    root = ET.fromstring(svg)
    assert root.tag == "svg"
    assert root.attrib["aria-label"] == 'says "what" & why'
    assert [node.text for node in root.iter("text") if "a <b>" in (node.text or "")] == [
        "a <b> & $x^2$ 1.23456 #1d5fbd"
    ]
    assert "stroke: var(--federated)" in svg
    assert not re.search(r"http|<style|<metadata|DejaVu", svg)


def test_the_same_drawing_gives_the_same_text_and_another_salt_other_ids() -> None:
    first = paint_svg(drawing, (3, 2), "alt", "one")
    assert paint_svg(drawing, (3, 2), "alt", "one") == first
    other = paint_svg(drawing, (3, 2), "alt", "two")
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (first, other)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_a_readers_own_settings_neither_count_nor_change(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = paint_svg(drawing, (3, 2), "alt", "one")
    monkeypatch.setitem(matplotlib.rcParams, "lines.linewidth", 9.0)
    before = dict(matplotlib.rcParams)
    assert paint_svg(drawing, (3, 2), "alt", "one") == expected
    assert dict(matplotlib.rcParams) == before


def test_letters_that_the_drawing_font_lacks_do_no_harm() -> None:
    svg = paint_svg(lambda figure: figure.text(0.1, 0.5, "北京"), (3, 2), "alt", "one")
    assert "北京" in svg


def test_a_png_has_the_size_asked_for_and_no_partial_file_stays(tmp_path: Path) -> None:
    paint_png(drawing, (3, 2), tmp_path / "one.png", dpi=50)
    paint_png(drawing, (3, 2), tmp_path / "two.png", dpi=50)
    with Image.open(tmp_path / "one.png") as image:
        assert image.size == (150, 100)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "two.png"]
