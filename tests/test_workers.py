"""Work over processes: same results, events in hand, errors and killed workers told."""

import os
import signal

import pytest

from flame import workers
from flame.errors import EngineError
from flame.workers import Emit


def _square(item: int, emit: Emit) -> int:
    emit(("begun", item))
    return item * item


def _die(item: int, _: Emit) -> int:
    if item == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def _raise(item: int, _: Emit) -> int:
    raise EngineError(f"item {item} is bad", "Leave it out.")


@pytest.mark.parametrize("processes", [1, 2])
def test_results_keep_the_order_and_every_event_arrives(processes: int) -> None:
    events: list[tuple[str, int]] = []
    assert workers.run(_square, [3, 1, 2], processes, events.append) == [9, 1, 4]
    assert sorted(events) == [("begun", 1), ("begun", 2), ("begun", 3)]


def test_a_killed_worker_is_told_with_what_to_do() -> None:
    with pytest.raises(EngineError, match="ended from outside") as caught:
        workers.run(_die, [0, 1, 2, 3], 2)
    assert "fewer processes" in caught.value.hint


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_in_a_worker_reaches_the_caller_as_it_was(processes: int) -> None:
    with pytest.raises(EngineError, match="item 5 is bad") as caught:
        workers.run(_raise, [5, 5], processes)
    assert caught.value.hint == "Leave it out."
