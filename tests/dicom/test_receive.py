"""The bookkeeping of a reception, against an archive whose failures are written down beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import pytest
from pydicom.dataset import Dataset
from tests.dicom.desks import Counting

from flame.dicom.receive import Away, Patience, Series, Wanted, receive
from flame.errors import EngineError


@dataclass
class Written:
    """Holds series of named instances; `events` are taken one by one: `away`, or how many instances to send."""

    held: dict[str, list[str]]
    events: list[str | int] = field(default_factory=list)
    lists: bool = True
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def series(self, wanted: Wanted) -> list[Series]:
        assert isinstance(wanted, Wanted)
        self._away()
        return [Series("study", uid, "MR", len(held)) for uid, held in self.held.items()]

    def instances(self, series: Series) -> list[str]:
        return self.held[series.uid] if self.lists else []

    def fetch(self, series: Series, instances: Sequence[str], desk) -> None:
        self.asked.append(tuple(instances))
        self._away()
        names = list(instances or self.held[series.uid])
        count = self.events.pop(0) if self.events else len(names)
        for name in names[: int(count)]:
            one = Dataset()
            one.SOPInstanceUID, one.PixelData = name, name.encode()
            desk.take(one)
        self._away()

    def _away(self) -> None:
        if self.events[:1] == ["away"]:
            self.events.pop(0)
            raise Away("it broke off")


def names(count: int, first: int = 1) -> list[str]:
    return [f"1.2.{number}" for number in range(first, first + count)]


def test_an_archive_that_breaks_off_is_asked_for_what_is_missing_only():
    archive = Written({"a": names(5)}, [2, "away"])
    pauses: list[float] = []
    desk = Counting()
    received = receive(archive, Wanted(), desk, sleep=pauses.append)
    assert archive.asked == [(), tuple(names(5)[2:])]
    assert set(desk.came.values()) == {1}
    assert (received.taken, received.missing) == (5, 0)
    assert pauses[0] == 1.0


def test_pauses_grow_while_nothing_comes_and_start_anew_when_something_did():
    archive = Written({"a": names(5)}, ["away", "away", "away", 1, "away", 4])
    pauses: list[float] = []
    receive(archive, Wanted(), Counting(), sleep=pauses.append)
    assert pauses == [1.0, 2.0, 4.0, 1.0]  # before the question; then one came, and it broke off


def test_it_gives_up_when_the_patience_is_over_and_says_how_to_go_on():
    archive = Written({"a": names(5)}, ["away"] * 100)
    pauses: list[float] = []
    with pytest.raises(EngineError, match="did not come back within 5 s: it broke off") as raised:
        receive(archive, Wanted(), Counting(), Patience(5.0), sleep=pauses.append)
    assert "goes on from there" in raised.value.hint
    assert sum(pauses) < 5.0 + 30.0


def test_what_never_comes_is_asked_for_three_times_and_the_rest_still_comes():
    archive = Written({"a": names(5), "b": names(3, first=11)}, [4, 0, 0])
    desk = Counting()
    received = receive(archive, Wanted(), desk, sleep=lambda _: None)
    assert archive.asked == [(), ("1.2.5",), ("1.2.5",), ()]
    assert (received.series, received.taken, received.missing) == (2, 7, 1)
    assert received.incomplete == ["series 1 (MR): 1 of 5 did not come"]


class Stubborn(Written):
    """Breaks off every transfer of some series, though it answers every question."""

    def fetch(self, series, instances, desk):
        if series.uid in self.events:
            one = Dataset()
            one.SOPInstanceUID, one.PixelData = self.held[series.uid][0], b""
            desk.take(one)
            raise Away("it broke off")
        Written(self.held).fetch(series, instances, desk)


def test_one_series_that_always_breaks_off_does_not_keep_the_next_out():
    archive, desk = Stubborn({"a": names(5), "b": names(3, first=11)}, ["a"]), Counting()
    received = receive(archive, Wanted(), desk, Patience(5.0), sleep=lambda _: None)
    assert (received.series, received.taken, received.missing) == (2, 4, 4)
    assert received.incomplete == ["series 1 (MR): 4 of 5 did not come"]


def test_an_archive_that_always_breaks_off_comes_to_an_end():
    class Empty(Stubborn):
        def fetch(self, *_):
            raise Away("it broke off")

    with pytest.raises(EngineError, match="did not come back within 5 s"):
        receive(
            Empty({"a": names(5), "b": names(3, first=11)}), Wanted(), Counting(), Patience(5.0), sleep=lambda _: None
        )


def test_an_archive_that_cannot_list_instances_is_measured_by_its_own_count():
    whole = receive(Written({"a": names(5)}, lists=False), Wanted(), Counting(), sleep=lambda _: None)
    half = receive(Written({"a": names(5)}, [3], lists=False), Wanted(), Counting(), sleep=lambda _: None)
    assert (whole.taken, whole.missing, whole.incomplete) == (5, 0, [])
    assert (half.taken, half.missing, half.incomplete) == (3, 2, ["series 1 (MR): 2 of 5 did not come"])


def test_progress_counts_what_is_here_against_what_there_is():
    told: list[tuple[int, int]] = []
    desk = Counting(dict.fromkeys(names(2), b""))
    receive(Written({"a": names(4)}), Wanted(), desk, show=lambda here, there: told.append((here, there)))
    assert told == [(3, 4), (4, 4), (4, 4)]


@pytest.mark.parametrize(
    ("since", "until", "text"),
    [
        (None, None, ""),
        (date(2024, 1, 2), None, "20240102-"),
        (None, date(2024, 1, 2), "-20240102"),
        (date(2024, 1, 2), date(2024, 3, 4), "20240102-20240304"),
    ],
    ids=["open", "from", "until", "both"],
)
def test_dates_are_written_as_dicom_has_them(since, until, text):
    assert Wanted(since=since, until=until).dates == text


def test_no_original_identifier_shows_in_what_is_printed():
    assert "4711" not in repr(Wanted(patients=("4711",)))
    assert "1.2.3" not in repr(Series("1.2.3", "1.2.3.4", "MR", 2))
