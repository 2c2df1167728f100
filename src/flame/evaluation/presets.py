"""Comparisons that are ready to run: the demo, its quick version, and the full one."""

import math

from flame.evaluation.plan import ComparisonSettings, QuestionSettings
from flame.federation.job import FedAvgM
from flame.imaging.cube import Crop
from flame.imaging.prepare import CONTEXTS, Context
from flame.learning.settings import TrainingSettings

__all__ = ["demo_comparison", "full_comparison", "quick_comparison"]

_LINEAR = TrainingSettings(learning_rate=0.01, batch_size=8, weight_decay=2.0)
_NETWORK = TrainingSettings(learning_rate=5e-3, batch_size=8, weight_decay=2.0)
_UNET = TrainingSettings(learning_rate=4e-3, batch_size=1, weight_decay=0.01, precision="auto", warmup=True)

_RESPONSE = {
    "prevalence": (_LINEAR, 30),
    "clinical": (_LINEAR, 30),
    "clinical_volumes": (_LINEAR, 30),
    "network": (_NETWORK, 15),
}
"""How response models are trained and for how many rounds."""

_AGGREGATION = FedAvgM(momentum=0.6)
"""Momentum makes up for the few steps that a site of twenty patients takes in a round; see ADR 8."""


def _response(contexts: tuple[Context, ...], share: float = 1.0) -> list[QuestionSettings]:
    """The response models; `share` of their rounds."""
    return [
        QuestionSettings(
            task="response", model=model, context=context, rounds=math.ceil(share * rounds), training=training
        )
        for context in contexts
        for model, (training, rounds) in _RESPONSE.items()
    ]


def _evolution(context: Context, rounds: int) -> QuestionSettings:
    return QuestionSettings(task="evolution", model="unet", context=context, rounds=rounds, training=_UNET)


def full_comparison(
    held_out: tuple[str, ...], seed: int, contexts: tuple[Context, ...] = CONTEXTS
) -> ComparisonSettings:
    """Both tasks at 2 mm; from one exam there is less to learn, and it is learnt in fewer rounds.

    Args:
        contexts: what models may look at; `pre_rt` alone serves patients who were not treated yet.
    """
    evolution = {"first_post_rt": _evolution("first_post_rt", 30), "pre_rt": _evolution("pre_rt", 14)}
    questions = (*_response(contexts), *(question for context, question in evolution.items() if context in contexts))
    return ComparisonSettings(seed=seed, questions=questions, held_out=held_out, aggregation=_AGGREGATION)


def demo_comparison(held_out: tuple[str, ...], seed: int) -> ComparisonSettings:
    """Response in both contexts; evolution after the first exam that follows radiotherapy, on a grid of 2.5 mm.

    On the full comparison's grid the demo would take ten minutes more on two cores that do not compute in bf16.
    """
    questions = (*_response(CONTEXTS), _evolution("first_post_rt", 24))
    crop = Crop(spacing_mm=2.5, size=48)
    return ComparisonSettings(seed=seed, questions=questions, held_out=held_out, aggregation=_AGGREGATION, crop=crop)


def quick_comparison(held_out: tuple[str, ...], seed: int) -> ComparisonSettings:
    """The demo on a grid of 4 mm, to see everything work; its numbers mean little."""
    questions = (*_response(("first_post_rt",), 1 / 3), _evolution("first_post_rt", 8))
    crop = Crop(spacing_mm=4.0, size=32)
    return ComparisonSettings(seed=seed, questions=questions, held_out=held_out, aggregation=_AGGREGATION, crop=crop)
