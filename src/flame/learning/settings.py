"""How a site trains during one round."""

import math
from typing import Literal

from pydantic import Field

from flame.settings import Settings

__all__ = ["TrainingSettings"]


class TrainingSettings(Settings):
    """How a site trains during one round.

    Attributes:
        epochs_per_round: passes over the site's samples in a round.
        learning_rate: highest rate of AdamW.
        batch_size: samples per step.
        weight_decay: AdamW's decoupled decay; biases and norms are decayed too, towards the values below.
        proximal_mu: strength of FedProx's pull towards the round's first arrays; 0 is FedAvg.
        precision: number type of convolutions and matrix products; `auto` is bf16 where the device computes in it, and
            float32 where it would only be imitated, which takes many times as long.
        warmup: rise from a tenth of the learning rate during the first twentieth of the job.
        cosine: fall to a hundredth of it at the end of the job, else constant.
        threads: of the processor; equal bytes need an equal number.
        device: `cpu` or a CUDA device.
    """

    epochs_per_round: int = Field(default=1, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    batch_size: int = Field(default=8, ge=1)
    weight_decay: float = Field(default=0.0, ge=0)
    proximal_mu: float = Field(default=0.0, ge=0)
    precision: Literal["float32", "bf16", "auto"] = "float32"
    warmup: bool = False
    cosine: bool = True
    threads: int = Field(default=1, ge=1)
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$")

    def steps(self, samples: int) -> int:
        """Steps in a round on so many samples, >= 1."""
        return math.ceil(samples / self.batch_size) * self.epochs_per_round

    def sample_rate(self, samples: int) -> float:
        """The chance of a sample to be in a step's batch where batches are drawn at random, in (0, 1]."""
        return min(1.0, self.batch_size / samples)
