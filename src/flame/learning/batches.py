"""Batches of samples as tensors, with the augmentation that is cheap: windows, mirror images, intensities."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flame.learning.samples import SampleStore

__all__ = ["EvolutionBatch", "ResponseBatch", "evolution_batch", "response_batch"]

WINDOW_SHARE = 2 / 3
"""Side of the window that training looks at, as a share of the learning grid's, in steps of eight voxels: 80 mm of the
full comparison's 128 mm, and of the demo's 120 mm. Prediction looks at all of it."""

INTENSITY_SPREAD = 0.1

RECORD_DROPOUT = 0.5
"""Share of the scalars that an evolution sample hides at each visit. They are as good as a name: with all of them in
sight, a network learns by heart how each of a hundred tumours grew (ADR 10)."""

_FIXED, _PER_EXAM, _IMAGES = 7, 8, 4  # channels: seven fixed ones, then four images and four labels an exam


@dataclass(frozen=True, eq=False)
class _Batch:
    def to(self, device: torch.device) -> Self:
        """The batch on a device."""
        return type(self)(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True, eq=False)
class EvolutionBatch(_Batch):
    """`volumes` (b, channels, x, y, z), `scalars` (b, values), `days` (b, h), `labels` uint8 (b, h, x, y, z), `seen`.

    `days` is 0 where `seen` (b, h) is false.
    """

    volumes: Tensor
    scalars: Tensor
    days: Tensor
    labels: Tensor
    seen: Tensor


@dataclass(frozen=True, eq=False)
class ResponseBatch(_Batch):
    """`volumes` (b, channels, x, y, z) at half resolution, `scalars` (b, values), `responder` (b,) 0 or 1."""

    volumes: Tensor
    scalars: Tensor
    responder: Tensor


def evolution_batch(
    stores: Sequence[SampleStore], rows: Sequence[tuple[int, int]], generator: torch.Generator
) -> EvolutionBatch:
    """Windows of the samples `rows` (store, place), mirrored left to right half of the time, intensities jittered.

    Half of the scalars are hidden: zero, which is the middle of each scale. The others are twice as large, so that what
    a layer gets is on average what it will get when all are shown (Srivastava 2014).
    """
    volumes, labels = [], []
    for number, place in rows:
        store = stores[number]
        size = store.labels.shape[-1]
        window = int(size * WINDOW_SHARE) // 8 * 8
        corner = [2 * int(torch.randint(0, (size - window) // 2 + 1, (1,), generator=generator)) for _ in range(3)]
        box = (slice(None), *(slice(low, low + window) for low in corner))
        volume = torch.from_numpy(np.array(store.volumes[place][box])).float()  # numpy converts four times as slowly
        label_maps = torch.from_numpy(np.ascontiguousarray(store.labels[place][box]))
        if torch.rand((), generator=generator) < 0.5:
            volume, label_maps = volume.flip(1), label_maps.flip(1)
        volumes.append(_jittered(volume, generator))
        labels.append(label_maps)
    days = _gathered(stores, rows, "days")
    scalars = torch.from_numpy(_gathered(stores, rows, "scalars"))
    shown = torch.rand(scalars.shape, generator=generator) >= RECORD_DROPOUT
    scalars *= shown / (1 - RECORD_DROPOUT)
    return EvolutionBatch(
        torch.stack(volumes),
        scalars,
        torch.from_numpy(np.nan_to_num(days)),
        torch.stack(labels),
        torch.from_numpy(np.isfinite(days)),
    )


def response_batch(
    stores: Sequence[SampleStore], rows: Sequence[tuple[int, int]], generator: torch.Generator, images: bool = True
) -> ResponseBatch:
    """The samples `rows` (store, place), mirrored left to right half of the time, intensities jittered.

    Without `images` nothing is read but scalars, and `volumes` has no channels.
    """
    volumes = [_seen(stores[number].halved[place], generator) if images else torch.empty(0) for number, place in rows]
    scalars, responder = _gathered(stores, rows, "scalars"), _gathered(stores, rows, "responder")
    return ResponseBatch(torch.stack(volumes), torch.from_numpy(scalars), torch.from_numpy(responder))


def _seen(volumes: NDArray[np.float16], generator: torch.Generator) -> Tensor:
    volume = torch.from_numpy(np.array(volumes)).float()
    if torch.rand((), generator=generator) < 0.5:
        volume = volume.flip(1)
    return _jittered(volume, generator)


def _jittered(volume: Tensor, generator: torch.Generator) -> Tensor:
    """Scale and shift each image where it has values; masks, distances and dose stay, and so do missing images."""
    images = [channel for channel in range(_FIXED, len(volume)) if (channel - _FIXED) % _PER_EXAM < _IMAGES]
    draws = INTENSITY_SPREAD * torch.randn((2, len(images), 1, 1, 1), generator=generator)
    values = volume[images]
    volume[images] = values * (1 + draws[0]) + draws[1] * (values != 0)
    return volume


def _gathered(stores: Sequence[SampleStore], rows: Sequence[tuple[int, int]], name: str) -> NDArray[np.float32]:
    return np.stack([np.asarray(getattr(stores[number], name)[place]) for number, place in rows])
