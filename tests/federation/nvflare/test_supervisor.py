"""A job that ends before its last round is handed in again, until its model is there or nothing gets on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.federation.logistic import INITIAL, JOB, sites

from flame.errors import EngineError
from flame.federation import embedded
from flame.federation.folder import history
from flame.federation.nvflare.runs import note_failure, note_halt, run_folder
from flame.federation.nvflare.supervisor import PAUSES_S, Engine, supervise

THREE = JOB.model_copy(update={"rounds": 3})


@dataclass
class Coordinator:
    """A coordinator whose jobs end after so many rounds, and which is away now and then."""

    kit: Path
    rounds: list[int]
    away: list[bool] = field(default_factory=list)
    handed_in: int = 0
    slept: list[float] = field(default_factory=list)

    def submit(self) -> str:
        self.handed_in += 1
        folder = run_folder(self.kit, THREE)
        rounds = self.rounds.pop(0)
        reports = embedded.run(THREE, sites(), folder, INITIAL)
        for _ in range(rounds):
            next(reports)
        if rounds == 0:
            folder.mkdir(parents=True, exist_ok=True)
            note_failure(folder, "Round 0: 1 valid updates")
        return "7"

    def is_active(self) -> bool:
        if self.away and self.away.pop(0):
            raise EngineError("The coordinator does not answer", "Start it.")
        return False

    def engine(self) -> Engine:
        return Engine(self.submit, self.is_active)


@pytest.fixture
def coordinator(tmp_path: Path) -> Callable[..., Coordinator]:
    return lambda *rounds, **fields: Coordinator(tmp_path, list(rounds), **fields)


def test_a_job_is_handed_in_until_its_model_is_there(coordinator: Callable[..., Coordinator]) -> None:
    found = coordinator(1, 0, 2, away=[False, True, False])
    supervise(found.kit, THREE, found.engine(), sleep=found.slept.append)
    assert found.handed_in == 3
    assert len(history(run_folder(found.kit, THREE))) == 3
    assert PAUSES_S[0] in found.slept  # after an end with a closed round
    assert PAUSES_S[1] in found.slept  # and after one without


def test_a_job_that_is_done_is_left_alone(coordinator: Callable[..., Coordinator]) -> None:
    found = coordinator(3)
    found.submit()
    supervise(found.kit, THREE, found.engine(), sleep=found.slept.append)
    assert found.handed_in == 1


def test_after_some_times_without_a_closed_round_it_gives_up_with_the_reason(
    coordinator: Callable[..., Coordinator],
) -> None:
    found = coordinator(0, 0, 0, 0)
    with pytest.raises(EngineError, match="3 times in a row without a closed round; last: Round 0: 1 valid updates"):
        supervise(found.kit, THREE, found.engine(), tries=3, sleep=found.slept.append)
    assert found.handed_in == 3


def test_a_job_that_a_person_paused_is_not_handed_in_again(coordinator: Callable[..., Coordinator]) -> None:
    found = coordinator(1, 2)
    found.submit()
    note_halt(run_folder(found.kit, THREE), True)
    engine = Engine(lambda: "7", lambda: False)
    with pytest.raises(EngineError, match="paused or stopped by a person"):
        supervise(found.kit, THREE, engine, sleep=found.slept.append)


def test_a_coordinator_that_is_away_is_no_end_of_the_job(coordinator: Callable[..., Coordinator]) -> None:
    found = coordinator(3, away=[True] * 20)
    supervise(found.kit, THREE, found.engine(), tries=1, sleep=found.slept.append)
    assert found.handed_in == 1
