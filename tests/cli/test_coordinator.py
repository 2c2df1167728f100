"""`flame coordinator` where the engine is missing."""

import importlib.util
from pathlib import Path

import pytest

from flame.cli.coordinator import pause, provision, submit
from flame.errors import ConfigError


@pytest.fixture
def _without_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)


@pytest.mark.usefixtures("_without_engine")
def test_what_needs_the_engine_says_how_to_install_it(tmp_path: Path) -> None:
    for step in (
        lambda: provision(tmp_path, tmp_path),
        lambda: submit(tmp_path, tmp_path),
        lambda: pause(tmp_path, tmp_path),
    ):
        with pytest.raises(ConfigError, match="not installed") as caught:
            step()
        assert "flame[deploy]" in caught.value.hint
