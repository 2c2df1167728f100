"""Stands for `python -m MODULE`, which runs in a fork, see `forks.py`; with other words it becomes Python itself.

PYTHON -IS proxy.py SOCKET WORDS    ends as what it stands for ends, or when the process that started it is gone
"""

import array
import json
import os
import select
import signal
import socket
import sys

OPTIONS = ("-u", "-P")


def main(path, words):
    options = []
    while words and words[0] in OPTIONS:
        options.append(words.pop(0))
    if words[:1] != ["-m"]:
        os.execv(sys.executable, [sys.executable, *options, *words])
    request = {
        "options": options,
        "words": words[1:],
        "folder": os.getcwd(),  # noqa: PTH109  pathlib takes longer than all of this
        "environment": dict(os.environ),
    }
    parent = os.getppid()
    gone = os.pidfd_open(parent)
    if os.getppid() != parent:
        sys.exit(1)
    network = os.open("/proc/self/ns/net", os.O_RDONLY)
    fork = socket.socket(socket.AF_UNIX)
    fork.connect(path)
    content = json.dumps(request).encode() + b"\n"
    descriptors = array.array("i", (0, 1, 2, network))
    sent = fork.sendmsg([content], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
    fork.sendall(content[sent:])
    poll = select.poll()
    poll.register(fork, select.POLLIN)
    poll.register(gone, select.POLLIN)
    found = [descriptor for descriptor, _ in poll.poll()]
    told = fork.recv(16) if fork.fileno() in found else b""
    code = int(told or -signal.SIGKILL)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


main(sys.argv[1], sys.argv[2:])
