"""Hosts on one machine: network namespaces on a bridge of their own, each with an address, and nothing else to reach.

Needs root and iproute2. Whatever runs in a host is ended with it, by its own process id.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.command import flame

__all__ = ["Host", "make_hosts"]

NETWORK = "10.77.0"


@dataclass(frozen=True)
class Host:
    """A network namespace; `address` is its only one beside the loopback's.

    `port` is where its line ends, in the namespace `switch`.
    """

    namespace: str
    address: str
    switch: str
    port: str
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(
        self, command: Sequence[str | Path], folder: Path, log: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process in the host; what it prints goes to `log`. `environment` is added to this process's own."""
        with log.open("ab") as file:
            process = subprocess.Popen(
                self._inside(command),
                cwd=folder,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )
        self.started.append(process)
        return process

    def run(self, command: Sequence[str | Path], timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a command in the host to its end."""
        return subprocess.run(self._inside(command), capture_output=True, text=True, timeout=timeout, check=False)

    def flame(self, *words: str | Path, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a command of FLAME's in the host to its end."""
        return flame(*words, timeout=timeout, namespace=self.namespace)

    def processes(self) -> list[int]:
        """Ids of all that runs in the host."""
        found = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=False)
        return [int(word) for word in found.stdout.split()]

    def send_signal(self, number: int, spare: Collection[int] = ()) -> None:
        """Send a signal to all that runs in the host, but to some processes; to those too that start meanwhile."""
        done = set(spare)
        while new := set(self.processes()) - done:
            for process in new:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, number)
            done |= new

    def kill(self, number: int = signal.SIGKILL, spare: Collection[int] = ()) -> None:
        """Send a signal to all that runs in the host, but to some processes, and wait until it is gone."""
        for _ in range(600):
            if not set(self.processes()) - set(spare):
                for process in self.started:
                    if process.pid not in spare:
                        process.wait(60)
                return
            self.send_signal(number, spare)
            time.sleep(0.1)
        raise TimeoutError(f"processes {self.processes()} in {self.namespace} do not end")

    def limit(self, rate: str) -> None:
        """Let the host's line carry no more than `rate`, as `tc` writes it, in each direction."""
        for namespace, device in ((self.namespace, "eth0"), (self.switch, self.port)):
            words = ["qdisc", "add", "dev", device, "root", "tbf", "rate", rate, "burst", "64kb", "latency", "200ms"]
            subprocess.run(["tc", "-n", namespace, *words], check=True, capture_output=True, text=True)

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
    hosts = {
        name: Host(f"{mark}-{name}", f"{NETWORK}.{number}", switch, f"port{number}")
        for number, name in enumerate(names, 1)
    }
    made: list[str] = []
    try:
        for namespace in (switch, *(host.namespace for host in hosts.values())):
            _ip("netns", "add", namespace)
            made.append(namespace)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for host in hosts.values():
            _ip("-n", switch, "link", "add", host.port, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
            _ip("-n", switch, "link", "set", host.port, "master", "bridge")
            _ip("-n", switch, "link", "set", host.port, "up")
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
