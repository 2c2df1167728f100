"""A site's line to the coordinator: narrow, slow, and cut on demand. The site's kit is the one that was handed out."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.scenarios.deployment import PORT, Deployment, wait

__all__ = ["Line", "lay_line"]

BEHIND = "10.77.0.101"
"""A second address of the coordinator, which only the relay knows."""


@dataclass(frozen=True)
class Line:
    """A relay in a site's host, where it answers at the coordinator's address; `process` is its process id."""

    folder: Path
    process: int

    def carried(self) -> list[dict[str, float]]:
        """What the line had carried, at moments a tenth of a second apart."""
        text = (self.folder / "carried.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def cuts(self) -> int:
        """How often it was cut."""
        return int(self.carried()[-1]["cuts"])

    def cut(self, way: Literal["up", "down"], after: int) -> None:
        """Reset all connections when that many more bytes have gone up to the coordinator, or come down from it."""
        partial = self.folder / "partial"
        partial.write_text(f"{way} {after}")
        partial.rename(self.folder / "cut")


def lay_line(deployment: Deployment, site: str, rate: str, delay_s: float) -> Line:
    """Put a line of `rate` (as `tc` writes it) and a delay in each direction between a site and the coordinator."""
    near, far = deployment.hosts[site], deployment.hosts["coordinator"]
    folder = deployment.folder / f"line-of-{site}"
    folder.mkdir()
    # The relay takes the coordinator's address inside the site's host, which must not tell others that it has it.
    for host, words in (
        (far, ["ip", "address", "add", f"{BEHIND}/24", "dev", "eth0"]),
        (near, ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore"]),
        (near, ["ip", "address", "add", f"{far.address}/32", "dev", "lo"]),
    ):
        done = host.run(words)
        assert done.returncode == 0, done.stderr
    near.limit(rate)
    relay = Path(__file__).with_name("relay.py")
    ends = [f"{far.address}:{PORT}", f"{BEHIND}:{PORT}"]
    command = [sys.executable, relay, *ends, str(delay_s), folder]
    process = near.start(command, folder, folder / "relay.log")
    wait((folder / "carried.jsonl").exists, 300, f"the relay runs; see {folder}/relay.log")
    return Line(folder, process.pid)
