"""A site's part in a job: its samples and the local step that the job asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flame.federation.job import Job
from flame.federation.update import LocalResult

__all__ = ["SiteTraining", "initial_arrays"]


@dataclass(frozen=True)
class SiteTraining:
    """A participant that trains on sample stores on disk.

    Attributes:
        job: what is trained.
        name: of the participant; its order of samples follows from the job's seed and this name.
        stores: folders of sample stores; one for a site, several for pooled training.
    """

    job: Job
    name: str
    stores: tuple[Path, ...]

    def __call__(self, arrays: Mapping[str, NDArray[np.float32]], round: int, /) -> LocalResult:
        """Train for one round from `arrays`."""
        from flame.learning.samples import open_store
        from flame.learning.training import train_round
        from flame.models.networks import build_network
        from flame.seeds import derive

        job = self.job
        trained = train_round(
            build_network(job.task, job.model, job.context, job.seed),
            arrays,
            [open_store(folder) for folder in self.stores],
            job.task,
            job.training,
            round,
            job.rounds,
            derive(job.seed, "site", self.name),
        )
        return LocalResult(trained.arrays, trained.samples, trained.scalars)


def initial_arrays(job: Job) -> dict[str, NDArray[np.float32]]:
    """The model that every participant of the job starts from."""
    from flame.models.networks import build_network
    from flame.models.weights import get_arrays

    return get_arrays(build_network(job.task, job.model, job.context, job.seed))
