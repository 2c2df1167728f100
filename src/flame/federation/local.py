"""A site's part in a job: its samples and the local step that the job asks for."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flame.federation.job import Job
from flame.federation.selection import SCORE
from flame.federation.update import LocalResult, LocalScore

if TYPE_CHECKING:
    from torch import nn

    from flame.learning.private import PatientNoise
    from flame.learning.samples import SampleStore
    from flame.learning.training import Row

__all__ = ["SiteTraining", "initial_arrays"]


@dataclass(frozen=True)
class SiteTraining:
    """A participant that trains on sample stores on disk.

    Attributes:
        job: what is trained.
        name: of the participant; its order of samples follows from the job's seed and this name.
        stores: folders of sample stores; one for a site, several for pooled training.
        noise_seed: secret bytes of the site for this model, round and set of patients, see `site.noise.noise_seed`.
            Without it the noise of a job that asks for noise follows from the job's seed, as sites that are simulated
            on one machine need it: the model is as accurate as with true noise, but who knows the job can take the
            noise away. It protects nobody.
    """

    job: Job
    name: str
    stores: tuple[Path, ...]
    noise_seed: bytes | None = field(default=None, repr=False)

    def __call__(self, arrays: Mapping[str, NDArray[np.float32]], round: int, /) -> LocalResult:
        """Train for one round from `arrays`."""
        from flame.learning.samples import open_store
        from flame.learning.training import train_round
        from flame.models.networks import build_network
        from flame.seeds import derive

        job, stores = self.job, [open_store(folder) for folder in self.stores]
        network = build_network(job.task, job.model, job.context, job.seed)
        held, scores = self._scored(network, arrays, stores)
        trained = train_round(
            network,
            arrays,
            stores,
            job.task,
            job.training,
            round,
            job.rounds,
            derive(job.seed, "site", self.name),
            self._noise(round),
            held,
        )
        return LocalResult(trained.arrays, trained.samples, {**trained.scalars, **scores})

    def score(self, arrays: Mapping[str, NDArray[np.float32]], /) -> LocalScore | None:
        """How good a model is on the patients held back; None if none are."""
        from flame.learning.samples import open_store
        from flame.models.networks import build_network

        job, stores = self.job, [open_store(folder) for folder in self.stores]
        network = build_network(job.task, job.model, job.context, job.seed)
        held, scores = self._scored(network, arrays, stores)
        return LocalScore(scores[SCORE], len(held)) if held else None

    def _scored(
        self, network: "nn.Module", arrays: Mapping[str, NDArray[np.float32]], stores: "list[SampleStore]"
    ) -> "tuple[tuple[Row, ...], dict[str, float]]":
        """Patients who are held back to score models, and the score of the model that came in, if any are."""
        from flame.learning.validation import held_back, score
        from flame.seeds import derive

        job = self.job
        if job.selection.held_back == 0:
            return (), {}
        held = held_back(stores, job.task, job.selection.held_back, derive(job.seed, "site", self.name))
        if not held:
            return (), {}
        return held, {SCORE: score(network, arrays, stores, held, job.task, job.training.threads)}

    def _noise(self, round: int) -> "PatientNoise | None":
        """What hides a patient in this round; None if the job asks for nothing."""
        from flame.learning.private import PatientNoise
        from flame.seeds import derive

        asked = self.job.privacy
        if asked.noise_multiplier == 0:
            return None
        seed = self.noise_seed
        if seed is None:
            seed = derive(self.job.seed, "noise", self.name).to_bytes(8, "little")
        of_round = hashlib.sha256(seed + round.to_bytes(8, "little")).digest()
        return PatientNoise(asked.noise_multiplier, asked.clip_norm, of_round)


def initial_arrays(job: Job) -> dict[str, NDArray[np.float32]]:
    """The model that every participant of the job starts from."""
    from flame.models.networks import build_network
    from flame.models.weights import get_arrays

    return get_arrays(build_network(job.task, job.model, job.context, job.seed))
