"""How instances come in from an archive: each is handed on in memory, so that nothing identified touches the disk.

An archive may hold half of a study, send twice, or go away in the middle. What counts is what was taken in: after each
attempt the archive's own list of a series is compared with it, and what is missing is asked for again.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol, TypeVar

from pydicom.dataset import Dataset

from flame.errors import EngineError

__all__ = ["MODALITIES", "Archive", "Away", "Desk", "Patience", "Received", "Series", "Show", "Wanted", "receive"]

MODALITIES = ("MR", "CT", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD", "REG", "SEG")
"""Modalities of series (0008,0060) that the radiotherapy of a brain leaves behind; others are not asked for."""

_LONGEST_PAUSE_S = 30.0

Answer = TypeVar("Answer")
Show = Callable[[int, int], None]
"""Told how many instances are here and how many the archive has, as far as it said so."""


class Away(Exception):
    """An archive did not answer, or broke off; it may come back. The text tells nothing of a patient."""


class Desk(Protocol):
    """Where instances are handed in. Handing one in twice is allowed and changes nothing."""

    def knows(self, sop_uid: str) -> bool:
        """Whether an instance (by its original UID) was handed in before, and was kept or refused."""

    def take(self, dataset: Dataset) -> bool:
        """Take one instance; False if that brought nothing new. Raises: EngineError: if the disk is full."""


@dataclass(frozen=True)
class Wanted:
    """What to ask an archive for.

    Attributes:
        patients: original ids, never shown; empty for everybody.
        since, until: first and last date of a study; None leaves that side open.
        modalities: of series, in the words of DICOM.
    """

    patients: tuple[str, ...] = field(default=(), repr=False)
    since: date | None = None
    until: date | None = None
    modalities: tuple[str, ...] = MODALITIES

    @property
    def dates(self) -> str:
        """The range of study dates as DICOM writes it; empty if both sides are open."""
        first, last = (f"{day:%Y%m%d}" if day else "" for day in (self.since, self.until))
        return f"{first}-{last}" if first or last else ""


@dataclass(frozen=True)
class Series:
    """A series that an archive holds; `count` is how many instances it says there are, None if it does not say."""

    study: str = field(repr=False)
    uid: str = field(repr=False)
    modality: str
    count: int | None = None


class Archive(Protocol):
    """What a hospital's archive can be asked; each question raises `Away` where there is no whole answer."""

    def series(self, wanted: Wanted) -> list[Series]:
        """All series that match, in an order that stays the same."""

    def instances(self, series: Series) -> list[str]:
        """UIDs of the instances of a series; empty if the archive cannot list them."""

    def fetch(self, series: Series, instances: Sequence[str], desk: Desk) -> None:
        """Hand the named instances in at the desk, or the whole series if none is named.

        Ends well even if the archive says that it could not send some of them. Raises: EngineError: if the desk cannot
        go on, or the archive does not know whom to send to.
        """


@dataclass(frozen=True)
class Patience:
    """How long to bear with an archive.

    Attributes:
        total_s: longest time without a new instance or answer before giving up [s].
        first_pause_s: pause before the first new attempt [s]; each further one is twice as long, at most 30 s.
        attempts: how often a series is asked for while the archive answers but does not send all of it.
    """

    total_s: float = 300.0
    first_pause_s: float = 1.0
    attempts: int = 3


@dataclass
class Received:
    """What came of it.

    Attributes:
        series: how many were asked for.
        taken: instances that were new.
        known: instances that had been taken in before.
        missing: instances that the archive has but did not send.
        incomplete: for each series of which some did not come: its number in the archive's order, and how many.
    """

    series: int = 0
    taken: int = 0
    known: int = 0
    missing: int = 0
    incomplete: list[str] = field(default_factory=list)


