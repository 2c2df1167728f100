"""Models on disk: the same bytes back, and nothing loaded that is not what its card says."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.models.patients import patient

from flame.errors import ConfigError, DataError
from flame.imaging.cube import Crop
from flame.models.checkpoint import ModelCard, load_evolution, load_model, save_model
from flame.models.encoding import scalar_names, volume_names
from flame.models.networks import build_network
from flame.models.weights import get_arrays


def saved(folder: Path, task: str = "evolution", model: str = "unet") -> ModelCard:
    card = ModelCard(
        task=task,
        model=model,
        context="pre_rt",
        crop=Crop(),
        trained="federated",
        samples={"site-1": 5},
        offered={"site-1": {"photon": 5}},
        rounds=2,
        parameters=1,
        channels=volume_names("pre_rt"),
        scalars=scalar_names("pre_rt"),
    )
    save_model(folder, get_arrays(build_network(task, model, "pre_rt", 3)), card)
    return card


def test_a_model_comes_back_with_its_card_and_its_predictions(tmp_path: Path) -> None:
    card = saved(tmp_path)
    model, found = load_evolution(tmp_path)
    assert found == card
    one = patient()
    again, _ = load_evolution(tmp_path)
    assert np.array_equal(model.predict(one, one.courses[0], 91), again.predict(one, one.courses[0], 91))


def test_equal_models_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        saved(tmp_path / name)
    for file in ("model.safetensors", "model.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_response_model_is_not_an_evolution_model(tmp_path: Path) -> None:
    saved(tmp_path, "response", "clinical")
    with pytest.raises(ConfigError, match="a model of response"):
        load_evolution(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("model", "oracle", ConfigError),
        ("context", "tomorrow", DataError),
        ("regions", ["WT", "TC", "ET"], DataError),
        ("channels", ["one"], DataError),
        ("surprise", 1, DataError),
    ],
)
def test_a_card_that_says_something_else_is_refused(
    tmp_path: Path, key: str, value: object, error: type[Exception]
) -> None:
    saved(tmp_path)
    path = tmp_path / "model.json"
    content = json.loads(path.read_text())
    content[key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(error):
        load_model(tmp_path)


def test_damaged_or_missing_arrays_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="missing or damaged"):
        load_model(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match="missing or damaged"):
        load_model(tmp_path)


def test_arrays_of_another_model_are_refused_by_name(tmp_path: Path) -> None:
    card = saved(tmp_path)
    save_model(tmp_path, get_arrays(build_network("response", "clinical", "pre_rt", 0)), card)
    with pytest.raises(DataError, match="Array"):
        load_model(tmp_path)
