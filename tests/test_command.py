"""What the tests take for a user's command line is one."""

import subprocess
import sys

import pytest
from tests.command import flame


@pytest.mark.parametrize("words", [("--version",), ("check", "nowhere"), ("no-such-command",), ("site", "approve")])
def test_a_command_says_and_ends_with_what_it_does_in_a_new_python(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "flame", *words]
    fresh = subprocess.run(command, capture_output=True, text=True, check=False)
    done = flame(*words)
    assert (done.returncode, done.stdout, done.stderr) == (fresh.returncode, fresh.stdout, fresh.stderr)


def test_a_command_that_does_not_end_is_ended(tmp_path):
    with pytest.raises(subprocess.TimeoutExpired):
        flame("coordinator", "track", tmp_path, "--follow", timeout=1)  # waits for a job that nobody begins
    assert flame("--version").returncode == 0
