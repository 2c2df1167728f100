"""A job: one federated training, described by data alone and kept as `job.toml`.

Nothing in a job names code to import: task, model and aggregation are names that the installed FLAME looks up. Two
sites that hold the same job hold the same hash, whatever the order or the layout of the file that it came from.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from flame.files import write_text
from flame.imaging.cube import Crop
from flame.learning.settings import TrainingSettings
from flame.settings import Settings, read_toml

__all__ = [
    "Aggregation",
    "Crop",
    "Evaluation",
    "FedAdam",
    "FedAvg",
    "FedAvgM",
    "FedProx",
    "Job",
    "Limits",
    "Median",
    "Privacy",
    "Selection",
    "TrainingSettings",
    "TrimmedMean",
    "job_hash",
    "job_text",
    "read_job",
    "write_job",
]

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]


class FedAvg(Settings):
    """Mean of the sites' differences weighted by their samples (McMahan 2017)."""

    name: Literal["fedavg"] = "fedavg"


class FedProx(Settings):
    """FedAvg at the coordinator; sites train with a pull `training.proximal_mu` to the round's model (Li 2020)."""

    name: Literal["fedprox"] = "fedprox"


class FedAvgM(Settings):
    """FedAvg followed by momentum at the coordinator (Hsu 2019)."""

    name: Literal["fedavgm"] = "fedavgm"
    server_learning_rate: Positive = 1.0
    momentum: Share = 0.9


class FedAdam(Settings):
    """FedAvg followed by Adam at the coordinator (Reddi 2021); `momentum` is its beta1, `epsilon` its tau."""

    name: Literal["fedadam"] = "fedadam"
    server_learning_rate: Positive = 0.01
    momentum: Share = 0.9
    beta2: Share = 0.99
    epsilon: Positive = 1e-3


class Median(Settings):
    """Median of the sites' differences, coordinate by coordinate, every site with one vote (Yin 2018)."""

    name: Literal["median"] = "median"


class TrimmedMean(Settings):
    """Mean without the largest and smallest share `trim` of the sites, coordinate by coordinate (Yin 2018)."""

    name: Literal["trimmed_mean"] = "trimmed_mean"
    trim: float = Field(default=0.2, ge=0.0, lt=0.5)


Aggregation = Annotated[FedAvg | FedProx | FedAvgM | FedAdam | Median | TrimmedMean, Field(discriminator="name")]


class Limits(Settings):
    """What a round needs and what an update may be.

    Args:
        quorum: number of valid updates without which a round is not closed.
        max_update_norm: largest Euclidean norm of a site's difference over all arrays together.
        grace_s: how long a round waits for the others once the quorum is there [s]; sites on one machine all answer.
        deadline_s: how long a round waits at all [s]; under masks, each of its two long stages.
    """

    quorum: int = Field(default=1, ge=1)
    max_update_norm: Positive = 1000.0
    grace_s: float = Field(default=60.0, ge=0)
    deadline_s: Positive = 3600.0


class Privacy(Settings):
    """What hides a site in the sum of all, and a patient in a site's update.

    Args:
        secure_aggregation: sites mask their updates, and the coordinator learns their sum alone (`privacy`).
        max_samples: most samples of a site under secure aggregation; it sets the width of the sum (`masks.FixedPoint`).
        noise_multiplier: standard deviation of the noise in each training step, in units of `clip_norm`; 0 is training
            without differential privacy.
        clip_norm: largest Euclidean norm with which one patient's gradient counts in a step.
    """

    secure_aggregation: bool = False
    max_samples: int = Field(default=2**16, ge=1)
    noise_multiplier: float = Field(default=0.0, ge=0)
    clip_norm: Positive = 1.0


class Selection(Settings):
    """Which round's model is the job's, declared before it begins (`federation.selection`).

    Args:
        rule: `last`, the model after the last round; or the best by the sites' `mean` score, or by the `worst` site's,
            among those that rounds began with and the last.
        held_back: share of each site's patients on whom models are scored and none is trained; with 0 nothing is.
        patience: rounds without a better model after which the job ends; 0 runs all rounds.
    """

    rule: Literal["last", "mean", "worst"] = "last"
    held_back: float = Field(default=0.0, ge=0, le=0.5)
    patience: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _scored(self) -> "Selection":
        if self.rule != "last" and self.held_back == 0.0:
            raise ValueError(f"rule {self.rule} with held_back = 0.0: a score needs patients held back")
        if self.rule == "last" and self.patience > 0:
            raise ValueError("patience needs a rule that scores models: mean or worst")
        return self


