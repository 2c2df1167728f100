"""A round's noise at a site: the seed that only the site knows, and what the round will cost its patients."""

from dataclasses import dataclass, field
from pathlib import Path

from flame.federation.job import Job, job_hash
from flame.site.budget import cost_of, epsilon, spendings
from flame.site.entries import Spent, digest
from flame.site.history import recorded
from flame.site.noise import noise_secret, noise_seed, occasion

__all__ = ["RoundNoise", "deviation", "epsilon_after", "round_noise"]


@dataclass(frozen=True)
class RoundNoise:
    """The seed of a round's noise, what the ledger is charged for it, and the number of patients that are learnt from.

    The number is what the cost is worked out from; like the cost, it is not hidden.
    """

    seed: bytes = field(repr=False)
    spent: Spent
    patients: int


def round_noise(job: Job, round: int, model: str, store: Path, work: Path) -> RoundNoise | None:
    """The noise of a round; None if the job asks for none.

    Args:
        job: the job.
        round: of the job.
        model: SHA-256 of the model that came in.
        store: folder of the samples that are trained on.
        work: folder of the site, whose ledger is open.

    Raises: DataError: if no patient has what the job learns from.
    """
    if job.privacy.noise_multiplier == 0:
        return None
    from flame.learning.samples import open_store
    from flame.learning.training import usable_rows

    patients = len(usable_rows([open_store(store)], job.task))
    index = digest((store / "index.json").read_bytes())  # names the patients, and the state of their files
    seed = noise_seed(noise_secret(work), job_hash(job), round, model, index)
    spent = Spent(
        job=job_hash(job),
        round=round,
        occasion=occasion(seed),
        noise_multiplier=job.privacy.noise_multiplier,
        sample_rate=job.training.sample_rate(patients),
        steps=job.training.steps(patients),
    )
    return RoundNoise(seed, spent, patients)


def epsilon_after(noise: RoundNoise, work: Path, delta: float) -> float:
    """What the site's patients will have spent in all once this round is trained.

    Args:
        noise: of the round; if it was charged before, it costs nothing more.
        work: folder of the site.
        delta: chance with which epsilon may not hold.

    Raises: PolicyError: if the ledger was changed.
    """
    charged = {one.occasion: one for one in (*spendings(recorded(work)), noise.spent)}
    return epsilon(map(cost_of, charged.values()), delta)


def deviation(job: Job, patients: int) -> float | None:
    """Standard deviation of the noise in each number of a step's mean gradient; None without noise."""
    if job.privacy.noise_multiplier == 0:
        return None
    return job.privacy.noise_multiplier * job.privacy.clip_norm / min(job.training.batch_size, patients)
