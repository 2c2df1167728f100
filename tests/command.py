"""FLAME's command line as a user runs it."""

import atexit
import contextlib
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["flame", "warm_python"]

ROOT = Path(__file__).parents[1]


def flame(
    *arguments: str | Path,
    timeout: float = 1800,
    namespace: str | None = None,
    until: Callable[[], bool] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a process of its own.

    Args:
        arguments: its words.
        timeout: how long it may take [s].
        namespace: names a network other than this machine's.
        until: when this holds, the command gets Ctrl-C.
    """
    command = ["flame", *map(str, arguments)]
    starter = _starter()
    assert starter.stdin is not None
    with tempfile.TemporaryDirectory() as folder:
        streams = {name: Path(folder) / name for name in ("out", "err")}
        for path in streams.values():
            path.touch()
        request = {
            "arguments": command[1:],
            "folder": str(Path.cwd()),
            "environment": dict(os.environ),
            "namespace": namespace,
            **{name: str(path) for name, path in streams.items()},
        }
        starter.stdin.write(json.dumps(request).encode() + b"\n")
        starter.stdin.flush()
        process = _answer(starter)
        assert starter.stdout is not None
        end = time.monotonic() + timeout
        while until is not None and not select.select([starter.stdout], [], [], 0.05)[0] and time.monotonic() < end:
            if until():
                os.kill(process, signal.SIGINT)
                break
        in_time = select.select([starter.stdout], [], [], max(0.0, end - time.monotonic()))[0]
        if not in_time:
            with contextlib.suppress(ProcessLookupError):  # it ended at this moment
                os.kill(process, signal.SIGKILL)
        code = _answer(starter)
        out, err = (path.read_text() for path in streams.values())
    if not in_time:
        raise subprocess.TimeoutExpired(command, timeout, out, err)
    return subprocess.CompletedProcess(command, code, out, err)


@functools.cache
def warm_python() -> Path:
    """A program that runs `-m MODULE` as Python does, in a fork that has read the libraries before; see `forks.py`.

    Where a library is put before the system's, it is Python itself: a fork has read those already.
    """
    folder = Path(tempfile.mkdtemp(prefix="flame-"))
    atexit.register(shutil.rmtree, folder)
    program, place = folder / "python", folder / "socket"
    proxy = Path(__file__).with_name("proxy.py")
    program.write_text(
        f'#!/bin/sh\n[ -n "$LD_PRELOAD" ] && exec "{sys.executable}" "$@"\n'
        f'exec "{sys.executable}" -IS "{proxy}" "{place}" "$@"\n'
    )
    program.chmod(0o700)
    starter = _starter()
    assert starter.stdin is not None
    starter.stdin.write(json.dumps({"serve": [str(place), str(program)]}).encode() + b"\n")
    end = time.monotonic() + 600
    while not place.exists():
        assert time.monotonic() < end, "no process answers that forks"
        time.sleep(0.05)
    return program


@functools.cache
def _starter() -> subprocess.Popen[bytes]:
    """The process that starts commands; see its module.

    Without a buffer here: a line that waits in one is not seen by `select`.
    """
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.starter import start; del sys.path[0]; start()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    atexit.register(process.communicate)
    return process


def _answer(starter: subprocess.Popen[bytes]) -> int:
    assert starter.stdout is not None
    line = starter.stdout.readline()
    assert line, "the process that starts commands has ended"
    return int(line)
