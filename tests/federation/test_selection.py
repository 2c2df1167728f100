"""Which model a job ends with: the declared rule, kept through kills, and an end when nothing gets better."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from tests.federation.logistic import INITIAL, JOB

from flame.federation import embedded
from flame.federation.folder import RoundReport, history, read_model
from flame.federation.job import Job, Privacy, Selection
from flame.federation.selection import best_round, is_settled, worth
from flame.federation.update import LocalResult

MEAN = Selection(rule="mean", held_back=0.2)
WORST = Selection(rule="worst", held_back=0.2)


def report(number: int, **scores: float) -> RoundReport:
    scalars = {site: {"score": score} for site, score in scores.items()}
    return RoundReport(number, dict.fromkeys(scores, 5), scalars, {}, {}, {}, 1.0)


REPORTS = [report(0, a=0.2, b=0.2), report(1, a=0.9, b=0.3), report(2, a=0.5, b=0.4), report(3, a=0.5, b=0.4)]


def test_the_mean_and_the_worst_site_choose_differently_and_the_earliest_of_equals_counts() -> None:
    assert worth(MEAN, REPORTS[1]) == pytest.approx(0.6)
    assert worth(WORST, REPORTS[1]) == 0.3
    assert best_round(MEAN, REPORTS) == 1
    assert best_round(WORST, REPORTS) == 2
    assert best_round(Selection(), REPORTS) is None


def test_a_model_that_the_hard_site_did_not_score_is_no_candidate() -> None:
    away = report(4, a=0.95)
    assert best_round(WORST, [*REPORTS, away]) == 2
    assert worth(MEAN, report(5)) is None
    assert best_round(MEAN, [report(5)]) is None


def test_a_job_is_settled_after_so_many_rounds_without_a_better_model() -> None:
    assert not is_settled(MEAN, REPORTS)
    patient = MEAN.model_copy(update={"patience": 2})
    assert not is_settled(patient, REPORTS[:3])
    assert is_settled(patient, REPORTS)


@dataclass(frozen=True)
class Told:
    """A site that adds one to the model in every round, and scores it as it was told."""

    scores: tuple[float, ...]

    def __call__(self, arrays: dict[str, np.ndarray], round: int) -> LocalResult:
        scalars = {"loss": 0.0, "score": self.scores[round]}
        return LocalResult({name: np.asarray(array + 1, np.float32) for name, array in arrays.items()}, 5, scalars)


def job(rule: str, rounds: int = 6, patience: int = 2) -> Job:
    selection = {"rule": rule, "held_back": 0.2, "patience": patience}
    fields = {"rounds": rounds, "selection": selection, "aggregation": {"name": "fedavg"}}
    return Job.model_validate({**JOB.model_dump(), **fields})


SITES = {"a": Told((0.1, 0.9, 0.5, 0.4, 0.4, 0.4)), "b": Told((0.1, 0.3, 0.4, 0.3, 0.3, 0.3))}


@pytest.mark.parametrize(("rule", "kept", "closed"), [("mean", 1, 4), ("worst", 2, 5)])
def test_a_job_keeps_the_best_model_and_ends_when_it_gets_no_better(
    tmp_path: Path, rule: str, kept: int, closed: int
) -> None:
    list(embedded.run(job(rule), SITES, tmp_path, INITIAL))
    assert len(history(tmp_path)) == closed
    _, arrays = read_model(tmp_path)
    assert np.all(arrays["weight"] == kept)


def test_a_job_that_is_stopped_and_started_keeps_the_same_model(tmp_path: Path) -> None:
    for _ in range(6):
        reports = embedded.run(job("mean"), SITES, tmp_path, INITIAL)
        if next(reports, None) is None:
            break
        reports.close()  # type: ignore[attr-defined]
    assert len(history(tmp_path)) == 4
    assert np.all(read_model(tmp_path)[1]["weight"] == 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"selection": {"rule": "mean"}}, "needs patients held back"),
        ({"selection": {"patience": 2}}, "patience needs a rule that scores"),
        ({"selection": MEAN, "privacy": Privacy(secure_aggregation=True)}, "tells each site's score"),
        ({"selection": WORST, "privacy": Privacy(noise_multiplier=1.0)}, "tells each site's score"),
    ],
)
def test_rules_that_can_not_be_kept_are_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Job.model_validate({**JOB.model_dump(), "aggregation": {"name": "fedavg"}, **change})
