"""One round of local training: a pure function of the arrays, the samples, the round and the seeds."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flame.errors import DataError
from flame.learning.batches import evolution_batch, response_batch
from flame.learning.losses import map_loss, response_loss
from flame.learning.optimiser import AdamW
from flame.learning.private import PatientNoise, drawn_rows, set_noised_gradient
from flame.learning.samples import SampleStore
from flame.learning.settings import TrainingSettings
from flame.models.blocks import fold
from flame.models.networks import Task
from flame.models.response import LinearResponse
from flame.models.weights import get_arrays, set_arrays
from flame.records.patient import REGIONS
from flame.seeds import derive

__all__ = ["Row", "Trained", "computes_bf16", "learning_rate", "refuse_one_class", "train_round", "usable_rows"]

WARMUP_SHARE = 0.05
FINAL_SHARE = 0.01
LARGEST_GRADIENT = 1.0

Row = tuple[int, int]
"""A store's number and a patient's place in it."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A network after a round: its arrays, the number of samples behind it, and what the site reports."""

    arrays: dict[str, NDArray[np.float32]]
    samples: int
    scalars: dict[str, float]


def usable_rows(stores: Sequence[SampleStore], task: Task) -> list[Row]:
    """Samples that the task can learn from: an endpoint that is known, or a later exam.

    Raises: DataError: if there is none.
    """
    rows = []
    for number, store in enumerate(stores):
        known = np.isfinite(store.responder) if task == "response" else np.isfinite(store.days).any(1)
        rows += [(number, int(place)) for place in np.flatnonzero(known)]
    sites = ", ".join(store.site for store in stores)
    if not rows:
        raise DataError(f"{sites}: no patient has an outcome to learn {task} from", "Add follow-up exams.")
    return rows


def refuse_one_class(stores: Sequence[SampleStore]) -> None:
    """Refuse samples that hold responders only, or non-responders only: there is nothing to tell apart.

    One site alone may have one class, and still take part.

    Raises: DataError: names the sites and the class.
    """
    rows = usable_rows(stores, "response")
    classes = {float(stores[number].responder[place]) for number, place in rows}
    if len(classes) == 1:
        kind = "responders" if 1.0 in classes else "non-responders"
        sites = ", ".join(store.site for store in stores)
        raise DataError(
            f"{sites}: all {len(rows)} patients with a known response are {kind}; one class can't be told apart",
            "Add patients of the other class, or leave response out.",
        )


def train_round(
    network: nn.Module,
    arrays: Mapping[str, NDArray[np.float32]],
    stores: Sequence[SampleStore],
    task: Task,
    settings: TrainingSettings,
    round: int,
    rounds: int,
    seed: int,
    noise: PatientNoise | None = None,
    without: Collection[Row] = (),
) -> Trained:
    """Train from `arrays` for a round with a fresh optimiser. Same arguments and threads, same bytes.

    With `noise` the arrays are differentially private per patient (`private`), and the loss, which would tell of
    patients past the noise, is not reported. The number of samples is, as exact as without.

    Args:
        network: of the right kind; what its parameters are before does not matter.
        arrays: parameters to start from.
        stores: of one site, or of all for pooled training.
        task: what is learnt.
        settings: how.
        round: number of the round, from 0.
        rounds: of the whole job, for the learning rate's schedule.
        seed: of the order of samples and their augmentation.
        noise: what hides a patient; none by default.
        without: samples that are held back.

    Raises: DataError: if there is nothing to learn from.
    """
    torch.set_num_threads(settings.threads)
    rows = [row for row in usable_rows(stores, task) if row not in without]
    device = torch.device(settings.device)
    set_arrays(network, arrays)
    network.to(device).train()
    start = [parameter.detach().clone() for parameter in network.parameters()]
    optimiser = AdamW(network.parameters(), settings.weight_decay)
    generator = torch.Generator().manual_seed(derive(seed, "training", round))
    step = _evolution_loss if task == "evolution" else _response_loss
    batches, rate = settings.steps(len(rows)), settings.sample_rate(len(rows))
    plan = _batches(rows, settings, generator) if noise is None else drawn_rows(rows, rate, batches, noise)
    total, seen = 0.0, 0
    for number, chosen in enumerate(plan):
        network.zero_grad()
        if noise is None:
            loss = step(network, stores, chosen, settings, generator)
            total, seen = total + float(loss.detach()) * len(chosen), seen + len(chosen)
            if settings.proximal_mu > 0:
                loss = loss + 0.5 * settings.proximal_mu * _distance(network, start)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
        else:
            losses = (step(network, stores, [row], settings, noise.augmentation(number, row)) for row in chosen)
            set_noised_gradient(network, losses, noise, number, rate * len(rows))
            _add_pull(network, start, settings.proximal_mu)
        optimiser.step(learning_rate(settings, (round + number / batches) / rounds))
    return Trained(get_arrays(network), len(rows), {} if noise is not None else {"loss": total / seen})


