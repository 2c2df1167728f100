"""Ledgers for tests: a site and a coordinator that exchange a few rounds."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flame.site.entries import Approved, Offered, Received, Sent, SentArray, digest
from flame.site.identity import Identity, make_identity
from flame.site.ledger import open_ledger

JOB = digest(b"job")


def ticking() -> Callable[[], datetime]:
    """A clock that moves by a second at each look."""
    times = iter(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second) for second in range(10_000))
    return lambda: next(times)


def sent(round: int, peer: str = "coordinator", content: bytes = b"update") -> Sent:
    arrays = (SentArray(name="head.weight", shape=(3, 4), norm=0.5),)
    message = digest(content + bytes([round]))
    return Sent(job=JOB, round=round, peer=peer, digest=message, bytes=96, samples=20, arrays=arrays)


def site_ledger(folder: Path, rounds: int = 3) -> Identity:
    """A site that was offered a job, approved it and sent its updates."""
    identity = make_identity(folder)
    with open_ledger(folder, "site-1", identity, ticking()) as ledger:
        ledger.append(Offered(job=JOB, task="response", peer="coordinator"))
        ledger.append(Approved(job=JOB, by="the physicist"))
        for round in range(rounds):
            ledger.append(sent(round))
    return identity


def coordinator_ledger(folder: Path, rounds: int = 3, head: tuple[int, str] | None = None) -> Identity:
    """A coordinator that received them; with the last it noted how long the site's ledger was."""
    identity = make_identity(folder)
    with open_ledger(folder, "coordinator", identity, ticking()) as ledger:
        for round in range(rounds):
            count, last = head if head and round == rounds - 1 else (None, None)
            message = sent(round).digest
            ledger.append(
                Received(
                    job=JOB, round=round, peer="site-1", digest=message, bytes=96, peer_count=count, peer_head=last
                )
            )
    return identity
