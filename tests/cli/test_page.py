"""The help is Typer's to the letter, and the user does not wait for what it does not show."""

import subprocess
import sys

import pytest

HELP = """
import atexit, sys
{before}
@atexit.register
def afterwards():
    print(*sys.modules, file=sys.stderr)
    from rich.markdown import Markdown
    print(Markdown("*x*").markup, file=sys.stderr)
sys.argv = ["flame", "--help"]
from flame.cli import main
main()
"""
# Loading these took a third of the time of `flame --help`, and nothing of them is on the page.
NOT_ON_THE_PAGE = {"attr", "markdown_it", "pydantic", "pygments", "rich.markdown", "rich.syntax", "rich.traceback"}


def _help(before=""):
    return subprocess.run(
        [sys.executable, "-c", HELP.format(before=before)], capture_output=True, text=True, check=True
    )


@pytest.fixture(scope="module")
def page():
    return _help()


def test_the_page_is_typers_own(page):
    assert "Usage: flame" in page.stdout
    assert page.stdout == _help("import typer.rich_utils").stdout


def test_the_page_loads_only_what_it_shows(page):
    loaded = set(page.stderr.splitlines()[0].split())
    assert "typer.rich_utils" in loaded
    assert not NOT_ON_THE_PAGE & loaded
    # 234 when this was written, and about a millisecond each; it was 349 with Markdown and tracebacks.
    assert len(loaded) < 260


def test_whoever_wants_a_module_after_the_page_gets_the_real_one(page):
    assert page.stderr.splitlines()[1] == "*x*"