def learning_rate(settings: TrainingSettings, progress: float) -> float:
    """The rate at a share `progress` of the whole job, in [0, 1): warm-up, then half a cosine, as the settings say."""
    rate = settings.learning_rate
    if settings.warmup:
        rate *= min(1.0, 0.1 + 0.9 * progress / WARMUP_SHARE)
    if settings.cosine:
        rate *= FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * progress))
    return rate


def _batches(rows: Sequence[Row], settings: TrainingSettings, generator: torch.Generator) -> Iterator[list[Row]]:
    for _ in range(settings.epochs_per_round):
        order = torch.randperm(len(rows), generator=generator).tolist()
        for first in range(0, len(rows), settings.batch_size):
            yield [rows[place] for place in order[first : first + settings.batch_size]]


def _evolution_loss(
    network: nn.Module,
    stores: Sequence[SampleStore],
    rows: Sequence[Row],
    settings: TrainingSettings,
    generator: torch.Generator,
) -> Tensor:
    device = torch.device(settings.device)
    batch = evolution_batch(stores, rows, generator).to(device)
    some = batch.seen.any(0)
    with _precision(settings):
        logits = network(batch.volumes, batch.scalars, batch.days[:, some])
    regions = len(REGIONS)
    start = fold(batch.volumes[:, :regions] > 0)
    start = start.reshape(len(rows), regions, 8, *start.shape[2:])
    apart = logits.reshape(*logits.shape[:2], regions, 8, *logits.shape[3:])
    return map_loss(apart, fold(batch.labels[:, some].unsqueeze(2)), start, batch.seen[:, some])


def _response_loss(
    network: nn.Module,
    stores: Sequence[SampleStore],
    rows: Sequence[Row],
    settings: TrainingSettings,
    generator: torch.Generator,
) -> Tensor:
    device = torch.device(settings.device)
    images = not isinstance(network, LinearResponse)
    batch = response_batch(stores, rows, generator, images).to(device)
    with _precision(settings):
        logits = network(batch.volumes, batch.scalars)
    return response_loss(logits.float(), batch.responder)


def computes_bf16(device: torch.device) -> bool:
    """Whether the device multiplies in bf16 by itself; elsewhere torch imitates it, slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _precision(settings: TrainingSettings) -> torch.autocast:
    device = torch.device(settings.device)
    narrow = settings.precision == "bf16" or (settings.precision == "auto" and computes_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=narrow)


def _distance(network: nn.Module, start: Sequence[Tensor]) -> Tensor:
    """Squared distance of the parameters to where the round began (FedProx, Li 2020)."""
    parts = [((now - then) ** 2).sum() for now, then in zip(network.parameters(), start, strict=True)]
    return torch.stack(parts).sum()


def _add_pull(network: nn.Module, start: Sequence[Tensor], mu: float) -> None:
    """Add the gradient of FedProx's pull to the parameters' own."""
    for now, then in zip(network.parameters(), start, strict=True):
        assert now.grad is not None
        now.grad.add_(now.detach() - then, alpha=mu)
