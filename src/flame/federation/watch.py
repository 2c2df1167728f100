"""What a running round waits for, kept where people look, and in words what to do about what is stuck."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field

from flame.errors import DataError
from flame.federation.job import Limits
from flame.files import write_text
from flame.settings import Settings

__all__ = ["Awaited", "Watch", "advice", "forget_watch", "read_watch", "write_watch"]

PATIENCE_S = 30.0
"""How long a site may be silent before it is worth a word, where nothing is known of how long it takes [s]."""

LONGER_THAN_USUAL = 2.0
"""A site that takes this many times as long as the longest round before is worth a word."""

_FILE, _STALE = "watch.json", timedelta(minutes=1)


class Awaited(Settings):
    """A site in the running stage of a round, and since when it is in this state [s]."""

    site: str
    state: Literal["not connected", "asked", "answered", "refused", "lost"]
    seconds: float = Field(ge=0)


class Watch(Settings):
    """The running stage of a round.

    Args:
        at: when this was written, UTC.
        round: number of the round, from 0.
        stage: what the sites were asked, see `stages`.
        seconds: how long the stage has been open.
        needed: answers without which it can't be closed.
        sites: all that take part, in name order.
        advice: what is stuck and what to do; empty while all goes well.
    """

    at: datetime
    round: int = Field(ge=0)
    stage: str
    seconds: float = Field(ge=0)
    needed: int = Field(ge=1)
    sites: tuple[Awaited, ...]
    advice: tuple[str, ...] = ()


def advice(sites: Sequence[Awaited], limits: Limits, seconds: float, usual_s: float | None) -> tuple[str, ...]:
    """What is stuck, and what to do.

    Args:
        sites: of the stage.
        limits: of the stage.
        seconds: how long the stage has been open.
        usual_s: the longest round before this one [s]; None in the first.
    """
    return tuple(_words(sites, limits, seconds, usual_s))


def _words(sites: Sequence[Awaited], limits: Limits, seconds: float, usual_s: float | None) -> Iterator[str]:
    for one in sites:
        if one.state == "not connected" and one.seconds >= PATIENCE_S:
            yield f"{one.site} is not connected: see that `flame site start` runs there; `flame doctor` finds why not"
        if one.state == "lost":
            yield f"{one.site} was connected and is not any more: look at its log; it takes part again when it is back"
        if one.state == "asked" and one.seconds >= max(PATIENCE_S, LONGER_THAN_USUAL * (usual_s or 0.0)):
            known = "the first answer of this job" if usual_s is None else f"the longest round took {usual_s:.0f} s"
            yield f"{one.site} was asked {one.seconds:.0f} s ago ({known}): see whether its training process is busy"
        if one.state == "refused":
            yield f"{one.site} refused: `flame coordinator status` says why"
    there = sum(one.state == "answered" for one in sites)
    possible = sum(one.state in ("answered", "asked", "not connected") for one in sites)
    if possible < limits.quorum:
        yield f"{limits.quorum} answers are needed and {possible} are possible: the round will end without a result"
    elif there < limits.quorum and seconds >= PATIENCE_S:
        left = limits.deadline_s - seconds
        yield f"{there} of the {limits.quorum} answers that are needed are there; the round ends in {left:.0f} s"


def write_watch(folder: Path, watch: Watch) -> None:
    """Keep the running stage in a job's folder."""
    write_text(folder / _FILE, watch.model_dump_json(indent=1) + "\n")


def forget_watch(folder: Path) -> None:
    """Nothing is running any more."""
    (folder / _FILE).unlink(missing_ok=True)


def read_watch(folder: Path, now: datetime) -> Watch | None:
    """The stage that is running, None if there is none, or if nobody has looked for a minute, as after a kill.

    Raises: DataError: if the file is damaged.
    """
    path = folder / _FILE
    try:
        watch = Watch.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DataError(f"{path} is damaged", "Delete it; a running job writes it again.") from error
    return watch if now - watch.at <= _STALE else None
