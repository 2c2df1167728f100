"""A fork that stands in for a Python process: it is one to whoever starts it, and ends with what stands for it."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.command import warm_python

SHOWN = """
import os, sys
from pathlib import Path
print(sys.argv[1:], Path.cwd().name, os.environ["WORD"], "HOME" in os.environ, "flame" in sys.modules, flush=True)
print(os.readlink("/proc/self/ns/net"), sys.executable, "torch" in sys.modules, file=sys.stderr)
sys.exit(7)
"""

ASLEEP = """
import os, sys, time
from pathlib import Path
Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(3600)
"""


def start(folder: Path, *words: str | Path, **variables: str) -> subprocess.Popen[str]:
    command = [warm_python(), "-u", "-m", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=variables, **pipes)  # type: ignore[call-overload,no-any-return]


def process_of(path: Path) -> int:
    """The process id that is written to a file before long."""
    end = time.monotonic() + 600
    while not path.exists() or not path.read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
    return int(path.read_text())


def test_it_has_the_arguments_folder_environment_network_and_end_of_a_process(tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text(SHOWN)
    process = start(tmp_path, "shown", "-m", "a b", WORD="told")
    out, err = process.communicate(timeout=600)
    assert out == f"['-m', 'a b'] {tmp_path.name} told False False\n"
    assert err.split() == [str(Path("/proc/self/ns/net").readlink()), str(warm_python()), "True"]
    assert process.returncode == 7


def test_modules_are_taken_from_the_folder_only_where_python_takes_them(tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text(SHOWN)
    process = start(tmp_path, "shown", WORD="told", PYTHONSAFEPATH="1")
    assert "No module named shown" in process.communicate(timeout=600)[1]
    assert process.returncode == 1
    found = start(tmp_path, "shown", WORD="told", PYTHONSAFEPATH="1", PYTHONPATH=str(tmp_path))
    found.communicate(timeout=600)
    assert found.returncode == 7


@pytest.mark.parametrize("ended", ["proxy", "fork"])
def test_both_end_together(ended: str, tmp_path: Path) -> None:
    (tmp_path / "asleep.py").write_text(ASLEEP)
    process = start(tmp_path, "asleep", tmp_path / "id")
    fork = process_of(tmp_path / "id")
    assert fork != process.pid
    os.kill(fork if ended == "fork" else process.pid, signal.SIGKILL)
    process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL
    end = time.monotonic() + 600
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(fork, 0)
            assert time.monotonic() < end
            time.sleep(0.02)


def test_with_other_words_it_is_python_itself(tmp_path: Path) -> None:
    code = "import sys; print(sys.executable, 'torch' in sys.modules)"
    done = subprocess.run(
        [warm_python(), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.stdout.split()[0] != str(warm_python())
    assert done.stdout.split()[1] == "False"
