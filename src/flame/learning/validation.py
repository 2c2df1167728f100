"""How good a model is on patients whom a site holds back from training: one number, larger is better."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flame.learning.samples import SampleStore
from flame.learning.training import Row, usable_rows
from flame.models.blocks import unfold
from flame.models.networks import Task
from flame.models.response import LinearResponse
from flame.models.weights import set_arrays
from flame.records.patient import REGIONS
from flame.seeds import derive

__all__ = ["FEWEST", "held_back", "score"]


FEWEST = 5
"""Patients of whom a score may speak: that of one patient would tell the outcome."""


def held_back(stores: Sequence[SampleStore], task: Task, share: float, seed: int) -> tuple[Row, ...]:
    """A share of the patients that a task can learn from, at least `FEWEST`; none where fewer would be left to train.

    Who is held back follows from the seed and the patient's own id, so that a patient who joins or leaves moves few.
    """
    rows = usable_rows(stores, task)
    number = max(FEWEST, round(share * len(rows)))
    if len(rows) - number < FEWEST:
        return ()
    drawn = sorted(rows, key=lambda row: derive(seed, "held back", stores[row[0]].patients[row[1]]))
    return tuple(drawn[:number])


def score(
    network: nn.Module,
    arrays: Mapping[str, NDArray[np.float32]],
    stores: Sequence[SampleStore],
    rows: Sequence[Row],
    task: Task,
    threads: int = 1,
) -> float:
    """Mean over patients of: evolution, Dice over regions and horizons; response, one minus the squared error (Brier).

    Args:
        network: of the right kind.
        arrays: its parameters.
        stores: of the site.
        rows: patients to score, at least one.
        task: what the network was trained for.
        threads: of the processor.

    Returns: 0 to 1.
    """
    torch.set_num_threads(threads)
    set_arrays(network, arrays)
    network.to("cpu").eval()
    one = _dice if task == "evolution" else _closeness
    with torch.inference_mode():
        return float(np.mean([one(network, stores[number], place) for number, place in rows]))


def _dice(network: nn.Module, store: SampleStore, place: int) -> float:
    """Mean Dice of a patient's maps; 1 where truth and prediction are both empty (`docs/metrics.md`)."""
    days = torch.from_numpy(np.array(store.days[place]))
    seen = torch.isfinite(days)
    volumes = torch.from_numpy(np.array(store.volumes[place])).float()
    scalars = torch.from_numpy(np.array(store.scalars[place]))
    maps = unfold(network(volumes[None], scalars[None], days[seen][None]))[0] > 0  # a probability above one half
    labels = torch.from_numpy(np.array(store.labels[place]))[seen]
    values = [
        _overlap(maps[horizon, region], torch.isin(labels[horizon], torch.tensor(wanted, dtype=labels.dtype)))
        for horizon in range(len(maps))
        for region, wanted in enumerate(REGIONS.values())
    ]
    return float(np.mean(values))


def _overlap(predicted: Tensor, truth: Tensor) -> float:
    size = int(predicted.sum()) + int(truth.sum())
    return 2 * int((predicted & truth).sum()) / size if size else 1.0


def _closeness(network: nn.Module, store: SampleStore, place: int) -> float:
    images = not isinstance(network, LinearResponse)
    halved = torch.from_numpy(np.array(store.halved[place])).float() if images else torch.empty(0)
    logit = network(halved[None], torch.from_numpy(np.array(store.scalars[place]))[None])
    return 1.0 - (float(torch.sigmoid(logit.float())[0]) - float(store.responder[place])) ** 2
