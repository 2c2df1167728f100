"""Comparisons that are ready to run: the demo, its quick version, and the full one."""

from flame.evaluation.plan import ComparisonSettings, QuestionSettings
from flame.federation.job import FedAvgM
from flame.imaging.cube import Crop
from flame.imaging.prepare import CONTEXTS, Context
from flame.learning.settings import TrainingSettings

__all__ = ["demo_comparison", "full_comparison", "quick_comparison"]

_LINEAR = TrainingSettings(learning_rate=0.05, batch_size=8, weight_decay=0.02)
_NETWORK = TrainingSettings(learning_rate=2e-3, batch_size=8, weight_decay=0.05)
_UNET = TrainingSettings(learning_rate=2e-3, batch_size=2, weight_decay=0.01, precision="bf16", warmup=True)

_AGGREGATION = FedAvgM(momentum=0.6)
"""Momentum makes up for the few steps that a site of twenty patients takes in a round; see ADR 8."""


def _response(contexts: tuple[Context, ...], rounds: int) -> list[QuestionSettings]:
    budgets = {"prevalence": _LINEAR, "clinical": _LINEAR, "clinical_volumes": _LINEAR, "network": _NETWORK}
    return [
        QuestionSettings(task="response", model=model, context=context, rounds=rounds, training=training)
        for context in contexts
        for model, training in budgets.items()
    ]


def _evolution(contexts: tuple[Context, ...], rounds: int) -> list[QuestionSettings]:
    return [
        QuestionSettings(task="evolution", model="unet", context=context, rounds=rounds, training=_UNET)
        for context in contexts
    ]


def full_comparison(held_out: tuple[str, ...], seed: int) -> ComparisonSettings:
    """Both tasks in both contexts at 2 mm."""
    questions = _response(CONTEXTS, 30) + _evolution(CONTEXTS, 20)
    return ComparisonSettings(seed=seed, questions=tuple(questions), held_out=held_out, aggregation=_AGGREGATION)


def demo_comparison(held_out: tuple[str, ...], seed: int) -> ComparisonSettings:
    """Response in both contexts; evolution after the first exam that follows radiotherapy, at 2 mm."""
    questions = _response(CONTEXTS, 30) + _evolution(("first_post_rt",), 12)
    return ComparisonSettings(seed=seed, questions=tuple(questions), held_out=held_out, aggregation=_AGGREGATION)


def quick_comparison(held_out: tuple[str, ...], seed: int) -> ComparisonSettings:
    """The demo on a grid of 4 mm, to see everything work; its numbers mean little."""
    questions = _response(("first_post_rt",), 10) + _evolution(("first_post_rt",), 8)
    crop = Crop(spacing_mm=4.0, size=32)
    return ComparisonSettings(
        seed=seed, questions=tuple(questions), held_out=held_out, aggregation=_AGGREGATION, crop=crop
    )
