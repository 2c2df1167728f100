"""Networks for the response task: from a single bias to a small convolutional network beside a logistic regression."""

from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["ImageResponse", "LinearResponse"]


class LinearResponse(nn.Module):
    """Logistic regression on a choice of scalars; with none of them it is the prevalence.

    Args:
        columns: which scalars it looks at.
    """

    def __init__(self, columns: tuple[int, ...]) -> None:
        super().__init__()
        self.columns = columns
        self.dense = nn.Linear(len(columns), 1, bias=False) if columns else None
        self.bias = nn.Parameter(torch.zeros(1))
        if self.dense is not None:
            nn.init.zeros_(self.dense.weight)

    def forward(self, volumes: Tensor, scalars: Tensor) -> Tensor:  # noqa: ARG002
        """Logits (batch,) from scalars (batch, values); `volumes` is not looked at."""
        logits = self.bias.expand(len(scalars))
        if self.dense is not None:
            logits = logits + self.dense(scalars[:, list(self.columns)])[:, 0]
        return logits


class ImageResponse(nn.Module):
    """A small convolutional network beside a logistic regression: their logits are added.

    The images' part starts at zero and sees halved volumes; group normalisation, no batch statistics.

    Args:
        channels: of the volumes.
        columns: scalars of the logistic regression.
    """

    def __init__(self, channels: int, columns: tuple[int, ...], widths: tuple[int, int, int] = (12, 16, 24)) -> None:
        super().__init__()
        self.linear = LinearResponse(columns)
        sizes = (channels, *widths)
        self.convolutions = nn.ModuleList(
            nn.Conv3d(inner, outer, 3, stride=2, padding=1) for inner, outer in pairwise(sizes)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(4, width) for width in widths)
        self.verdict = nn.Linear(2 * widths[-1], 1, bias=False)
        nn.init.zeros_(self.verdict.weight)

    def forward(self, volumes: Tensor, scalars: Tensor) -> Tensor:
        """Logits (batch,) from halved volumes (batch, channels, x, y, z) and scalars (batch, values)."""
        features = volumes
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            features = torch.relu(norm(convolution(features)))
        flat = features.flatten(2)
        pooled = torch.cat([flat.mean(2), flat.amax(2)], 1)
        logits: Tensor = self.linear(volumes, scalars) + self.verdict(pooled)[:, 0]
        return logits
