"""Goals are judged by what the issue of the comparison asks, and unknown is not reached."""

from typing import Any

import pytest

from flame.evaluation.goals import judge


def evolution(low: float | None, at_91: float | None, to_pooled: float | None) -> dict[str, Any]:
    def row(between: str, horizon: int, estimate: float | None, lower: float | None) -> dict[str, Any]:
        interval = {"estimate": estimate, "low": lower, "high": estimate}
        return {"between": between, "region": "WT", "horizon": horizon, "dice": interval}

    return {
        "context": "pre_rt",
        "differences": [
            row("federated - persistence", 182, 0.1, low),
            row("federated - persistence", 91, at_91, -1.0),
            row("federated - pooled", 182, to_pooled, -1.0),
        ],
    }


@pytest.mark.parametrize(
    ("low", "at_91", "to_pooled", "expected"),
    [
        (0.01, 0.0, -0.019, [True, True, True]),
        (0.0, 0.01, 0.0, [False, True, True]),
        (-0.01, -0.001, -0.021, [False, False, False]),
        (None, None, None, [False, False, False]),
    ],
)
def test_evolution_goals(low: float | None, at_91: float | None, to_pooled: float | None, expected: list[bool]) -> None:
    goals = judge([], [evolution(low, at_91, to_pooled)])
    assert [goal["reached"] for goal in goals if "WT" in goal["statement"]] == expected
    assert not any(goal["reached"] for goal in goals if "ET" in goal["statement"])


@pytest.mark.parametrize(("to_local", "reached"), [(0.01, True), (0.0, False), (-0.01, False)])
def test_federated_response_must_be_above_the_local_models(to_local: float, reached: bool) -> None:
    row = {"model": "network", "between": "federated - local", "auroc": {"estimate": to_local, "low": -1, "high": 1}}
    goals = judge([{"context": "pre_rt", "differences": [row]}], [])
    assert [goal["reached"] for goal in goals] == [reached, False]
