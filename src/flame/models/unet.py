"""The evolution network: one encoder and decoder pass for a patient, then a cheap head for each horizon."""

import torch
from torch import Tensor, nn

from flame.models.blocks import Block, Embedding, fold
from flame.models.encoding import DISTANCE_SCALE_MM
from flame.records.patient import REGIONS

__all__ = ["EvolutionNetwork", "horizon_basis"]

_SLOPE_PER_MM = 0.7
"""Initial steepness of the last map's edge [logit/mm]: probability 0.8 one voxel of 2 mm inside."""

_LIMIT = 5.0


def horizon_basis(horizons: Tensor) -> Tensor:
    """Smooth functions of the horizon [days after radiotherapy], any shape (...), as (..., 4), each about 0 to 1."""
    days = horizons.float()
    return torch.stack([days / 365, torch.log1p(days / 30) / 2.6, torch.exp(-days / 60), torch.exp(-days / 180)], -1)


class EvolutionNetwork(nn.Module):
    """U-Net that predicts by how much the logits of the last map's regions change.

    The 2 mm grid is folded into channels of a grid of half the resolution and unfolded at the end, so that layers are
    cheap and no voxel is lost. Three resolutions, additive skips, group normalisation; scalars modulate every block,
    scalars and horizon together modulate the head. At the start of training the prediction is the last map.
    """

    def __init__(self, channels: int, scalars: int, widths: tuple[int, int, int] = (32, 48, 64)) -> None:
        super().__init__()
        fine, middle, coarse = widths
        embedded = 24
        self.record = Embedding(scalars, embedded)
        self.stem = nn.Conv3d(8 * channels, fine, 1)
        self.encode_fine = Block(fine, embedded)
        self.down_middle = nn.Conv3d(fine, middle, 2, stride=2)
        self.encode_middle = nn.ModuleList([Block(middle, embedded) for _ in range(2)])
        self.down_coarse = nn.Conv3d(middle, coarse, 2, stride=2)
        self.encode_coarse = nn.ModuleList([Block(coarse, embedded) for _ in range(2)])
        self.up_middle = nn.ConvTranspose3d(coarse, middle, 2, stride=2)
        self.decode_middle = Block(middle, embedded)
        self.up_fine = nn.ConvTranspose3d(middle, fine, 2, stride=2)
        self.decode_fine = Block(fine, embedded)
        self.head = Head(fine, embedded)

    def forward(self, volumes: Tensor, scalars: Tensor, horizons: Tensor) -> Tensor:
        """Logits of the regions.

        Args:
            volumes: (batch, channels, x, y, z); the first three channels are the distances to the last regions.
            scalars: (batch, values).
            horizons: (batch, n) days after radiotherapy.

        Returns: float32 (batch, n, 24, x/2, y/2, z/2): three regions folded; `blocks.unfold` gives the full grid.
        """
        folded = fold(volumes)
        record = self.record(scalars)
        fine = self.encode_fine(self.stem(folded.to(self.stem.weight.dtype)), record)
        middle = self.down_middle(fine)
        for block in self.encode_middle:
            middle = block(middle, record)
        coarse = self.down_coarse(middle)
        for block in self.encode_coarse:
            coarse = block(coarse, record)
        middle = self.decode_middle(middle + self.up_middle(coarse), record)
        fine = self.decode_fine(fine + self.up_fine(middle), record)
        distances = folded[:, : 8 * len(REGIONS)].float() * DISTANCE_SCALE_MM
        logits: Tensor = self.head(fine, distances, record, horizons)
        return logits


class Head(nn.Module):
    """Features of a patient and distances to the last regions to the logits at each horizon."""

    def __init__(self, width: int, embedded: int, hidden: int = 48) -> None:
        super().__init__()
        self.spread = nn.Conv3d(width, hidden, 1)
        self.when = Embedding(embedded + 4, embedded)
        self.modulation = nn.Linear(embedded, 2 * hidden)
        self.change = nn.Conv3d(hidden, 8 * len(REGIONS), 1)
        self.slope = nn.Linear(embedded, len(REGIONS))
        for layer in (self.change, self.slope):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def forward(self, features: Tensor, distances: Tensor, record: Tensor, horizons: Tensor) -> Tensor:
        spread = self.spread(features)
        logits = []
        for basis in horizon_basis(horizons).unbind(1):
            when = self.when(torch.cat([record, basis], 1))
            scale, shift = self.modulation(when)[:, :, None, None, None].chunk(2, dim=1)
            change = self.change(torch.relu(spread * (1 + scale) + shift)).float()
            slope = _SLOPE_PER_MM * torch.exp(self.slope(when).float()).repeat_interleave(8, 1)
            logits.append(_LIMIT * torch.tanh(distances * slope[:, :, None, None, None] / _LIMIT) + change)
        return torch.stack(logits, 1)
