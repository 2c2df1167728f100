"""What all tests share: a tiny virtual trial, made once, and an interrupt that works however tests were started."""

import signal
from pathlib import Path

import pytest
from tests.command import flame

# A shell that starts tests in the background lets them ignore Ctrl-C, and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sites of four patients at 6 mm, with the other arms' futures."""
    out = tmp_path_factory.mktemp("trial") / "trial"
    done = flame("trial", out, "--sites", "3", "--patients", "4", "--seed", "5", "--spacing", "6", "--workers", "2")
    assert done.returncode == 0, done.stderr
    return out
