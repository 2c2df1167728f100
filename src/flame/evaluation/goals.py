"""What a federated training has to show to have been worth it, said before the numbers are known."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["RESPONSE_MODEL", "judge"]

RESPONSE_MODEL = "network"
"""The response model that the goals are about; the tables show the others beside it."""

NEAR_POOLED_AUROC, NEAR_POOLED_DICE = 0.03, 0.02


@dataclass(frozen=True)
class _Goal:
    statement: str
    value: float | None
    low: float | None
    high: float | None
    reached: bool


def judge(response: Sequence[Mapping[str, Any]], evolution: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Hold the summaries of all contexts against the goals; a difference that is not known is not reached."""
    goals = [goal for part in response for goal in _response_goals(part)]
    goals += [goal for part in evolution for goal in _evolution_goals(part)]
    return [asdict(goal) for goal in goals]


def _response_goals(part: Mapping[str, Any]) -> list[_Goal]:
    context, found = part["context"], {}
    for row in part["differences"]:
        if row["model"] == RESPONSE_MODEL:
            found[row["between"]] = row["auroc"]
    return [
        _goal(
            f"Response ({context}): federated AUROC above the mean of the local models", found, "federated - local", 0.0
        ),
        _goal(
            f"Response ({context}): federated AUROC within {NEAR_POOLED_AUROC} of pooled",
            found,
            "federated - pooled",
            -NEAR_POOLED_AUROC,
        ),
    ]


def _evolution_goals(part: Mapping[str, Any]) -> list[_Goal]:
    context = part["context"]
    goals = []
    for region in ("ET", "WT"):
        at = {(row["between"], row["horizon"]): row["dice"] for row in part["differences"] if row["region"] == region}
        name = f"Evolution ({context}), {region}"
        beyond = _named(at, 182)
        goals.append(
            _goal(
                f"{name}: federated Dice above persistence at +182 days, interval above 0",
                beyond,
                "federated - persistence",
                0.0,
                whole_interval=True,
            )
        )
        goals.append(
            _goal(
                f"{name}: federated Dice not below persistence at +91 days",
                _named(at, 91),
                "federated - persistence",
                0.0,
            )
        )
        goals.append(
            _goal(
                f"{name}: federated Dice within {NEAR_POOLED_DICE} of pooled at +182 days",
                beyond,
                "federated - pooled",
                -NEAR_POOLED_DICE,
            )
        )
    return goals


def _named(
    at: Mapping[tuple[str, int], Mapping[str, float | None]], horizon: int
) -> dict[str, Mapping[str, float | None]]:
    return {between: interval for (between, day), interval in at.items() if day == horizon}


def _goal(
    statement: str,
    found: Mapping[str, Mapping[str, float | None]],
    between: str,
    at_least: float,
    whole_interval: bool = False,
) -> _Goal:
    interval = found.get(between, {"estimate": None, "low": None, "high": None})
    decisive = interval["low"] if whole_interval else interval["estimate"]
    reached = decisive is not None and decisive >= at_least
    return _Goal(statement, interval["estimate"], interval["low"], interval["high"], reached)