def receive(
    archive: Archive,
    wanted: Wanted,
    desk: Desk,
    patience: Patience | None = None,
    show: Show = lambda _here, _there: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Received:
    """Take in all that is wanted and not known yet, however often the archive goes away meanwhile.

    Args:
        archive: whom to ask.
        wanted: what to ask for.
        desk: where instances are handed in.
        patience: how long to bear with an archive that is away; None for five minutes.
        show: progress.
        sleep: passes a pause [s].

    A series that the archive breaks off for as long as that, while it answers questions, is left out and told, and the
    next is asked for; two of them in a row count as an archive that is away.

    Raises: EngineError: if the archive stays away; starting again goes on from there.
    """
    reception = _Reception(archive, desk, patience or Patience(), show, sleep)
    found = reception.persist(lambda: archive.series(wanted))
    reception.expected = sum(series.count or 0 for series in found)
    for number, series in enumerate(found, 1):
        reception.take_series(number, series)
    return reception.received


class _Reception:
    """One run of `receive`: a desk that counts, and a clock for the archive's absence."""

    def __init__(
        self, archive: Archive, desk: Desk, patience: Patience, show: Show, sleep: Callable[[float], None]
    ) -> None:
        self.archive, self.desk, self.patience, self.show, self.sleep = archive, desk, patience, show, sleep
        self.received, self.expected = Received(), 0
        self._gave_up = False
        self._one_at_a_time = threading.Lock()
        self._came_back()

    def knows(self, sop_uid: str) -> bool:
        return self.desk.knows(sop_uid)

    def take(self, dataset: Dataset) -> bool:
        with self._one_at_a_time:  # an archive may send over several associations at once
            new = self.desk.take(dataset)
            if new:
                self.received.taken += 1
                self._gave_up = False
                self._came_back()
                self._tell()
        return new

    def take_series(self, number: int, series: Series) -> None:
        """Ask for a series until all that the archive lists of it was taken in, or it does not send more."""
        listed = self.persist(lambda: self.archive.instances(series))
        missing = [uid for uid in listed if not self.knows(uid)]
        self.received.series += 1
        self.received.known += len(listed) - len(missing)
        before, attempts = self.received.taken, 0
        while (missing or not listed) and attempts < self.patience.attempts:
            asked = missing if len(missing) < len(listed) else []
            try:
                self.archive.fetch(series, asked, self)
            except Away as away:
                try:
                    self._pause(away)
                except EngineError:
                    if self._gave_up or not self._answers(series):
                        raise
                    self._gave_up = True
                    self._came_back()
                    attempts = self.patience.attempts
            else:
                attempts += 1
                listed = self.persist(lambda: self.archive.instances(series))  # it may have grown since
                if not listed:
                    break
            missing = [uid for uid in listed if not self.knows(uid)]
            if missing and 0 < attempts < self.patience.attempts:
                self.sleep(self.patience.first_pause_s)
        there = len(listed) or max(series.count or 0, self.received.taken - before)
        short = len(missing) if listed else there - (self.received.taken - before)
        if short:
            self.received.missing += short
            self.received.incomplete.append(f"series {number} ({series.modality}): {short} of {there} did not come")
        self._tell()

    def persist(self, question: Callable[[], Answer]) -> Answer:
        """The answer to a question, asked again after growing pauses while the archive is away."""
        while True:
            try:
                answer = question()
            except Away as away:
                self._pause(away)
            else:
                self._came_back()
                return answer

    def _answers(self, series: Series) -> bool:
        try:
            self.archive.instances(series)
        except Away:
            return False
        return True

    def _tell(self) -> None:
        here = self.received.taken + self.received.known
        self.show(here, max(self.expected, here))

    def _came_back(self) -> None:
        self._gone_since: float | None = None
        self._pause_s = self.patience.first_pause_s

    def _pause(self, away: Away) -> None:
        self._gone_since = self._gone_since or time.monotonic()
        if time.monotonic() - self._gone_since + self._pause_s > self.patience.total_s:
            raise EngineError(
                f"The archive did not come back within {self.patience.total_s:g} s: {away}",
                "See that it runs and can be reached, then start the same command again; it goes on from there.",
            ) from None
        self.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
