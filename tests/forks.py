"""Python processes as forks of one that has read torch and its like, for processes that FLAME starts by itself.

The processes of a study, and those that train, are `python -m MODULE`, and take seconds to read their libraries. Where
one is started, `proxy.py` stands for it, and it runs in a fork: with the arguments, folder, environment, network and
streams of its own, and with none of FLAME's modules read before. Whoever ends the proxy ends the fork.
"""

import array
import contextlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

from tests.starter import code_of, end, enter

__all__ = ["serve"]

STREAMS = (0, 1, 2)


def serve(path: str, executable: str) -> NoReturn:
    """Fork for each proxy that connects, until the standard input is closed at its other end.

    Args:
        path: of the socket to listen at; it is there as soon as it answers.
        executable: what a fork takes for its Python: whatever it starts comes here too.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever reads it waits for its end
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{path}.new")
    listener.listen(64)
    Path(f"{path}.new").rename(path)
    poll = select.poll()
    poll.register(0, 0)  # says that the other end is closed, and nothing else
    poll.register(listener, select.POLLIN)
    while True:
        found = [descriptor for descriptor, _ in poll.poll()]
        if 0 in found:
            _reap(0)
            os._exit(0)
        _reap(os.WNOHANG)
        proxy, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _mind(proxy, executable)
        proxy.close()


def _reap(how: int) -> None:
    """Take note of minders that have ended; without `os.WNOHANG` wait for all."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, how)[0]:
            pass


def _mind(proxy: socket.socket, executable: str) -> NoReturn:
    """Run in a fork what a proxy stands for, tell it how that ended, and end it when the proxy is gone."""
    process = os.fork()
    if process == 0:
        _become(proxy, executable)
    poll = select.poll()
    poll.register(0, 0)
    poll.register(proxy, select.POLLRDHUP)
    watched = os.pidfd_open(process)
    poll.register(watched, select.POLLIN)
    found = [descriptor for descriptor, _ in poll.poll()]
    if watched not in found:
        os.kill(process, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if watched in found and proxy.fileno() not in found:
        proxy.sendall(str(code).encode())
    os._exit(0)


def _become(proxy: socket.socket, executable: str) -> NoReturn:
    """Run a module as Python does in a process of its own, and end."""
    os.setsid()
    request, descriptors = _received(proxy)
    proxy.close()
    *streams, network = descriptors
    if not os.path.samestat(os.fstat(network), Path("/proc/self/ns/net").stat()):  # only root may leave its own
        enter(network)
    for stream, descriptor in zip(STREAMS, streams, strict=True):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    environment, options, (module, *arguments) = request["environment"], request["options"], request["words"]
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    found = [one for one in environment.get("PYTHONPATH", "").split(os.pathsep) if one]
    is_safe = "-P" in options or environment.get("PYTHONSAFEPATH")
    sys.path[:1] = found if is_safe else [request["folder"], *found]
    if "-u" in options:
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(write_through=True)  # type: ignore[union-attr]
    sys.executable, sys.argv = executable, [module, *arguments]
    end(code_of(module))


def _received(proxy: socket.socket) -> tuple[dict, list[int]]:
    """What a proxy stands for, and its standard streams and network."""
    descriptors = array.array("i")
    content, ancillary, _, _ = proxy.recvmsg(65536, socket.CMSG_SPACE(4 * descriptors.itemsize))
    for _, _, found in ancillary:
        descriptors.frombytes(found)
    while not content.endswith(b"\n"):
        more = proxy.recv(65536)
        if not more:
            os._exit(1)  # the proxy is gone
        content += more
    return json.loads(content), list(descriptors)
