"""Hosts on one machine: network namespaces on a bridge of their own, each with an address, and nothing else to reach.

Needs root and iproute2. Whatever runs in a host is ended with it, by its own process id.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

__all__ = ["Host", "make_hosts"]

NETWORK = "10.77.0"


@dataclass(frozen=True)
class Host:
    """A network namespace; `address` is its only one beside the loopback's."""

    namespace: str
    address: str
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, command: Sequence[str | Path], folder: Path, log: Path) -> None:
        """Start a process in the host; what it prints goes to `log`."""
        with log.open("ab") as file:
            process = subprocess.Popen(self._inside(command), cwd=folder, stdout=file, stderr=subprocess.STDOUT)
        self.started.append(process)

    def run(self, command: Sequence[str | Path], timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command in the host to its end."""
        return subprocess.run(self._inside(command), capture_output=True, text=True, timeout=timeout, check=False)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to all that runs in the host, and wait until it is gone."""
        for _ in range(100):
            found = subprocess.run(
                ["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=False
            ).stdout.split()
            if not found:
                for process in self.started:
                    process.wait(10)
                return
            for number_of_process in map(int, found):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number_of_process, number)
            time.sleep(0.1)
        raise TimeoutError(f"processes {found} in {self.namespace} do not end")

    def _inside(self, command: Sequence[str | Path]) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *map(str, command)]


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@contextlib.contextmanager
def make_hosts(names: Sequence[str]) -> Iterator[dict[str, Host]]:
    """Hosts by name, the first at 10.77.0.1; the bridge between them lies in a namespace too."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        if os.environ.get("CI"):
            pytest.fail("CI must run this as root with iproute2")
        pytest.skip("needs root and iproute2 to make network namespaces")
    mark = f"flame{os.getpid()}"
    switch = f"{mark}-switch"
    hosts = {name: Host(f"{mark}-{name}", f"{NETWORK}.{number}") for number, name in enumerate(names, 1)}
    made: list[str] = []
    try:
        for namespace in (switch, *(host.namespace for host in hosts.values())):
            _ip("netns", "add", namespace)
            made.append(namespace)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for number, host in enumerate(hosts.values(), 1):
            port = f"port{number}"
            _ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
            _ip("-n", switch, "link", "set", port, "master", "bridge")
            _ip("-n", switch, "link", "set", port, "up")
            _ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
            _ip("-n", host.namespace, "link", "set", "eth0", "up")
            _ip("-n", host.namespace, "link", "set", "lo", "up")
        yield hosts
    finally:
        for host in hosts.values():
            if host.namespace in made:
                host.kill()
        for namespace in reversed(made):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)
