"""AdamW by torch's own fused function, without torch's optimiser object."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim.adamw import adamw

__all__ = ["AdamW"]

BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-8


class AdamW:
    """Adam with decoupled weight decay (Loshchilov 2019): byte for byte `torch.optim.AdamW(..., fused=True)`.

    That object loads torch's compiler, 800 modules and two seconds of a processor in every process that trains, and
    then has no use for it.

    Args:
        parameters: what is changed, in place; they stay on their device.
        weight_decay: share of a parameter that a step of rate 1 takes away, >= 0.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], weight_decay: float) -> None:
        self._parameters, self._weight_decay = tuple(parameters), weight_decay
        self._means = [torch.zeros_like(one) for one in self._parameters]
        self._squares = [torch.zeros_like(one) for one in self._parameters]
        self._steps = [torch.zeros((), dtype=torch.float32, device=one.device) for one in self._parameters]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Change each parameter that has a gradient, at a learning rate >= 0."""
        gradients = {place: one.grad for place, one in enumerate(self._parameters) if one.grad is not None}
        adamw(
            [self._parameters[place] for place in gradients],
            list(gradients.values()),
            [self._means[place] for place in gradients],
            [self._squares[place] for place in gradients],
            [],
            [self._steps[place] for place in gradients],
            fused=True,
            amsgrad=False,
            beta1=BETA1,
            beta2=BETA2,
            lr=rate,
            weight_decay=self._weight_decay,
            eps=EPSILON,
            maximize=False,
        )
