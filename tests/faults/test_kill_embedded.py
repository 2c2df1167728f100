"""What is guaranteed: whenever a job on one machine is killed, a second start ends with the same bytes, and no site
that has answered is asked again. Processes are really killed, files really cut off, and a file system really filled.
"""

import importlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from flame.errors import EngineError
from flame.federation.embedded import run
from flame.federation.folder import history

HERE = Path(__file__).parent
LOGISTIC = HERE.parent / "federation" / "logistic.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def python(script, *arguments, check=True):
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=check)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of the job that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    python(LOGISTIC, folder, 1, 0)
    return folder


@pytest.fixture
def logistic(monkeypatch):
    """The module of the job, for a start in this process: another one than that which was killed."""
    monkeypatch.syspath_prepend(LOGISTIC.parent)
    yield importlib.import_module("logistic")
    del sys.modules["logistic"]


def go_on(logistic, folder):
    """Start the job, which goes on where it stands; the rounds that were still to be done."""
    return [report.round for report in run(logistic.JOB, logistic.sites(), folder, logistic.INITIAL)]


def assert_same(folder, whole):
    """Same model, same metrics but for the seconds, nothing else left behind."""
    names = sorted(path.relative_to(whole) for path in whole.rglob("*"))
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == names
    for path in names:
        if (whole / path).is_file() and path.name != "metrics.jsonl":
            assert (folder / path).read_bytes() == (whole / path).read_bytes(), path
    assert [replace(line, seconds=0) for line in history(folder)] == [
        replace(line, seconds=0) for line in history(whole)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_moments(tmp_path, whole, seed):
    kills = int(python(HERE / "killed_job.py", tmp_path, seed).stdout)
    assert kills >= 5
    assert_same(tmp_path / "run", whole)
    asked = (tmp_path / "asked.txt").read_text().splitlines()
    assert len(set(asked)) == 15 * 4
    assert len(asked) - 15 * 4 <= kills  # a kill costs at most the one site that was training


def slow_job_after(folder, round):
    """The job with two worker processes, running, when it has just closed `round`; seconds before its end."""
    command = [sys.executable, str(LOGISTIC), str(folder), "2", "0.2"]
    job = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while job.stdout.readline().strip() != str(round):
        assert job.poll() is None
    return job


def children(pid):
    return [int(task) for task in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it ended before the file was opened, or while it was read
        return False


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


def test_killed_with_worker_processes(tmp_path, whole):
    job = slow_job_after(tmp_path, round=4)
    workers = children(job.pid)
    assert len(workers) >= 2
    os.kill(job.pid, signal.SIGKILL)
    job.communicate(timeout=300)
    wait_until(lambda: not any(map(alive, workers)), seconds=300)  # a killed parent leaves no orphan behind
    python(LOGISTIC, tmp_path, 2, 0)
    assert_same(tmp_path, whole)


def test_killed_worker_process(tmp_path, whole, logistic):
    """The job ends with a message, for nobody can tell which site it was; a second start goes on."""
    job = slow_job_after(tmp_path, round=2)
    spawned = [pid for pid in children(job.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(spawned[0], signal.SIGKILL)
    _, errors = job.communicate(timeout=300)
    assert job.returncode == 1
    assert "EngineError: A process that trained a site ended without an answer" in errors
    assert go_on(logistic, tmp_path)[-1] == 14
    assert_same(tmp_path, whole)


@pytest.mark.parametrize("size", [0, 200, 411])
def test_killed_in_the_middle_of_a_write(tmp_path, whole, logistic, size):
    """The kernel ends the process after `size` of the update's 412 bytes."""
    cut = python(HERE / "cut_job.py", tmp_path, 6, size, check=False)
    assert cut.returncode == -signal.SIGXFSZ
    (partial,) = tmp_path.rglob(".*.partial.*")
    assert (partial.parent.name, partial.stat().st_size) == ("0006", size)
    assert partial.name.endswith("site-3.safetensors")
    assert go_on(logistic, tmp_path)[-1] == 14
    assert_same(tmp_path, whole)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(small_disk, whole, logistic):
    """The job stops with a message that says what to do; with space again it goes on to the same bytes."""
    reports = run(logistic.JOB, logistic.sites(), small_disk / "run", logistic.INITIAL)
    assert [next(reports).round for _ in range(3)] == [0, 1, 2]
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                break
    with pytest.raises(EngineError, match="The disk is full") as full:
        list(reports)
    assert "Free some space" in full.value.hint
    with pytest.raises(EngineError, match="The disk is full"):
        go_on(logistic, small_disk / "run")
    filler.unlink()
    assert go_on(logistic, small_disk / "run") == list(range(3, 15))
    assert_same(small_disk / "run", whole)
