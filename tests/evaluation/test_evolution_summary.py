"""Evolution tables: means over local models, paired differences, and the matrix of who predicts whom."""

import numpy as np
import pytest

from flame.evaluation.evolution_summary import summarise_evolution
from flame.evaluation.resampling import draw
from flame.evaluation.scores import EvolutionScore

PATIENTS = [("site-1", "p1"), ("site-1", "p2"), ("site-2", "p3"), ("site-2", "p4")]


def score(model: str, trained: str, origin: str, number: int, dice: float) -> EvolutionScore:
    site, patient = PATIENTS[number]
    return EvolutionScore("pre_rt", model, trained, origin, site, patient, 182, "WT", dice, 4.0, 0.5, None, 12.0, 10.0)


@pytest.fixture
def summary() -> dict:
    scores = []
    for number in range(4):
        scores.append(score("persistence", "none", "none", number, 0.4))
        scores.append(score("unet", "federated", "federated", number, 0.5))
        scores.append(score("unet", "local", "site-3", number, 0.3))
    scores += [score("unet", "local", "site-1", 2, 0.5), score("unet", "local", "site-1", 3, 0.7)]
    resamples = draw([site for site, _ in PATIENTS], 300, np.random.default_rng(0))
    return summarise_evolution(scores, PATIENTS, resamples)


def test_local_is_the_mean_over_the_models_that_never_saw_the_patient(summary: dict) -> None:
    local = next(row for row in summary["rows"] if row["trained"] == "local")
    # p1, p2: one model, 0.3; p3: (0.3 + 0.5) / 2; p4: (0.3 + 0.7) / 2
    assert local["dice"]["estimate"] == pytest.approx((0.3 + 0.3 + 0.4 + 0.5) / 4)


def test_differences_are_paired(summary: dict) -> None:
    gap = next(row for row in summary["differences"] if row["between"] == "federated - persistence")
    assert gap["dice"] == {"estimate": pytest.approx(0.1), "low": pytest.approx(0.1), "high": pytest.approx(0.1)}
    assert gap["patients"] == 4


def test_the_matrix_leaves_out_who_was_trained_on(summary: dict) -> None:
    table = summary["matrix"][0]
    rows = {row["trained"]: row["dice"] for row in table["rows"]}
    assert table["sites"] == ["site-1", "site-2"]
    assert rows["site-1"] == [None, pytest.approx(0.6)]
    assert rows["persistence"] == [pytest.approx(0.4), pytest.approx(0.4)]


def test_what_is_never_defined_is_null_not_a_number(summary: dict) -> None:
    assert all(row["change_dice"] == {"estimate": None, "low": None, "high": None} for row in summary["rows"])


def test_volume_errors_follow_from_the_volumes(summary: dict) -> None:
    row = summary["rows"][0]
    assert row["volume_error_ml"]["estimate"] == pytest.approx(2.0)
    assert 0 < row["volume_log_ratio"]["estimate"] < np.log(1.2) + 1e-9
