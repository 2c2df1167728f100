"""Networks by name, and behind the face of a model."""

import numpy as np
import pytest
import torch
from tests.models.patients import patient
from torch import nn

from flame.errors import ConfigError
from flame.imaging.prepare import CONTEXTS, Context
from flame.models.blocks import Block, convolved, fold, unfold
from flame.models.encoding import encode, region_maps
from flame.models.networks import NETWORKS, NetworkEvolution, NetworkResponse, as_model, build_network
from flame.models.weights import get_arrays

KINDS = [(task, name, context) for task, names in NETWORKS.items() for name in names for context in CONTEXTS]


def awake(network: nn.Module) -> nn.Module:
    """Move every parameter a little, so that parts which start at zero take part."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.mark.parametrize(("task", "name", "context"), KINDS)
def test_the_same_seed_builds_the_same_network_and_leaves_the_global_one_alone(
    task: str, name: str, context: Context
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = (get_arrays(build_network(task, name, context, 7)) for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    assert all(np.array_equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(("task", "name", "context"), KINDS)
def test_no_network_keeps_statistics_of_batches(task: str, name: str, context: Context) -> None:
    network = build_network(task, name, context, 0)
    assert not list(network.buffers())
    assert {key for key, _ in network.named_parameters()} == set(network.state_dict())


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no model 'oracle'") as caught:
        build_network("response", "oracle", "pre_rt", 0)
    assert "clinical_volumes" in caught.value.hint


def test_before_training_evolution_is_the_last_map() -> None:
    one = patient(radii_mm=(10.0, 15.0, 20.0))
    model = as_model("evolution", build_network("evolution", "unet", "first_post_rt", 0), "first_post_rt")
    assert isinstance(model, NetworkEvolution)
    maps = model.predict(one, one.courses[0], 182)
    assert ((maps >= 0.5) == region_maps(one.exams[1].label_map)).all()


def test_many_horizons_at_once_are_the_horizons_one_by_one() -> None:
    one = patient()
    network = awake(build_network("evolution", "unet", "first_post_rt", 0))
    model = NetworkEvolution(network, "first_post_rt")
    together = model.predict_many(one, one.courses[0], [91, 365])
    for horizon, maps in zip((91, 365), together, strict=True):
        assert model.predict(one, one.courses[0], horizon) == pytest.approx(maps, abs=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-3  # the horizon reaches the output
    assert model.predict_many(one, one.courses[0], []) == []


def test_the_arm_reaches_the_output() -> None:
    network = awake(build_network("evolution", "unet", "pre_rt", 0))
    model = NetworkEvolution(network, "pre_rt")
    photon, carbon = patient(arm="photon"), patient(arm="carbon")
    gap = model.predict(photon, photon.courses[0], 91) - model.predict(carbon, carbon.courses[0], 91)
    assert np.abs(gap).max() > 1e-4


def test_prediction_is_the_network_on_the_encoded_patient() -> None:
    one = patient()
    network = awake(build_network("evolution", "unet", "pre_rt", 0))
    seen = encode(one, one.courses[0], "pre_rt")
    with torch.inference_mode():
        volumes = torch.from_numpy(seen.volumes[None]).float()
        logits = network(volumes, torch.from_numpy(seen.scalars[None]), torch.tensor([[91]]))
    expected = torch.sigmoid(unfold(logits))[0, 0].numpy()
    assert NetworkEvolution(network, "pre_rt").predict(one, one.courses[0], 91) == pytest.approx(expected, abs=1e-6)


def test_a_response_is_a_probability_and_images_count_for_the_network_only() -> None:
    plain, other = patient(seed=0), patient(seed=1)  # the same but for the noise of their images
    for name, differs in (("clinical", False), ("clinical_volumes", False), ("network", True)):
        model = NetworkResponse(awake(build_network("response", name, "pre_rt", 0)), "pre_rt")
        first, second = (model.predict(one, one.courses[0], 182) for one in (plain, other))
        assert 0 < first < 1
        assert (abs(first - second) > 1e-7) == differs, name


def test_folding_loses_nothing() -> None:
    volumes = torch.arange(2 * 3 * 4 * 6 * 8, dtype=torch.float32).reshape(2, 3, 4, 6, 8)
    assert fold(volumes).shape == (2, 24, 2, 3, 4)
    assert torch.equal(unfold(fold(volumes)), volumes)
    with pytest.raises(ValueError, match="even"):
        fold(torch.zeros(1, 1, 3, 4, 4))


@pytest.mark.parametrize("shape", [(1, 3, 8, 6, 7), (1, 3, 2, 4, 4), (1, 3, 5, 4, 4), (2, 3, 8, 4, 4)])
def test_one_sample_is_convolved_in_two_halves_as_in_one_piece(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn((4, 3, 3, 3, 3), generator=generator, dtype=torch.float64)
    found = []
    for convolution in (convolved, lambda features, weight: nn.functional.conv3d(features, weight, padding=1)):
        inputs = [torch.randn(shape, generator=torch.Generator().manual_seed(3)).double(), weight.clone()]
        for tensor in inputs:
            tensor.requires_grad_()
        result = convolution(*inputs)
        (result**2).sum().backward()
        found.append([result.detach(), *(tensor.grad for tensor in inputs)])
    for mine, torchs in zip(*found, strict=True):
        assert torch.allclose(mine, torchs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("side", [2, 3, 8])
def test_gradients_in_bf16_are_those_in_float32_on_small_grids_too(side: int) -> None:
    generator = torch.Generator().manual_seed(0)
    block = Block(48, 4)
    features = torch.randn((2, 48, side, side, side), generator=generator)
    embedding = torch.randn((2, 4), generator=generator)
    gradients = []
    for precise in (True, False):
        block.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            found = block(features, embedding)
        (found.float() ** 2).sum().backward()
        gradients.append(block.convolution.weight.grad.clone())
    assert (gradients[0] - gradients[1]).norm() < 0.05 * gradients[0].norm()
