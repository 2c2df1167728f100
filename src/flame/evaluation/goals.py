"""What a federated training has to show to have been worth it, said before the numbers are known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["RESPONSE_MODEL", "judge"]

RESPONSE_MODEL = "network"
"""The response model that the goals are about; the tables show the others beside it."""

NEAR_POOLED_AUROC, NEAR_POOLED_DICE = 0.03, 0.02

Interval = Mapping[str, float | None]


@dataclass(frozen=True)
class _Rule:
    """A goal about the difference `between` two ways of training: what is said, and when it is reached."""

    statement: str
    between: str
    reached: Callable[[float, float], bool]  # of the estimate and the lower bound
    horizon: int = 0


_RESPONSE = (
    _Rule("federated AUROC above the mean of the local models", "federated - local", lambda value, _: value > 0),
    _Rule(
        f"federated AUROC within {NEAR_POOLED_AUROC} of pooled",
        "federated - pooled",
        lambda value, _: value >= -NEAR_POOLED_AUROC,
    ),
)

_EVOLUTION = (
    _Rule(
        "federated Dice above persistence at +182 days, with an interval that excludes zero",
        "federated - persistence",
        lambda _, low: low > 0,
        182,
    ),
    _Rule(
        "federated Dice not below persistence at +91 days",
        "federated - persistence",
        lambda value, _: value >= 0,
        91,
    ),
    _Rule(
        f"federated Dice within {NEAR_POOLED_DICE} of pooled at +182 days",
        "federated - pooled",
        lambda value, _: value >= -NEAR_POOLED_DICE,
        182,
    ),
)


def judge(response: Sequence[Mapping[str, Any]], evolution: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Hold the summaries of all contexts against the goals; a difference that is not known is not reached.

    Args:
        response: summaries of `summarise_response`, with their context.
        evolution: summaries of `summarise_evolution`, with their context.

    Returns: statement, value, low, high and whether it is reached, for each goal.
    """
    goals = []
    for part in response:
        found = {row["between"]: row["auroc"] for row in part["differences"] if row["model"] == RESPONSE_MODEL}
        goals += [_judged(f"Response ({part['context']})", rule, found.get(rule.between)) for rule in _RESPONSE]
    for part in evolution:
        for region in ("ET", "WT"):
            at = {
                (row["between"], row["horizon"]): row["dice"] for row in part["differences"] if row["region"] == region
            }
            name = f"Evolution ({part['context']}), {region}"
            goals += [_judged(name, rule, at.get((rule.between, rule.horizon))) for rule in _EVOLUTION]
    return goals


def _judged(subject: str, rule: _Rule, interval: Interval | None) -> dict[str, Any]:
    value, low, high = (None if interval is None else interval[name] for name in ("estimate", "low", "high"))
    reached = value is not None and low is not None and rule.reached(value, low)
    return {"statement": f"{subject}: {rule.statement}", "value": value, "low": low, "high": high, "reached": reached}
