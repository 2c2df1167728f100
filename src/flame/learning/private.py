"""Training that hides a single patient: every patient's gradient is clipped, and noise is added to their sum.

DP-SGD (Abadi 2016) with a patient as the unit: all of a patient's horizons are one sample. In each step every patient
of the site is drawn by a coin of their own (Poisson sampling), the gradient of each one drawn is scaled down to at most
`clip_norm`, and their sum gets Gaussian noise of standard deviation `noise_multiplier * clip_norm`. A patient more or
less changes that sum by at most `clip_norm`, whatever they look like; all that follows is computed from the noised sum.
The networks have no batch statistics, so that a patient's gradient does not depend on who else was drawn.

Randomness is ChaCha20's keystream (RFC 8439) under keys that follow from a seed of 32 bytes: torch's and numpy's
generators are not made for secrets, and have seeds of 64 bits. Who does not know the seed can't take the noise away.

Outside the guarantee: the number of patients, which the rate and the length of a round depend on and which is told;
how long a step takes, which tells how many were drawn; what rounding to float64 and float32 shows of a sum (Mironov
2012).
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["PatientNoise", "clipped_sum", "drawn_rows", "normals", "set_noised_gradient", "uniforms"]

SEED_BYTES = 32


@dataclass(frozen=True)
class PatientNoise:
    """How patients are hidden.

    Args:
        noise_multiplier: standard deviation of the noise, in units of `clip_norm`, > 0.
        clip_norm: largest Euclidean norm with which one patient's gradient counts, > 0.
        seed: 32 bytes that say which patients are drawn and what the noise is. A secret of the site, used for one
            model, one round and one set of patients: the difference of two answers with the same noise has none.
    """

    noise_multiplier: float
    clip_norm: float
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not (self.noise_multiplier > 0 and self.clip_norm > 0 and math.isfinite(self.deviation)):
            raise ValueError(f"noise {self.noise_multiplier} x {self.clip_norm}, expected two numbers > 0")
        if len(self.seed) != SEED_BYTES:
            raise ValueError(f"a seed of {len(self.seed)} bytes, expected {SEED_BYTES}")

    @property
    def deviation(self) -> float:
        """Standard deviation of the noise in each coordinate of a step's sum."""
        return self.noise_multiplier * self.clip_norm

    def key(self, *purpose: str | int) -> bytes:
        """A key of 32 bytes for one purpose, such as the noise of step 3."""
        return hashlib.blake2b("/".join(map(str, purpose)).encode(), key=self.seed, digest_size=32).digest()

    def augmentation(self, step: int, row: tuple[int, int]) -> torch.Generator:
        """The generator of a patient's augmentation in a step, of their own: if patients shared one, a patient more
        would change how the others look, and the sum by more than `clip_norm`."""
        seed = int.from_bytes(self.key("augmentation", step, *row)[:8], "little")
        return torch.Generator().manual_seed(seed >> 1)


def drawn_rows(
    rows: Sequence[tuple[int, int]], rate: float, steps: int, noise: PatientNoise
) -> Iterator[list[tuple[int, int]]]:
    """The samples of each step: every one with chance `rate`, whatever the others do; at times none at all."""
    for step in range(steps):
        drawn = uniforms(noise.key("drawn", step), len(rows)) < rate
        yield [row for row, is_drawn in zip(rows, drawn, strict=True) if is_drawn]


def set_noised_gradient(
    network: nn.Module, losses: Iterable[Tensor], noise: PatientNoise, step: int, expected: float
) -> None:
    """Make the noised mean of the patients' gradients the gradient of the network's parameters.

    Args:
        network: that the losses were computed with.
        losses: one scalar for each patient drawn; they are made and forgotten one by one.
        noise: what is clipped and added.
        step: number of the step in its round; each has noise of its own.
        expected: number of patients drawn on average, which the sum is divided by; the true number is not public.
    """
    parameters = list(network.parameters())
    size = sum(parameter.numel() for parameter in parameters)
    total = clipped_sum((_gradient(loss, parameters) for loss in losses), noise.clip_norm, size)
    total += noise.deviation * normals(noise.key("noise", step), size)
    parts = np.split(total / expected, np.cumsum([parameter.numel() for parameter in parameters])[:-1])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = torch.from_numpy(part.astype(np.float32)).reshape(parameter.shape).to(parameter.device)


def clipped_sum(gradients: Iterable[NDArray[np.floating]], clip_norm: float, size: int) -> NDArray[np.float64]:
    """Sum of gradients (size,), each scaled to a norm of at most `clip_norm`; one that is not finite counts as zero."""
    total = np.zeros(size)
    for gradient in gradients:
        wide = gradient.astype(np.float64)
        length = float(np.linalg.norm(wide))
        if math.isfinite(length):
            total += wide * (clip_norm / length if length > clip_norm else 1.0)
    return total


def _gradient(loss: Tensor, parameters: Sequence[Tensor]) -> NDArray[np.float32]:
    """The gradient of one patient's loss, all parameters in a row; zero where the loss does not depend on one."""
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    flat = [
        torch.zeros(parameter.numel()) if part is None else part.detach().cpu().float().ravel()
        for parameter, part in zip(parameters, found, strict=True)
    ]
    return torch.cat(flat).numpy()


def uniforms(key: bytes, count: int) -> NDArray[np.float64]:
    """Numbers from the keystream of a key of 32 bytes, evenly spread over [0, 1) in steps of 2**-53, float64 (count,).

    A key is used once: two calls give the same numbers.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(8 * count))
    return (np.frombuffer(stream, "<u8") >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normals(key: bytes, count: int) -> NDArray[np.float64]:
    """Standard normal numbers from the keystream of a key, float64 (count,); none is beyond 8.6 (Box and Muller 1958).

    A true one is with a chance below 2e-17.
    """
    pairs = (count + 1) // 2
    first, second = np.split(uniforms(key, 2 * pairs), 2)
    radius, angle = np.sqrt(-2 * np.log1p(-first)), 2 * np.pi * second
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
