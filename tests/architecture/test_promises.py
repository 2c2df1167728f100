"""What the guide promises is tested: each test that it names is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
"""A test as a page names it."""


def missing(text: str) -> list[str]:
    """Tests that a text names and that are not there."""
    return [f"{path}::{name}" if name else path for path, name in NAMED.findall(text) if not _is_there(path, name)]


def _is_there(path: str, name: str) -> bool:
    if not (ROOT / path).is_file():
        return False
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return not name or name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", ["threat-model.md", "deployment.md"])
def test_each_test_that_a_page_names_is_there(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert len(NAMED.findall(text)) >= 5
    assert missing(text) == []


def test_one_that_is_not_there_is_found() -> None:
    here = "tests/architecture/test_promises.py"
    assert missing(f"`{here}`, `{here}::test_one_that_is_not_there_is_found`") == []
    assert missing(f"`{here}::test_none` and `tests/none.py`") == [f"{here}::test_none", "tests/none.py"]
