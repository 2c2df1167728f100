"""One small example run, drawn once for all tests that read the page."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.report.example import example_comparison, write_example

from flame.report.html import write_report


def small_comparison() -> dict[str, Any]:
    """The example with one context per task, one picture of each kind and three trainings."""
    content = example_comparison(np.random.default_rng(7))
    content["response"] = content["response"][1:]
    content["evolution"] = content["evolution"][1:]
    content["pictures"] = {"patients": ["site-1_sub-004"], "montage": ["site-1_sub-001"]}
    chosen = ("local-site-1", "federated-without-site-3", "pooled-without-site-3")
    content["trainings"] = [
        training
        for training in content["trainings"]
        if training["name"].startswith("evolution") and training["name"].endswith(chosen)
    ]
    return content


@pytest.fixture
def comparison() -> dict[str, Any]:
    return small_comparison()


@pytest.fixture(scope="session")
def example_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return write_example(folder, small_comparison(), np.random.default_rng(7))


@pytest.fixture(scope="session")
def page(example_folder: Path) -> str:
    return write_report(example_folder).read_text(encoding="utf-8")


@pytest.fixture
def bare_comparison() -> dict[str, Any]:
    """A comparison in which every part is missing or empty."""
    return {"flame": "0.1.0", "sites": [], "held_out": [], "response": [], "evolution": [], "trainings": []}


@pytest.fixture
def render(tmp_path: Path) -> Callable[[dict[str, Any]], str]:
    """Write a comparison without pictures and return its page."""

    def rendered(content: dict[str, Any]) -> str:
        content = deepcopy(content)
        content["pictures"] = {"patients": [], "montage": []}
        write_example(tmp_path, content, np.random.default_rng(0))
        return write_report(tmp_path).read_text(encoding="utf-8")

    return rendered