class Evaluation(Settings):
    """What sites score after the last round, on the patients whom they hold back (`federation.closing`).

    Args:
        cross_site: `final`, the model after the last round and the one that is kept; `each_site`, also a model that
            each site trained alone, which all the other sites then see; or `none`. Where no patients are held back
            nothing is scored.
    """

    cross_site: Literal["none", "final", "each_site"] = "final"


class Job(Settings):
    """One federated training.

    Args:
        task: `response` or `evolution`.
        model: name of a model of that task.
        context: the exams that the model may use.
        seed: seed of every random draw, >= 0.
        rounds: number of rounds.
        training: what a site does in a round.
        aggregation: how the sites' differences become one step.
        limits: quorum and bounds.
        privacy: masks and noise.
        selection: which round's model is kept.
        crop: the voxels that the model sees.
    """

    task: Literal["response", "evolution"]
    model: Name
    context: Literal["pre_rt", "first_post_rt"]
    seed: int = Field(ge=0)
    rounds: int = Field(ge=1)
    training: TrainingSettings = TrainingSettings()
    aggregation: Aggregation = FedAvg()
    limits: Limits = Limits()
    privacy: Privacy = Privacy()
    selection: Selection = Selection()
    evaluation: Evaluation = Evaluation()
    crop: Crop = Crop()

    @model_validator(mode="after")
    def _proximal(self) -> "Job":
        if self.aggregation.name == "fedprox" and self.training.proximal_mu == 0.0:
            raise ValueError("aggregation fedprox needs training.proximal_mu > 0")
        return self

    @model_validator(mode="after")
    def _summed(self) -> "Job":
        if self.privacy.secure_aggregation and self.aggregation.name in ("median", "trimmed_mean"):
            raise ValueError(f"aggregation {self.aggregation.name} looks at single updates, which masks hide")
        return self

    @model_validator(mode="after")
    def _told(self) -> "Job":
        hides = self.privacy.secure_aggregation or self.privacy.noise_multiplier > 0
        if self.passes_models_on and hides:
            raise ValueError("evaluation each_site passes each site's own model on, which privacy is to hide")
        if self.selection.held_back > 0 and hides:
            raise ValueError(f"selection {self.selection.rule} tells each site's score, which privacy is to hide")
        if self.passes_models_on and self.selection.held_back == 0:
            raise ValueError("evaluation each_site needs selection.held_back > 0: a score needs patients held back")
        return self

    @model_serializer(mode="wrap")
    def _without_defaults(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A job that asks for no other evaluation has the text and the hash that it had before there was one."""
        found: dict[str, Any] = plain(self)
        if self.evaluation == Evaluation():
            found.pop("evaluation", None)
        return found

    @property
    def passes_models_on(self) -> bool:
        """Whether a model that each site trained alone goes to all the others."""
        return self.evaluation.cross_site == "each_site"

    @property
    def scores_at_the_end(self) -> bool:
        """Whether sites score models after the last round."""
        return self.selection.held_back > 0 and self.evaluation.cross_site != "none"


def job_hash(job: Job) -> str:
    """SHA-256 of the job's canonical JSON, 64 hexadecimal digits; it ties updates and states to the job."""
    canonical = json.dumps(job.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_job(path: Path) -> Job:
    """Read a `job.toml`.

    Raises: ConfigError: if it is missing, not TOML, or a value is out of its range; the message names the key.
    """
    return read_toml(path, Job)


def write_job(path: Path, job: Job) -> None:
    """Write `job` as TOML, atomically; `read_job` gives an equal job back."""
    write_text(path, job_text(job))


def job_text(job: Job) -> str:
    """The job as TOML."""
    return _toml(job.model_dump(mode="json"))


def _toml(tables: dict[str, Any]) -> str:
    """TOML text of a mapping whose values are numbers, strings, booleans or flat mappings of these."""
    lines = [f"{key} = {_toml_value(value)}" for key, value in tables.items() if not isinstance(value, dict)]
    for name, table in tables.items():
        if isinstance(table, dict):
            lines += ["", f"[{name}]", *(f"{key} = {_toml_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _toml_value(value: bool | int | float | str) -> str:
    """JSON's words for these four types are TOML's too, DEL excepted, which no name may hold."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False)
