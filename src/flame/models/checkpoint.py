"""A trained model on disk: safetensors and JSON, loaded without executing anything."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

import flame
from flame.errors import ConfigError, DataError
from flame.files import read_json, write_bytes, write_json
from flame.imaging.cube import Crop
from flame.imaging.prepare import Context
from flame.models.encoding import scalar_names, volume_names
from flame.models.familiarity import InputSummary
from flame.models.networks import NetworkEvolution, NetworkResponse, Task, as_model, build_network
from flame.models.weights import set_arrays
from flame.records.patient import REGIONS, Arm
from flame.settings import Settings

__all__ = ["ModelCard", "load_evolution", "load_model", "load_response", "read_card", "save_model"]

INTENDED_USE = "Research on federated learning. Not a medical device; not for decisions about a patient."


class ModelCard(Settings):
    """What a model is and where it comes from.

    Attributes:
        task, model, context: what `build_network` makes the network from.
        crop: the learning grid.
        trained: local, federated or pooled.
        samples: training samples by site.
        offered: site -> arm -> patients that it was trained on.
        rounds: rounds of training.
        parameters: number of parameters.
        inputs: what training patients looked like; None where nobody could look at them all, as over hospitals.
        regions, channels, scalars: meaning of outputs and inputs; a model of other meanings is refused.
    """

    format: Literal["flame-model/1"] = "flame-model/1"
    flame: str = flame.__version__
    intended_use: str = INTENDED_USE
    task: Task
    model: str
    context: Context
    crop: Crop
    trained: Literal["local", "federated", "pooled"]
    samples: dict[str, int]
    offered: dict[str, dict[Arm, int]]
    rounds: int = Field(ge=1)
    parameters: int = Field(ge=0)
    inputs: InputSummary | None = None
    regions: tuple[str, ...] = tuple(REGIONS)
    channels: tuple[str, ...]
    scalars: tuple[str, ...]


def save_model(folder: Path, arrays: Mapping[str, NDArray[np.float32]], card: ModelCard) -> None:
    """Write `model.safetensors`, then `model.json`; a folder with a `model.json` is whole."""
    contiguous = {name: np.ascontiguousarray(array, np.float32) for name, array in sorted(arrays.items())}
    write_bytes(folder / "model.safetensors", save(contiguous))
    write_json(folder / "model.json", card.model_dump(mode="json"))


def read_card(folder: Path) -> ModelCard:
    """The model's card.

    Raises: DataError: if there is none, or it is of another format.
    """
    path = folder / "model.json"
    try:
        return ModelCard.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path} is not a model card: {key}: {first['msg']}", "Give the folder of a model.") from error


def load_model(folder: Path) -> tuple[NetworkResponse | NetworkEvolution, ModelCard]:
    """A trained model and its card.

    Raises:
        DataError: if a file is missing or damaged, or the arrays are not those of the model that the card names.
        ConfigError: if the card names a model that this FLAME does not have.
    """
    card = read_card(folder)
    network = build_network(card.task, card.model, card.context, seed=0)
    expected = (tuple(REGIONS), volume_names(card.context), scalar_names(card.context))
    if (card.regions, card.channels, card.scalars) != expected:
        raise DataError(
            f"{folder} was trained by FLAME {card.flame} on inputs of another meaning", "Use that version, or retrain."
        )
    path = folder / "model.safetensors"
    try:
        arrays = load(path.read_bytes())
    except (FileNotFoundError, SafetensorError) as error:
        raise DataError(f"{path} is missing or damaged: {error}", "Restore the file or train again.") from error
    set_arrays(network, arrays)
    return as_model(card.task, network, card.context), card


def load_evolution(folder: Path) -> tuple[NetworkEvolution, ModelCard]:
    """`load_model` for a model that must be of evolution.

    Raises: ConfigError: if it is of another task; else as `load_model`.
    """
    model, card = load_model(folder)
    if not isinstance(model, NetworkEvolution):
        raise ConfigError(f"{folder} holds a model of {card.task}", "Give the folder of an evolution model.")
    return model, card


def load_response(folder: Path) -> tuple[NetworkResponse, ModelCard]:
    """`load_model` for a model that must be of response.

    Raises: ConfigError: if it is of another task; else as `load_model`.
    """
    model, card = load_model(folder)
    if not isinstance(model, NetworkResponse):
        raise ConfigError(f"{folder} holds a model of {card.task}", "Give the folder of a response model.")
    return model, card
