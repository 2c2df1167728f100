"""What did this patient look like? Images looked for until their gradient is the one that was sent.

Gradient inversion (Zhu 2019) by cosine similarity with total variation as prior and signed steps (Geiping 2020), in the
case that is worst for the patient: one step, one patient a site, no augmentation, and an attacker who knows all about
the patient but the images: record, outcome, outlines, dose. Several patients are looked for at once where the attacker
has only the mean of their gradients.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flame.learning.losses import ENTROPY_SHARE, SMOOTH_VOXELS
from flame.learning.private import clipped_sum, normals
from flame.learning.samples import SampleStore
from flame.models.blocks import fold
from flame.models.encoding import region_maps, volume_names
from flame.models.networks import Task
from flame.records.patient import REGIONS, SEQUENCES

CONTEXT = "first_post_rt"
IMAGES = [place for place, name in enumerate(volume_names(CONTEXT)) if name.split("_")[-1] in SEQUENCES]
BRAIN = volume_names(CONTEXT).index("brain")


@dataclass(frozen=True, eq=False)
class Victim:
    """A patient: `volumes` (1, channels, x, y, z), and the loss of a network on such volumes with all else known."""

    volumes: Tensor
    loss: Callable[[nn.Module, Tensor], Tensor]


def victim(store: SampleStore, place: int, task: Task) -> Victim:
    """The patient at a place of a store."""
    scalars = torch.from_numpy(np.array(store.scalars[place : place + 1]))
    if task == "response":
        responder = torch.from_numpy(np.array(store.responder[place : place + 1]))

        def of_response(network: nn.Module, volumes: Tensor) -> Tensor:
            return nn.functional.binary_cross_entropy_with_logits(network(volumes, scalars), responder)

        return Victim(torch.from_numpy(np.array(store.halved[place : place + 1], np.float32)), of_response)
    days = torch.from_numpy(np.array(store.days[place : place + 1]))
    seen = torch.isfinite(days)[0]
    truth = np.stack([region_maps(np.array(one)) for one in store.labels[place][seen.numpy()]])
    regions = fold(torch.from_numpy(truth).float()).reshape(
        len(truth), len(REGIONS), 8, *(s // 2 for s in truth.shape[2:])
    )

    def of_evolution(network: nn.Module, volumes: Tensor) -> Tensor:
        logits = network(volumes, scalars, days[:, seen])[0]
        return _map_loss(logits.reshape(regions.shape), regions)

    return Victim(torch.from_numpy(np.array(store.volumes[place : place + 1], np.float32)), of_evolution)


def _map_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """As `losses.map_loss`, but for the regions' former size, in a form that can be differentiated twice."""
    voxels = tuple(range(2, logits.ndim))
    probability = torch.sigmoid(logits)
    overlap = 2 * (probability * truth).sum(voxels) + SMOOTH_VOXELS
    size = probability.sum(voxels) + truth.sum(voxels) + SMOOTH_VOXELS
    entropy = (nn.functional.softplus(logits) - truth * logits).sum(voxels)
    scale = ENTROPY_SHARE / (2 * truth.sum(voxels) + 10 * SMOOTH_VOXELS)
    return (1 - overlap / size + entropy * scale).mean()


def gradient(network: nn.Module, victims: Sequence[Victim], volumes: Sequence[Tensor], keep: bool = False) -> Tensor:
    """Mean over the patients of their gradients, all parameters in a row."""
    parameters = list(network.parameters())
    total = torch.stack([one.loss(network, seen) for one, seen in zip(victims, volumes, strict=True)]).mean()
    found = torch.autograd.grad(total, parameters, create_graph=keep, allow_unused=True)
    flat = [torch.zeros(p.numel()) if g is None else g.ravel() for p, g in zip(parameters, found, strict=True)]
    return torch.cat(flat)


def noised(sent: Tensor, noise_multiplier: float, clip_norm: float, key: bytes) -> Tensor:
    """A patient's gradient clipped and noised, as a step of one expected patient has it."""
    flat = sent.numpy()
    total = clipped_sum([flat], clip_norm, flat.size) + noise_multiplier * clip_norm * normals(key, flat.size)
    return torch.from_numpy(total.astype(np.float32))


def signs(sent: Tensor) -> Tensor:
    """What one step of Adam shows of a gradient: its first step is g / (|g| + 1e-8)."""
    return sent / (sent.abs() + 1e-8)


