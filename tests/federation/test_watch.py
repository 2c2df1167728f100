"""What a round waits for: what is worth a word after half a minute, and what is not."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flame.errors import DataError
from flame.federation.job import Limits
from flame.federation.watch import Awaited, Watch, advice, forget_watch, read_watch, write_watch

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = Limits(quorum=2, deadline_s=600)


def awaited(*states: str, seconds: float = 40.0) -> list[Awaited]:
    return [
        Awaited.model_validate({"site": f"site-{number}", "state": state, "seconds": seconds})
        for number, state in enumerate(states, 1)
    ]


def test_nothing_is_said_while_all_goes_well() -> None:
    assert advice(awaited("answered", "answered", "asked"), LIMITS, 40, usual_s=60) == ()
    assert advice(awaited("asked", "asked", seconds=20), LIMITS, 20, usual_s=None) == ()


@pytest.mark.parametrize(
    ("states", "seconds", "usual_s", "told"),
    [
        (("answered", "answered", "not connected"), 31, 60, "site-3 is not connected: see that `flame site start`"),
        (("answered", "answered", "lost"), 1, 60, "site-3 was connected and is not any more"),
        (("answered", "answered", "asked"), 121, 60, r"asked 121 s ago \(the longest round took 60 s\)"),
        (("answered", "answered", "asked"), 31, None, r"asked 31 s ago \(the first answer of this job\)"),
        (("answered", "answered", "refused"), 1, 60, "site-3 refused: `flame coordinator status` says why"),
        (
            ("answered", "asked", "asked"),
            31,
            60,
            "1 of the 2 answers that are needed are there; the round ends in 569 s",
        ),
        (("answered", "refused", "lost"), 5, 60, "2 answers are needed and 1 are possible"),
    ],
)
def test_what_is_stuck_is_said_within_a_minute_with_what_to_do(
    states: tuple[str, ...], seconds: float, usual_s: float | None, told: str
) -> None:
    found = advice(awaited(*states, seconds=seconds), LIMITS, seconds, usual_s)
    assert any(re.search(told, line) for line in found), found
    assert seconds < 60 or usual_s


def test_the_running_stage_is_kept_and_forgotten(tmp_path: Path) -> None:
    watch = Watch(
        at=NOW, round=3, stage="train", seconds=12.5, needed=2, sites=tuple(awaited("asked")), advice=("Wait.",)
    )
    assert read_watch(tmp_path, NOW) is None
    write_watch(tmp_path, watch)
    assert read_watch(tmp_path, NOW) == watch
    assert read_watch(tmp_path, NOW + timedelta(minutes=2)) is None  # a killed coordinator looks no more
    (tmp_path / "watch.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        read_watch(tmp_path, NOW)
    forget_watch(tmp_path)
    assert read_watch(tmp_path, NOW) is None
