"""The coordinator's step against values worked out by hand and against torch's optimisers."""

import numpy as np
import pytest
import torch

from flame.federation.job import FedAdam, FedAvg, FedAvgM, FedProx, Median, TrimmedMean
from flame.federation.optimiser import first_moments, step

MODEL = {"w": np.array([1.0, -2.0], np.float32), "b": np.full((), 0.5, np.float32)}


def differences(rounds):
    draw = np.random.default_rng(3)
    return [
        {"w": draw.normal(size=2).astype(np.float32), "b": np.asarray(draw.normal(), np.float32)} for _ in range(rounds)
    ]


def walk(rule, means):
    model, moments = MODEL, first_moments(rule, MODEL)
    for mean in means:
        model, moments = step(rule, moments, model, mean)
    return model


@pytest.mark.parametrize("rule", [FedAvg(), FedProx(), Median(), TrimmedMean()])
def test_rules_without_memory_add_the_mean(rule):
    mean = {"w": np.array([0.25, 1.0], np.float32), "b": np.full((), -1, np.float32)}
    model, moments = step(rule, first_moments(rule, MODEL), MODEL, mean)
    np.testing.assert_array_equal(model["w"], [1.25, -1.0])
    assert model["b"] == -0.5
    assert moments == {}


def test_fedavgm_without_momentum_is_fedavg():
    means = differences(5)
    for name in MODEL:
        assert walk(FedAvgM(momentum=0.0), means)[name].tobytes() == walk(FedAvg(), means)[name].tobytes()


def test_fedavgm_is_torch_sgd_with_momentum():
    """The mean difference in the place of a negative gradient; torch's momentum has no damping either."""
    means = differences(6)
    weight = torch.tensor(MODEL["w"], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD([weight], lr=0.7, momentum=0.9)
    for mean in means:
        weight.grad = -torch.tensor(mean["w"], dtype=torch.float64)
        optimiser.step()
    found = walk(FedAvgM(server_learning_rate=0.7, momentum=0.9), means)["w"]
    np.testing.assert_allclose(found, weight.detach().numpy(), rtol=1e-6)


def test_fedadam_first_step_by_hand():
    """beta1 = 0.5, beta2 = 0.75, tau = 1, v = tau**2: 4 gives m = 2, v = 4.75, step 2 / (sqrt(4.75) + 1)."""
    rule = FedAdam(server_learning_rate=1.0, momentum=0.5, beta2=0.75, epsilon=1.0)
    mean = {"w": np.array([4.0, 0.0], np.float32), "b": np.zeros((), np.float32)}
    model, moments = step(rule, first_moments(rule, MODEL), MODEL, mean)
    np.testing.assert_allclose(model["w"], [1 + 2 / (4.75**0.5 + 1), -2.0], rtol=1e-7)
    np.testing.assert_allclose(moments["second"]["w"], [4.75, 0.75])


def test_fedadam_never_moves_further_than_its_rate_in_the_first_round():
    """|m| = (1 - beta1) |d|, sqrt(v) >= sqrt(1 - beta2) |d|: a step is at most (1 - beta1) / sqrt(1 - beta2) rates."""
    huge = {name: np.full_like(array, 1e6) for name, array in MODEL.items()}
    moved = walk(FedAdam(server_learning_rate=0.1), [huge])["w"] - MODEL["w"]
    np.testing.assert_allclose(moved, 0.1 * 0.1 / 0.01**0.5, rtol=1e-4)


@pytest.mark.parametrize("rule", [FedAvg(), FedAvgM(), FedAdam()])
def test_step_changes_none_of_its_arguments(rule):
    model = {name: array.copy() for name, array in MODEL.items()}
    moments = first_moments(rule, model)
    before = {key: {name: array.copy() for name, array in arrays.items()} for key, arrays in moments.items()}
    step(rule, moments, model, differences(1)[0])
    for name in MODEL:
        np.testing.assert_array_equal(model[name], MODEL[name])
        for key in moments:
            np.testing.assert_array_equal(moments[key][name], before[key][name])


@pytest.mark.parametrize("rule", [FedAvg(), FedAvgM(), FedAdam()])
def test_everything_stays_float32_in_its_shape(rule):
    model, moments = step(rule, first_moments(rule, MODEL), MODEL, differences(1)[0])
    for arrays in [model, *moments.values()]:
        assert {name: (array.dtype, array.shape) for name, array in arrays.items()} == {
            name: (np.dtype(np.float32), array.shape) for name, array in MODEL.items()
        }
