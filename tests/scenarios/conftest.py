"""The settings of a tiny comparison, and the comparison, made once for all scenarios."""

from pathlib import Path

import pytest
from tests.command import flame

SETTINGS = """
seed = 3
held_out = ["site-3"]
replicates = 200

[crop]
spacing_mm = 6.0
size = 16

[[questions]]
task = "response"
model = "clinical"
context = "first_post_rt"
rounds = 3
training = { learning_rate = 0.05 }

[[questions]]
task = "evolution"
model = "unet"
context = "first_post_rt"
rounds = 3
training = { batch_size = 2 }
"""


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("settings") / "comparison.toml"
    path.write_text(SETTINGS)
    return path


@pytest.fixture(scope="session")
def compared(trial: Path, settings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a finished comparison, by one process: each more would load torch anew for every stage."""
    out = tmp_path_factory.mktemp("compared") / "run"
    done = flame("compare", trial, "--out", out, "--settings", settings, "--processes", "1")
    assert done.returncode == 0, done.stderr
    return out
