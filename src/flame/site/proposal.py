"""A job as it was offered to a site: what the coordinator asks, kept until people decide and for ever after.

The text of a job is data from outside. Nothing of it is looked up, imported or believed here: it is read, kept and
shown. That text and hash belong together can only be said by who knows what a job is, see `federation.job.job_hash`.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError, model_validator

from flame.errors import ConfigError, DataError, PolicyError
from flame.files import write_bytes
from flame.settings import Settings
from flame.site.entries import Hash, Name, canonical, digest

__all__ = [
    "OfferedArray",
    "Proposal",
    "find_job",
    "job_folder",
    "offered_jobs",
    "proposal_digest",
    "read_proposal",
    "write_proposal",
]

_HASH = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{8,64}")
_FILE = "proposal.json"

Size = Annotated[int, Field(ge=0, le=10**9)]


class OfferedArray(Settings):
    """An array that an update of the job would hold: its name and shape, float32."""

    name: Name
    shape: Annotated[tuple[Size, ...], Field(max_length=8)]


class Proposal(Settings):
    """What a job asks of a site.

    Args:
        job: hash of the job, 64 hexadecimal digits.
        task: what the peer says that it is about; must be the task in the text.
        peer: who offers it.
        text: content of its `job.toml`, at most 100,000 characters.
        arrays: what an update would hold.
        sites: names of all that take part, in name order; none in an offer that does not say.

    Raises: ValueError: if the text is not TOML, names another task, or lacks a model or a number of rounds.
    """

    job: Hash
    task: Name
    peer: Name
    text: Annotated[str, StringConstraints(max_length=100_000)]
    arrays: Annotated[tuple[OfferedArray, ...], Field(max_length=10_000)]
    sites: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _readable(self) -> "Proposal":
        try:
            found = tomllib.loads(self.text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise ValueError(f"the job's text is not TOML: {error}") from error
        if found.get("task") != self.task:
            raise ValueError(f"the job's text has the task {found.get('task')!r}, offered as {self.task!r}")
        if not isinstance(found.get("model"), str):
            raise ValueError("the job's text names no model")
        if type(found.get("rounds")) is not int or found["rounds"] < 1:
            raise ValueError("the job's text has no whole number of rounds")
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """The job's settings, table by table."""
        return tomllib.loads(self.text)

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.settings["model"])

    @property
    def rounds(self) -> int:
        """Number of rounds, >= 1."""
        return int(self.settings["rounds"])

    @property
    def masked(self) -> bool:
        """Whether updates leave under masks; only the word `true` says so."""
        return self._privacy.get("secure_aggregation") is True

    @property
    def summed(self) -> int:
        """Fewest sites whose updates a sum under masks holds: the quorum, or just above half if that is more."""
        limits = self.settings.get("limits")
        quorum = limits.get("quorum") if isinstance(limits, dict) else 1
        return max(quorum if isinstance(quorum, int) else 1, len(self.sites) // 2 + 1)

    @property
    def noise_multiplier(self) -> float:
        """Noise in each step of training, in units of the largest gradient that a patient counts with; 0 is none."""
        found = self._privacy.get("noise_multiplier", 0.0)
        return float(found) if isinstance(found, int | float) and found > 0 else 0.0

    @property
    def scored(self) -> bool:
        """Whether models are scored here once the rounds are over."""
        held_back = self._table("selection").get("held_back", 0.0)
        return bool(held_back) and self._table("evaluation").get("cross_site") != "none"

    @property
    def passes_on(self) -> bool:
        """Whether a model that is trained here alone goes to the other sites."""
        return self._table("evaluation").get("cross_site") == "each_site"

    @property
    def _privacy(self) -> dict[str, Any]:
        return self._table("privacy")

    def _table(self, name: str) -> dict[str, Any]:
        found = self.settings.get(name)
        return found if isinstance(found, dict) else {}


def job_folder(folder: Path, job: str) -> Path:
    """Where a site keeps a job that it was offered.

    Raises: PolicyError: if it was not.
    """
    path = _folder(folder, job)
    if not (path / _FILE).exists():
        raise PolicyError(f"The job {job[:8]} was never offered to this site", "Look at `flame site jobs`.")
    return path


def write_proposal(folder: Path, proposal: Proposal) -> Path:
    """Keep a proposal, atomically. Returns: the file."""
    path = _folder(folder, proposal.job) / _FILE
    write_bytes(path, canonical(proposal.model_dump(mode="json")) + b"\n")
    return path


def read_proposal(folder: Path, job: str) -> Proposal:
    """The proposal of a job.

    Raises:
        PolicyError: if the job was never offered.
        DataError: if the file was damaged.
    """
    path = job_folder(folder, job) / _FILE
    try:
        proposal = Proposal.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise _damaged(path) from error
    if proposal.job != job:
        raise _damaged(path)
    return proposal


def proposal_digest(folder: Path, job: str) -> str:
    """SHA-256 of the file that holds a proposal, 64 hexadecimal digits: what a decision is about.

    Raises: PolicyError: if the job was never offered.
    """
    return digest((job_folder(folder, job) / _FILE).read_bytes())


def offered_jobs(folder: Path) -> tuple[str, ...]:
    """Hashes of all jobs that were ever offered to a site, in their own order."""
    found = (path.parent.name for path in (folder / "jobs").glob(f"*/{_FILE}"))
    return tuple(sorted(name for name in found if _HASH.fullmatch(name)))


def find_job(folder: Path, prefix: str) -> str:
    """The hash of the offered job that begins with `prefix`, at least 8 of its digits.

    Raises: ConfigError: if none does, several do, or it is too short.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ConfigError(f"{prefix!r} is not the beginning of a job's hash", "Give 8 to 64 of its digits, 0-9a-f.")
    found = [job for job in offered_jobs(folder) if job.startswith(prefix)]
    if not found:
        raise ConfigError(f"No job that was offered begins with {prefix}", "Look at `flame site jobs`.")
    if len(found) > 1:
        raise ConfigError(f"{len(found)} jobs begin with {prefix}", "Give more digits.")
    return found[0]


def _folder(folder: Path, job: str) -> Path:
    if not _HASH.fullmatch(job):
        raise PolicyError(f"{job!r} is not the hash of a job", "It has 64 digits, 0-9a-f.")
    return folder / "jobs" / job


def _damaged(path: Path) -> DataError:
    return DataError(f"{path} was damaged", "Restore it from a copy; the job is off until then.")
