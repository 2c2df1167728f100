"""Looks for what may not be readable in what passed on a line."""

from collections.abc import Iterable

import numpy as np
from tests.faults.capture import Packet

__all__ = ["float_runs", "streams", "words"]

VALUES, RUN = 8, 32
"""As many values in a row of an array, and bytes, may not be on the line."""


def streams(packets: Iterable[Packet]) -> list[bytes]:
    """What each TCP connection carried, once for each direction, in the order of the bytes sent."""
    flows: dict[tuple[str, int, str, int], dict[int, bytes]] = {}
    for packet in packets:
        if packet.content and packet.source:
            parts = flows.setdefault((packet.source, packet.source_port, packet.target, packet.target_port), {})
            kept = parts.get(packet.number, b"")
            parts[packet.number] = max(kept, packet.content, key=len)  # sent once more, perhaps with more behind it
    return [_joined(parts) for parts in flows.values()]


def _joined(parts: dict[int, bytes]) -> bytes:
    first = next(iter(parts))  # numbers start anywhere and go round at 2**32
    return b"".join(parts[number] for number in sorted(parts, key=lambda number: (number - first + 2**31) % 2**32))


def words(content: Iterable[bytes], needles: Iterable[str]) -> set[str]:
    """Which of the needles can be read."""
    whole = b"\n".join(content)
    return {needle for needle in needles if needle.encode() in whole}


def float_runs(content: Iterable[bytes], arrays: Iterable[np.ndarray]) -> int:
    """How often 32 bytes of an array are found, from any eighth value of it on: 64 bytes in a row hold such a run.

    Runs that say nothing, for they begin with two equal values, are left out.
    """
    runs = set()
    for array in arrays:
        values = np.ascontiguousarray(array, np.float32).reshape(-1)
        values = values[: len(values) // VALUES * VALUES].reshape(-1, VALUES)
        runs.update(row.tobytes() for row in values[values[:, 0] != values[:, 1]])
    keys = np.unique(np.frombuffer(b"".join(run[:8] for run in runs), np.uint64))
    return sum(_count(one, keys, runs) for one in content)


def _count(content: bytes, keys: np.ndarray, runs: set[bytes]) -> int:
    """Look at every byte: first whether the 24 lowest bits of eight bytes begin any run, which few others do."""
    likely, found = np.zeros(2**24, bool), 0
    likely[keys & 0xFFFFFF] = True
    for shift in range(8):
        size = (len(content) - shift) // 8
        if size > 0:
            eights = np.frombuffer(content, np.uint64, size, shift)
            places = np.flatnonzero(likely[eights & 0xFFFFFF]) * 8 + shift
            found += sum(content[place : place + RUN] in runs for place in places.tolist())
    return found
