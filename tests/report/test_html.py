"""The page: complete, self-contained, reproducible, safe against odd names, honest about what is missing."""

import json
import re
import shutil
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from flame.errors import DataError
from flame.report.html import write_report

Render = Callable[[dict[str, Any]], str]
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Structure(HTMLParser):
    """Collects ids, anchors and tags, and checks that every tag is closed where it was opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.targets += [value[1:] for name, value in attrs if name == "href" and value and value.startswith("#")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def structure(page: str) -> Structure:
    parser = Structure()
    parser.feed(page)
    return parser


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)))


def test_nothing_outside_the_file_is_needed(page: str) -> None:
    found = structure(page)
    assert not re.search(r"https?://|@import|url\((?!#)", page)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in found.tags}
    sources = [value for _, attributes in found.tags for name, value in attributes.items() if name in ("src", "href")]
    assert all(value is not None and value.startswith(("#", "data:image/png;base64,")) for value in sources)


def test_the_markup_is_closed_and_every_reference_has_one_target(page: str) -> None:
    found = structure(page)
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert set(found.targets) <= set(found.ids)


def test_every_figure_has_a_description_and_a_caption(page: str) -> None:
    figures = re.findall(r"<figure>(.*?)</figure>", page, flags=re.DOTALL)
    assert len(figures) == 12
    for figure in figures:
        assert re.search(r'<svg role="img" aria-label="[^"]{20,}"', figure)
        assert re.search(r"<figcaption>[^<]{20,}", figure)


def test_the_line_on_research_use_stands_at_the_top_and_at_the_bottom(page: str) -> None:
    body = text_of(page[page.index("<body>") :])
    line = "Research use only, not a medical device"
    assert body.index(line) < 100
    assert len(body) - body.rindex(line) < 100


def test_numbers_of_the_comparison_stand_in_the_page(page: str, comparison: dict[str, Any]) -> None:
    text = text_of(page)
    for row in comparison["response"][0]["rows"]:
        score = row["auroc"]
        assert f"{score['estimate']:.2f} ({score['low']:.2f}–{score['high']:.2f})" in text
    for row in comparison["evolution"][0]["rows"]:
        score = row["hd95"]
        assert f"{score['estimate']:.1f} ({score['low']:.1f}–{score['high']:.1f})" in text
    for site in comparison["sites"]:
        assert site["name"] in text
    assert "seed 7" in text
    assert "torch 2.13.0" in text
    assert "sub-019 no exam after radiotherapy" in text
    assert "array decoder.0.weight holds NaN" in text


def test_the_same_folder_gives_the_same_bytes(example_folder: Path, page: str, tmp_path: Path) -> None:
    copy = shutil.copytree(example_folder, tmp_path / "copy", ignore=shutil.ignore_patterns("report.html"))
    assert write_report(copy).read_bytes() == page.encode()


def test_odd_names_are_shown_and_never_obeyed(comparison: dict[str, Any], render: Render) -> None:
    odd = '<script>alert("1")</script> & $x^2$ #1d5fbd 北京'
    text = json.dumps(comparison)
    page = render(json.loads(text.replace("site-2", json.dumps(odd)[1:-1].replace("/", "-"))))
    found = structure(page)
    assert found.open == []
    assert "script" not in {tag for tag, _ in found.tags}
    assert odd.replace("/", "-") in text_of(page)


def test_the_size_stays_small_enough_to_send(page: str) -> None:
    assert len(page.encode()) < 4_000_000


@pytest.mark.parametrize(("identified", "kind"), [(False, "warning"), (True, "note")])
def test_the_banner_says_whether_effects_of_arms_are_identified(
    bare_comparison: dict[str, Any], render: Render, identified: bool, kind: str
) -> None:
    bare_comparison["arm_effects"] = {"identified": identified, "statement": "Because of the design.", "offered": {}}
    page = render(bare_comparison)
    assert ('class="banner warning"' in page) == (not identified)
    assert ("Effects of arms are not identified" in page) == (not identified)
    assert page.count(f'class="banner {kind}"') == 2
    assert page.count("Because of the design.") == 2


@pytest.mark.parametrize(
    "sentence",
    [
        "It cannot be said.",
        "This comparison has no response task.",
        "This comparison has no evolution task.",
        "This comparison holds no pictures of predicted maps.",
        "This comparison holds no montage of its patients.",
        "This comparison makes no statement on the effects of arms.",
        "This comparison holds no federated training with rounds.",
        "This comparison lists no trainings.",
        "This comparison lists no sites.",
        "This comparison holds no finished models.",
        "No goals were set for this comparison.",
        "Settings: not recorded.",
    ],
)
def test_a_part_that_is_missing_is_named(bare_comparison: dict[str, Any], render: Render, sentence: str) -> None:
    assert sentence in text_of(render(bare_comparison))


def test_scores_that_could_not_be_estimated_are_shown_as_such(comparison: dict[str, Any], render: Render) -> None:
    def emptied(value: Any) -> Any:
        if isinstance(value, dict) and value.keys() == {"estimate", "low", "high"}:
            return dict.fromkeys(value)
        if isinstance(value, dict):
            return {key: emptied(inner) for key, inner in value.items()}
        return [emptied(inner) for inner in value] if isinstance(value, list) else value

    content = emptied(comparison)
    content["response"][0]["reliability"] = []
    page = text_of(render(content))
    cells = 12 * 4 + 9 * 3 + 6 + 3 + 8 + 15 * 6 * 4 + 36 + 4 * 18 * 2
    assert "It cannot be said." in page
    assert "Reliability curves: not enough patients." in page
    assert page.count("not enough patients") >= cells - 100


def test_one_task_and_one_context_are_enough(comparison: dict[str, Any], render: Render) -> None:
    page = text_of(render({**comparison, "evolution": []}))
    assert "This comparison has no evolution task." in page
    assert "in all of 1 main comparison." in page


def test_announced_pictures_that_are_not_there_are_named(comparison: dict[str, Any], tmp_path: Path) -> None:
    comparison |= {"response": [], "evolution": [], "trainings": []}
    (tmp_path / "comparison.json").write_text(json.dumps(comparison))
    text = text_of(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "Announced but not there: evolution-site-1_sub-004." in text
    assert "Announced but not there: montage-site-1_sub-001." in text


def test_a_folder_without_comparison_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"comparison\.json"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []
