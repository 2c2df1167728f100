"""A round of training: deterministic, able to learn, and pulled back where FedProx asks for it."""

import math

import numpy as np
import pytest
import torch
from tests.learning.stores import store

from flame.errors import DataError
from flame.learning.settings import TrainingSettings
from flame.learning.training import Trained, computes_bf16, learning_rate, refuse_one_class, train_round, usable_rows
from flame.metrics.overlap import dice
from flame.models.blocks import unfold
from flame.models.encoding import region_maps
from flame.models.networks import build_network
from flame.models.weights import get_arrays, set_arrays

GROWING = [store([(10.0 + n, 13.0 + n, 17.0 + n, 20.0 + n) for n in range(2)])]
MIXED = [
    store([(20.0, 18.0, 15.0, 12.0), (20.0, 15.0, 15.0, 25.0), (18.0, 16.0, 14.0, 12.0), (16.0, 12.0, 14.0, 24.0)])
]
PLAIN = TrainingSettings(batch_size=2, learning_rate=3e-3, cosine=False)


def rounds(count: int, settings: TrainingSettings = PLAIN, total: int | None = None) -> Trained:
    network = build_network("evolution", "unet", "first_post_rt", 0)
    arrays = get_arrays(network)
    for number in range(count):
        trained = train_round(network, arrays, GROWING, "evolution", settings, number, total or count, seed=1)
        arrays = trained.arrays
    return trained


def test_the_same_round_gives_the_same_bytes() -> None:
    first, second = rounds(2), rounds(2)
    assert all(first.arrays[name].tobytes() == second.arrays[name].tobytes() for name in first.arrays)
    assert (first.samples, first.scalars) == (2, second.scalars)


def test_it_overfits_two_patients_that_grow() -> None:
    trained = rounds(120, TrainingSettings(batch_size=2, learning_rate=5e-3))
    network = build_network("evolution", "unet", "first_post_rt", 0)
    set_arrays(network, trained.arrays)
    samples, gains = GROWING[0], []
    for place in range(2):
        volumes = torch.from_numpy(samples.volumes[place : place + 1].astype(np.float32))
        scalars = torch.from_numpy(samples.scalars[place : place + 1])
        with torch.inference_mode():
            maps = unfold(network(volumes, scalars, torch.tensor([[91, 182]])))[0].numpy() > 0
        last = samples.volumes[place, :3] > 0
        for number in range(2):
            truth = region_maps(samples.labels[place, number])
            gains.append([dice(maps[number, r], truth[r]) - dice(last[r], truth[r]) for r in range(3)])
    assert (np.mean(gains, axis=0) > 0.05).all(), np.mean(gains, axis=0)


def test_fedprox_pulls_towards_where_the_round_began() -> None:
    start = get_arrays(build_network("evolution", "unet", "first_post_rt", 0))

    def moved(mu: float) -> float:
        settings = TrainingSettings(batch_size=1, learning_rate=3e-3, proximal_mu=mu, cosine=False, epochs_per_round=6)
        arrays = rounds(1, settings).arrays
        return math.sqrt(sum(float(((arrays[name] - start[name]) ** 2).sum()) for name in start))

    assert moved(10.0) < 0.7 * moved(0.0)


def test_bf16_learns_nearly_the_same() -> None:
    settings = PLAIN.model_copy(update={"precision": "bf16"})
    assert rounds(3, settings).scalars["loss"] == pytest.approx(rounds(3).scalars["loss"], rel=0.05)


def test_automatic_precision_is_the_one_that_the_processor_computes_in() -> None:
    native = "bf16" if computes_bf16(torch.device("cpu")) else "float32"
    first, second = (
        rounds(1, PLAIN.model_copy(update={"precision": precision})).arrays for precision in ("auto", native)
    )
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_response_learns_from_known_endpoints_only() -> None:
    network = build_network("response", "clinical_volumes", "first_post_rt", 0)
    settings = TrainingSettings(learning_rate=0.05, epochs_per_round=60, cosine=False)
    trained = train_round(network, get_arrays(network), MIXED, "response", settings, 0, 1, seed=0)
    assert trained.samples == 4
    assert trained.scalars["loss"] < math.log(2)


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 0.1), (0.05, 0.01 + 0.99 * 0.5 * (1 + math.cos(0.05 * math.pi))), (1.0, 0.01)]
)
def test_the_rate_rises_and_falls(progress: float, expected: float) -> None:
    settings = TrainingSettings(learning_rate=1.0, warmup=True)
    assert learning_rate(settings, progress) == pytest.approx(expected, abs=1e-9)


def test_nothing_to_learn_from_is_refused_with_the_site() -> None:
    unseen = [store([(10.0, 12.0)])]
    with pytest.raises(DataError, match="site-1: no patient has an outcome to learn evolution"):
        usable_rows(unseen, "evolution")


def test_one_class_is_refused_and_named() -> None:
    with pytest.raises(DataError, match="all 2 patients with a known response are non-responders"):
        refuse_one_class(GROWING)
    refuse_one_class(MIXED)
