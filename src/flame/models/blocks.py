"""Pieces of the networks: folding of voxels, conditioned convolution blocks, embeddings of scalars."""

import torch
from torch import Tensor, nn

__all__ = ["Block", "Embedding", "convolved", "fold", "unfold"]


def fold(volumes: Tensor) -> Tensor:
    """Move cubes of 2x2x2 voxels into channels: (..., c, 2x, 2y, 2z) to (..., 8c, x, y, z), without loss.

    Raises: ValueError: if a side is odd.
    """
    *lead, channels, x, y, z = volumes.shape
    if x % 2 or y % 2 or z % 2:
        raise ValueError(f"sides must be even to be folded, got {x} x {y} x {z}")
    split = volumes.reshape(*lead, channels, x // 2, 2, y // 2, 2, z // 2, 2)
    n = len(lead)
    order = [*range(n), n, n + 2, n + 4, n + 6, n + 1, n + 3, n + 5]
    return split.permute(order).reshape(*lead, channels * 8, x // 2, y // 2, z // 2)


def unfold(folded: Tensor) -> Tensor:
    """Inverse of `fold`: (..., 8c, x, y, z) to (..., c, 2x, 2y, 2z)."""
    *lead, channels, x, y, z = folded.shape
    split = folded.reshape(*lead, channels // 8, 2, 2, 2, x, y, z)
    n = len(lead)
    order = [*range(n), n, n + 4, n + 1, n + 5, n + 2, n + 6, n + 3]
    return split.permute(order).reshape(*lead, channels // 8, 2 * x, 2 * y, 2 * z)


class Embedding(nn.Module):
    """A small dense layer on scalars: (batch, values) to (batch, width), >= 0."""

    def __init__(self, values: int, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(values, width)

    def forward(self, values: Tensor) -> Tensor:
        return torch.relu(self.dense(values))


class Block(nn.Module):
    """x + relu(scale(z) * group_norm(conv(x)) + shift(z)): a residual convolution conditioned on an embedding z.

    At first scale is one and shift is zero whatever z is (feature-wise linear modulation, Perez 2018).
    """

    def __init__(self, width: int, embedding: int, groups: int = 8) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(width, width, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(groups, width)
        self.modulation = nn.Linear(embedding, 2 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.modulation(embedding)[:, :, None, None, None].chunk(2, dim=1)
        normed = self.norm(self._convolved(features))
        return features + torch.relu(normed * (1 + scale) + shift)

    def _convolved(self, features: Tensor) -> Tensor:
        """The convolution, in float32 on sides of 1 or 2 voxels: there the weights' bf16 gradient is wrong on CPUs
        (oneDNN in torch 2.13: off by up to 97 %, at times infinite; right from 3 voxels on)."""
        if min(features.shape[2:]) > 2:
            return convolved(features, self.convolution.weight)
        with torch.autocast(features.device.type, enabled=False):
            return convolved(features.float(), self.convolution.weight)


def convolved(features: Tensor, weight: Tensor) -> Tensor:
    """Convolution with 3x3x3 weights (out, in, 3, 3, 3) of features (batch, in, x, y, z), zeros beyond the edge.

    A single sample on a processor is cut into two along x, which are a batch: of one sample in float32 torch 2.13 does
    not use oneDNN, and takes six times as long (`benchmarks/convolution.py`).
    """
    batch, _, side, *_ = features.shape
    if batch > 1 or side % 2 or features.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return nn.functional.conv3d(features, weight, padding=1)
    padded = nn.functional.pad(features, (0, 0, 0, 0, 1, 1))
    halves = torch.cat([padded[:, :, : side // 2 + 2], padded[:, :, side // 2 :]])
    first, second = nn.functional.conv3d(halves, weight, padding=(0, 1, 1)).chunk(2)
    return torch.cat([first, second], 2)
