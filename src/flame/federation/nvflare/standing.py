"""How jobs stand, by what the coordinator's own run folders say: the engine's status of a job misleads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flame.federation.folder import history
from flame.federation.job import Job, job_hash, read_job

__all__ = ["Standing", "read_runs"]


@dataclass(frozen=True)
class Standing:
    """A job in a coordinator's kit: rounds that are closed, and who answered in the last one, or why not."""

    job: Job
    done: int
    sites: tuple[str, ...]
    refused: Mapping[str, str]

    @property
    def hash(self) -> str:
        """The job's hash."""
        return job_hash(self.job)


def read_runs(kit: Path) -> list[Standing]:
    """All jobs of a coordinator's kit, by hash.

    Raises: DataError: if a run folder is damaged.
    """
    found = []
    for path in sorted(kit.glob("runs/*/job.toml")):
        reports = history(path.parent)
        last = reports[-1] if reports else None
        sites, refused = (tuple(last.samples), dict(last.refused)) if last else ((), {})
        found.append(Standing(read_job(path), len(reports), sites, refused))
    return found
