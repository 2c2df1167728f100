"""Response tables: local models averaged, differences on the same resamples, reliability and matrix."""

import numpy as np
import pytest

from flame.evaluation.resampling import draw
from flame.evaluation.response_summary import summarise_response
from flame.evaluation.scores import ResponseScore

PATIENTS = [(f"site-{1 + n // 20}", f"p{n}") for n in range(40)]


@pytest.fixture
def summary() -> dict:
    generator = np.random.default_rng(0)
    scores = []
    for number, (site, patient) in enumerate(PATIENTS):
        responder = number % 2 == 0
        for trained, origin, skill in (
            ("federated", "federated", 0.15),
            ("pooled", "pooled", 0.15),
            ("local", "site-1", 0.0),
            ("local", "site-2", 0.0),
        ):
            if origin != site:
                noise = generator.normal(0, 0.2)
                p = float(np.clip(0.5 + skill * (1 if responder else -1) + noise, 0.01, 0.99))
                scores.append(ResponseScore("pre_rt", "clinical", trained, origin, site, patient, responder, p))
    return summarise_response(scores, PATIENTS, draw([s for s, _ in PATIENTS], 400, np.random.default_rng(1)))


def test_patients_and_responders_are_counted_once(summary: dict) -> None:
    assert (summary["patients"], summary["responders"]) == (40, 20)


def test_a_better_model_is_told_apart_from_the_local_ones(summary: dict) -> None:
    gaps = {row["between"]: row["auroc"] for row in summary["differences"]}
    assert gaps["federated - local"]["low"] > 0
    assert gaps["federated - pooled"]["low"] < 0 < gaps["federated - pooled"]["high"]


def test_estimates_lie_in_their_intervals(summary: dict) -> None:
    for row in summary["rows"]:
        for metric in ("auroc", "auprc", "brier", "balanced_accuracy"):
            assert row[metric]["low"] <= row[metric]["estimate"] <= row[metric]["high"], metric


def test_the_matrix_has_no_cell_where_a_model_was_trained(summary: dict) -> None:
    (table,) = summary["matrix"]
    rows = {row["trained"]: row["auroc"] for row in table["rows"]}
    assert rows["site-1"][0] is None
    assert rows["site-1"][1] is not None
    assert None not in rows["federated"]


def test_reliability_counts_every_prediction(summary: dict) -> None:
    curves = {row["trained"]: row["bins"] for row in summary["reliability"]}
    assert sum(part["patients"] for part in curves["federated"]) == 40
    assert sum(part["patients"] for part in curves["local"]) == 40
