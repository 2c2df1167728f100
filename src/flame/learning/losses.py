"""Losses: soft Dice with cross-entropy for maps, cross-entropy for a probability."""

from typing import Any

import torch
from torch import Tensor

from flame.records.patient import REGIONS

__all__ = ["map_loss", "response_loss"]

SMOOTH_VOXELS = 20.0
ENTROPY_SHARE = 0.1
"""Weight of cross-entropy beside soft Dice; see ADR 9."""


def map_loss(logits: Tensor, label_maps: Tensor, start: Tensor, seen: Tensor) -> Tensor:
    """Soft Dice plus a little cross-entropy of the regions, averaged over all maps that were seen.

    The cross-entropy is a sum over voxels, relative to the volume of the region at the last exam and now. Value and
    gradient are computed together, one region at one horizon at a time, so that the arrays in hand stay small.

    Args:
        logits: float32 (batch, horizons, 3, ...), regions in the order of REGIONS.
        label_maps: uint8 (batch, horizons, ...), the truth.
        start: bool (batch, 3, ...), regions at the last exam.
        seen: bool (batch, horizons), whether the truth is known.

    Returns: scalar; zero with zero gradient if nothing was seen.
    """
    loss: Tensor = _MapLoss.apply(logits, label_maps, start, seen)  # type: ignore[no-untyped-call]
    return loss


class _MapLoss(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, logits: Tensor, label_maps: Tensor, start: Tensor, seen: Tensor) -> Tensor:
        total = logits.new_zeros(())
        gradient = torch.zeros_like(logits)
        for sample, horizon in seen.nonzero().tolist():
            for region, labels in enumerate(REGIONS.values()):
                truth = _is_any(label_maps[sample, horizon], labels)
                value, slope = _region_loss(logits[sample, horizon, region], truth, start[sample, region])
                total += value
                gradient[sample, horizon, region] = slope
        count = max(int(seen.sum()) * len(REGIONS), 1)
        context.save_for_backward(gradient.div_(count))
        return total / count

    @staticmethod
    def backward(context: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = context.saved_tensors
        return gradient * upstream, None, None, None


def _is_any(label_map: Tensor, labels: tuple[int, ...]) -> Tensor:
    """Where a label map has one of a few values; ten times faster than `torch.isin`."""
    found = label_map == labels[0]
    for label in labels[1:]:
        found |= label_map == label
    return found


def _region_loss(logits: Tensor, truth: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Loss of one region at one horizon, and its gradient with respect to the logits."""
    target = truth.to(logits.dtype)
    probability = torch.sigmoid(logits)
    overlap = 2 * torch.dot(probability.ravel(), target.ravel()) + SMOOTH_VOXELS
    size = probability.sum() + target.sum() + SMOOTH_VOXELS
    scale = ENTROPY_SHARE / (target.sum() + start.sum() + 10 * SMOOTH_VOXELS)
    entropy = torch.nn.functional.softplus(logits) - target * logits
    value = 1 - overlap / size + entropy.sum() * scale
    by_probability = overlap / size**2 - (2 / size) * target
    slope = by_probability * probability * (1 - probability) + (probability - target) * scale
    return value, slope


def response_loss(logits: Tensor, responder: Tensor) -> Tensor:
    """Mean cross-entropy of logits (batch,) against 0 or 1 (batch,)."""
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, responder)
