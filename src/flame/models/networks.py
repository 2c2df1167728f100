"""Networks by name, and networks as models: what was trained, put behind the face that baselines have too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from flame.errors import ConfigError
from flame.imaging.prepare import Context, PreparedCourse, PreparedPatient
from flame.models.blocks import unfold
from flame.models.encoding import encode, is_clinical, scalar_names, volume_names
from flame.models.prediction import Maps
from flame.models.response import ImageResponse, LinearResponse
from flame.models.unet import EvolutionNetwork
from flame.seeds import derive

__all__ = ["NETWORKS", "NetworkEvolution", "NetworkResponse", "Task", "as_model", "build_network"]

Task = Literal["response", "evolution"]

NETWORKS: dict[Task, tuple[str, ...]] = {
    "response": ("prevalence", "clinical", "clinical_volumes", "network"),
    "evolution": ("unet",),
}
"""Names of what can be trained for each task."""


def build_network(task: Task, name: str, context: Context, seed: int) -> nn.Module:
    """A network with its initial parameters, which depend on the arguments alone.

    Raises: ConfigError: if the task has no network of this name.
    """
    if name not in NETWORKS.get(task, ()):
        known = ", ".join(f"{task}: {', '.join(names)}" for task, names in NETWORKS.items())
        raise ConfigError(f"There is no model {name!r} for task {task!r}", f"Choose one of {known}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "network", task, name, context))
        return _build(name, context)


def _build(name: str, context: Context) -> nn.Module:
    names = scalar_names(context)
    clinical = tuple(number for number, scalar in enumerate(names) if is_clinical(scalar))
    measured = tuple(number for number, scalar in enumerate(names) if is_clinical(scalar) or "volume_" in scalar)
    if name == "prevalence":
        return LinearResponse(())
    if name == "clinical":
        return LinearResponse(clinical)
    if name == "clinical_volumes":
        return LinearResponse(measured)
    if name == "network":
        return ImageResponse(len(volume_names(context)), measured)
    return EvolutionNetwork(len(volume_names(context)), len(names))


@dataclass(frozen=True, eq=False)
class NetworkResponse:
    """A response network and the context that it was trained in."""

    network: nn.Module
    context: Context

    def predict(self, patient: PreparedPatient, course: PreparedCourse, horizon: int) -> float:  # noqa: ARG002
        """See `prediction.ResponseModel`; the endpoint has one horizon, so `horizon` changes nothing."""
        seen = encode(patient, course, self.context)
        volumes, scalars = torch.from_numpy(seen.halved[None]).float(), torch.from_numpy(seen.scalars[None])
        with torch.inference_mode():
            return float(torch.sigmoid(self.network(volumes, scalars))[0])


@dataclass(frozen=True, eq=False)
class NetworkEvolution:
    """An evolution network and the context that it was trained in."""

    network: nn.Module
    context: Context

    def predict(self, patient: PreparedPatient, course: PreparedCourse, horizon: int) -> Maps:
        """See `prediction.EvolutionModel`."""
        return self.predict_many(patient, course, [horizon])[0]

    def predict_many(self, patient: PreparedPatient, course: PreparedCourse, horizons: Sequence[int]) -> list[Maps]:
        """See `prediction.EvolutionModel`; encoder and decoder run once for all horizons."""
        if not horizons:
            return []
        seen = encode(patient, course, self.context)
        volumes, scalars = torch.from_numpy(seen.volumes[None]).float(), torch.from_numpy(seen.scalars[None])
        with torch.inference_mode():
            logits = unfold(self.network(volumes, scalars, torch.tensor([list(horizons)])))[0]
            return [maps.numpy() for maps in torch.sigmoid(logits.float())]


def as_model(task: Task, network: nn.Module, context: Context) -> NetworkResponse | NetworkEvolution:
    """Put a trained network behind the face of its task's models."""
    network.eval()
    return NetworkResponse(network, context) if task == "response" else NetworkEvolution(network, context)