def invert(
    network: nn.Module,
    victims: Sequence[Victim],
    sent: Tensor,
    seed: int,
    steps: int = 400,
    smoothness: float = 1e-4,
    is_signs: bool = False,
) -> list[Tensor]:
    """Volumes whose images were looked for until their mean gradient points where `sent` does; the rest is known.

    Args:
        network: that the gradient was taken of.
        victims: who took part; of their volumes only the channels that are no images are used.
        sent: what the attacker has (parameters,).
        seed: of the images to start from.
        steps: of Adam on the images.
        smoothness: weight of total variation.
        is_signs: whether `sent` is what Adam's first step shows.
    """
    generator = torch.Generator().manual_seed(seed)
    inside = [one.volumes[:, BRAIN : BRAIN + 1] > 0.5 for one in victims]
    shape = victims[0].volumes[:, IMAGES].shape
    guesses = [(0.1 * torch.randn(shape, generator=generator)).requires_grad_() for _ in victims]
    optimiser = torch.optim.Adam(guesses, 0.1)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [steps * 3 // 8, steps * 5 // 8, steps * 7 // 8], 0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        volumes = [_with(one, guess * mask) for one, guess, mask in zip(victims, guesses, inside, strict=True)]
        mine = gradient(network, victims, volumes, keep=True)
        if is_signs:
            mine = mine / (mine.abs() + 0.1 * mine.detach().abs().mean())
        distance = 1 - nn.functional.cosine_similarity(mine, sent, dim=0, eps=1e-20)
        (distance + smoothness * sum(map(_variation, guesses))).backward()
        for guess in guesses:
            assert guess.grad is not None
            guess.grad.sign_()
        optimiser.step()
        schedule.step()
    return [_with(one, (guess * mask).detach()) for one, guess, mask in zip(victims, guesses, inside, strict=True)]


def _with(known: Victim, images: Tensor) -> Tensor:
    volumes = known.volumes.clone()
    volumes[:, IMAGES] = images
    return volumes


def _variation(images: Tensor) -> Tensor:
    return torch.stack([images.diff(dim=axis).abs().mean() for axis in (2, 3, 4)]).sum()


@dataclass(frozen=True)
class Likeness:
    """How much reconstructed images are like the true ones, in the brain; means over the images that a patient has.

    Attributes:
        correlation: with the true images; high already for any brain, see that of the mean of other patients.
        own: the same once the mean of other patients is taken out of both (partial correlation): what is the patient's.
        psnr_db: peak signal to noise, the range of the true values being the peak [dB].
        is_first: whether `own` is higher than with any of the other patients' images: the patient would be recognised.
    """

    correlation: float
    own: float
    psnr_db: float
    is_first: bool


def likeness(found: Tensor, true: Tensor, others: Sequence[Tensor]) -> Likeness:
    """Compare volumes (1, channels, x, y, z) with the true ones and with those of other patients."""
    inside = (true[0, BRAIN] > 0.5).numpy()
    common = torch.cat(list(others)).mean(0, keepdim=True)
    guess, truth, mean = (_images(one, inside) for one in (found, true, common))
    present = truth.std(1) > 0
    guess, truth, mean = guess[present], truth[present], mean[present]
    rivals = [_own(guess, _images(one, inside)[present], mean) for one in others]
    own = _own(guess, truth, mean)
    errors = np.mean((guess - truth) ** 2, axis=1)
    psnr = 10 * np.log10(np.ptp(truth, axis=1) ** 2 / np.maximum(errors, 1e-12))
    return Likeness(_correlation(guess, truth), own, float(psnr.mean()), own > max(rivals))


def _images(volumes: Tensor, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    return volumes[0, IMAGES].numpy()[:, inside].astype(np.float64)


def _correlation(guess: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Mean over images (images, voxels); one without any contrast counts as zero."""
    first, second = (one - one.mean(1, keepdims=True) for one in (guess, truth))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(np.mean((first * second).sum(1) / np.maximum(lengths, 1e-9)))


def _own(guess: NDArray[np.float64], truth: NDArray[np.float64], mean: NDArray[np.float64]) -> float:
    return _correlation(_without(guess, mean), _without(truth, mean))


def _without(images: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a straight line on the mean does not explain, image by image."""
    x, y = (one - one.mean(1, keepdims=True) for one in (mean, images))
    left = y - x * ((x * y).sum(1, keepdims=True) / np.maximum((x * x).sum(1, keepdims=True), 1e-9))
    return np.where(np.linalg.norm(left, axis=1, keepdims=True) > 1e-6, left, 0.0)
