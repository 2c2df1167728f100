"""A tiny virtual trial and the settings of a tiny comparison, made once for all scenarios."""

import subprocess
import sys
from pathlib import Path

import pytest

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


def flame(*arguments: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    command = [sys.executable, "-m", "flame", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sites of four patients at 6 mm, with the other arms' futures."""
    out = tmp_path_factory.mktemp("trial") / "trial"
    done = flame("trial", out, "--sites", "3", "--patients", "4", "--seed", "5", "--spacing", "6", "--workers", "2")
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("settings") / "comparison.toml"
    path.write_text(SETTINGS)
    return path


@pytest.fixture(scope="session")
def compared(trial: Path, settings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a finished comparison."""
    out = tmp_path_factory.mktemp("compared") / "run"
    done = flame("compare", trial, "--out", out, "--settings", settings)
    assert done.returncode == 0, done.stderr
    return out
