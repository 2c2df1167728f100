"""A coordinator's runs, by what their own folders say: the engine's status of a job misleads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from flame.errors import DataError
from flame.federation.folder import history
from flame.federation.job import Job, job_hash, read_job
from flame.federation.watch import Watch, read_watch
from flame.files import read_json, write_json

__all__ = ["Run", "is_halted", "note_failure", "note_halt", "read_failure", "read_runs", "run_folder"]

_FAILURE, _HALT = "failure.json", "halt.json"


@dataclass(frozen=True)
class Run:
    """A job in a coordinator's kit: rounds closed, who answered in the last one, who was refused why, what ended it.

    `scalars` is what sites reported of the last round, and `watch` what the running one waits for.
    """

    job: Job
    done: int
    sites: tuple[str, ...]
    refused: Mapping[str, str]
    failure: str | None = None
    scalars: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    watch: Watch | None = None

    @property
    def hash(self) -> str:
        """The job's hash."""
        return job_hash(self.job)


def run_folder(kit: Path, job: Job) -> Path:
    """Where the coordinator keeps a job: below its kit, named by the job's hash; no job can name a path."""
    return kit / "runs" / job_hash(job)[:16]


def note_failure(folder: Path, message: str | None) -> None:
    """Keep in a run's folder what ended the job; None when it goes on."""
    if message is None:
        (folder / _FAILURE).unlink(missing_ok=True)
    else:
        write_json(folder / _FAILURE, {"message": message})


def read_failure(folder: Path) -> str | None:
    """What ended the job of a run folder, None if nothing is known or it goes on."""
    try:
        return str(read_json(folder / _FAILURE)["message"])
    except DataError as error:  # a job that goes on takes the file away at any moment
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def note_halt(folder: Path, halted: bool) -> None:
    """Keep in a run's folder that a person paused or stopped the job; the next hand-in takes it away."""
    if halted:
        write_json(folder / _HALT, {"halted": True})
    else:
        (folder / _HALT).unlink(missing_ok=True)


def is_halted(folder: Path) -> bool:
    """Whether a person paused or stopped the job of a run folder."""
    return (folder / _HALT).exists()


def read_runs(kit: Path) -> list[Run]:
    """All jobs of a coordinator's kit, by hash.

    Raises: DataError: if a run folder is damaged.
    """
    found = []
    for path in sorted(kit.glob("runs/*/job.toml")):
        reports = history(path.parent)
        last = reports[-1] if reports else None
        sites, refused = (tuple(last.samples), dict(last.refused)) if last else ((), {})
        scalars = last.scalars if last else {}
        job, watch = read_job(path), read_watch(path.parent, datetime.now(UTC))
        failure = read_failure(path.parent)
        found.append(Run(job, len(reports), sites, refused, failure, scalars, watch))
    return found
