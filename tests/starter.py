"""Starts commands of FLAME's without waiting each time until Python has read torch and its like.

This module is run by a process that loads those libraries, but nothing of FLAME, and forks for each request. What runs
in the fork is what `python -m flame` runs: a process of its own that imports FLAME anew, with its own arguments,
folder, environment and streams. A command is not changed by libraries that are loaded before it asks for them; that
`flame --help` loads none has its own test.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import sys
import threading
import traceback
from typing import NoReturn

__all__ = ["LIBRARIES", "code_of", "end", "enter", "start"]

LIBRARIES = (
    "aiohttp.web",
    "cryptography.x509",
    "google.protobuf.json_format",
    "matplotlib.backends.backend_svg",
    "matplotlib.pyplot",
    "nibabel",
    "numba",
    "nvflare.fuel.flare_api.flare_api",
    "nvflare.private.fed.app.client.worker_process",
    "nvflare.private.fed.app.server.runner_process",
    "pydantic.dataclasses",
    "pydantic.json_schema",
    "rich.progress",
    "rich.table",
    "safetensors.numpy",
    "scipy.ndimage",
    "scipy.optimize",
    "torch",
    "typer.main",
)

CLONE_NEWNET = 0x40000000
"""Of Linux: the kind of namespace that is a network."""


def start() -> None:
    """Answer requests on the standard input; returns never, but runs a command in each fork."""
    for library in LIBRARIES:
        importlib.import_module(library)
    registry = importlib.import_module("numba.core.registry")  # what numba itself loads when it is first used
    registry.cpu_target.typing_context.refresh()
    registry.cpu_target.target_context.refresh()
    assert not [name for name in sys.modules if name.partition(".")[0] == "flame"]  # each command imports it anew
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever runs the tests
    servers = []
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0 and "serve" in request:
            importlib.import_module("tests.forks").serve(*request["serve"])
        if child == 0:
            _become(**request)
        if "serve" in request:
            servers.append(child)
            continue
        _tell(child)
        _tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    for server in servers:  # they end with this process's standard input
        os.waitpid(server, 0)


def _tell(number: int) -> None:
    print(number, flush=True)


def _become(
    arguments: list[str], folder: str, environment: dict[str, str], namespace: str | None, out: str, err: str
) -> NoReturn:
    """Run a command as `python -m flame` does, and end."""
    if namespace is not None:
        enter(os.open(f"/run/netns/{namespace}", os.O_RDONLY))
    for descriptor, name, mode in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
        file = os.open(name, mode)
        os.dup2(file, descriptor)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path[0] = folder
    sys.argv = ["flame", *arguments]
    end(code_of("flame"))


def enter(network: int) -> None:
    """Leave this process's network for an open namespace's, as `ip netns exec` does; `os.setns` needs Python 3.12."""
    if ctypes.CDLL(None, use_errno=True).setns(network, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(network)


def code_of(module: str) -> int:
    """Run a module as Python's main module; its exit code."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001 - Python's own border: whatever it is, it is shown
        traceback.print_exc()
        return 1
    return 0


def end(code: int) -> NoReturn:
    """End as Python ends, but do not clear the memory: all that the libraries hold would have to be copied for that."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
