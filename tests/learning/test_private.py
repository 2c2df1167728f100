"""One patient changes a noised step by a bounded amount, the noise is what it says, and it belongs to one question."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chi2
from tests.learning.stores import store

from flame.learning.losses import response_loss
from flame.learning.private import PatientNoise, clipped_sum, drawn_rows, normals, set_noised_gradient, uniforms
from flame.learning.settings import TrainingSettings
from flame.learning.training import Trained, train_round
from flame.models.networks import build_network
from flame.models.weights import get_arrays

SEED = bytes(range(32))
NOISE = PatientNoise(noise_multiplier=2.0, clip_norm=0.5, seed=SEED)
KNOWN = [
    store([(20.0, 18.0, 15.0, 12.0), (20.0, 15.0, 15.0, 25.0), (18.0, 16.0, 14.0, 12.0), (16.0, 12.0, 14.0, 24.0)])
]
VALUES = st.floats(-(2.0**100), 2.0**100, width=32) | st.sampled_from([math.nan, math.inf, -math.inf])


@given(
    st.lists(arrays(np.float32, 5, elements=VALUES), min_size=1, max_size=6),
    st.floats(1e-3, 1e3),
    st.data(),
)
def test_a_patient_more_or_less_changes_the_sum_by_at_most_the_bound(
    gradients: list[np.ndarray], clip_norm: float, data: st.DataObject
) -> None:
    gone = data.draw(st.integers(0, len(gradients) - 1))
    without = [one for place, one in enumerate(gradients) if place != gone]
    change = clipped_sum(gradients, clip_norm, 5) - clipped_sum(without, clip_norm, 5)
    assert np.linalg.norm(change) <= clip_norm * (1 + 1e-12)


def test_gradients_within_the_bound_are_added_as_they_are() -> None:
    found = clipped_sum([np.array([0.3, 0.4]), np.array([3.0, 4.0]), np.array([0.0, 0.0])], 0.5, 2)
    np.testing.assert_allclose(found, [0.3 + 0.3, 0.4 + 0.4])


def test_the_keystream_is_chacha20() -> None:
    """RFC 8439, appendix A.1, test vector 1: key and nonce of zeros."""
    word = int.from_bytes(bytes.fromhex("76b8e0ada0f13d90"), "little")
    assert uniforms(bytes(32), 1)[0] == (word >> 11) / 2**53


def test_the_noise_has_the_deviation_that_it_says() -> None:
    """Sum of squares of n standard normals is chi-squared; bounds with a chance of 1e-6 on each side."""
    network = build_network("response", "network", "first_post_rt", 0)
    set_noised_gradient(network, [], NOISE, step=3, expected=2.5)
    drawn = np.concatenate([parameter.grad.numpy().ravel() for parameter in network.parameters()])
    scaled = drawn.astype(float) * 2.5 / (2.0 * 0.5)
    assert chi2.ppf(1e-6, scaled.size) < (scaled**2).sum() < chi2.ppf(1 - 1e-6, scaled.size)
    assert abs(scaled.mean()) < 5 / math.sqrt(scaled.size)
    many = normals(SEED, 200_001)
    assert many.shape == (200_001,)
    assert np.mean(many**4) == pytest.approx(3, abs=5 * math.sqrt(96 / many.size))  # kurtosis of a normal


def test_each_patient_is_drawn_by_a_coin_of_their_own() -> None:
    rows = [(0, place) for place in range(40)]
    drawn = list(drawn_rows(rows, 0.25, 500, NOISE))
    sizes = np.array([len(one) for one in drawn])
    assert sizes.mean() == pytest.approx(10, abs=5 * math.sqrt(7.5 / 500))
    assert sizes.var() == pytest.approx(7.5, rel=0.35)  # of a binomial; shuffled batches would have none
    assert drawn == list(drawn_rows(rows, 0.25, 500, NOISE))
    assert drawn != list(drawn_rows(rows, 0.25, 500, replace(NOISE, seed=bytes(32))))
    fewer = list(drawn_rows(rows[:-1], 0.25, 500, NOISE))
    assert fewer == [[row for row in one if row != rows[-1]] for one in drawn]  # the others are drawn as before


def test_a_patients_augmentation_is_their_own() -> None:
    first = NOISE.augmentation(3, (0, 1)).initial_seed()
    assert first == NOISE.augmentation(3, (0, 1)).initial_seed()
    assert len({first, *(NOISE.augmentation(*other).initial_seed() for other in ((4, (0, 1)), (3, (0, 2))))}) == 3


@pytest.mark.parametrize(("task", "name"), [("response", "network"), ("evolution", "unet")])
def test_no_network_has_batch_statistics(task: str, name: str) -> None:
    """What a patient gives does not depend on who else is there."""
    network = build_network(task, name, "first_post_rt", 0).train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    source = KNOWN[0].halved if task == "response" else KNOWN[0].volumes
    volumes, scalars = torch.from_numpy(source[:2].astype(np.float32)), torch.from_numpy(KNOWN[0].scalars[:2])
    more = [] if task == "response" else [torch.tensor([[91, 182]] * 2)]
    together = network(volumes, scalars, *more)
    alone = [network(*(one[place : place + 1] for one in (volumes, scalars, *more))) for place in range(2)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)


def trained(noise: PatientNoise | None, **changes: float) -> Trained:
    network = build_network("response", "clinical_volumes", "first_post_rt", 0)
    settings = TrainingSettings(**({"batch_size": 2, "learning_rate": 0.05, "epochs_per_round": 2} | changes))
    return train_round(network, get_arrays(network), KNOWN, "response", settings, 0, 2, seed=1, noise=noise)


def test_the_same_noise_gives_the_same_bytes_and_another_seed_other_noise() -> None:
    first, second, other = trained(NOISE), trained(NOISE), trained(replace(NOISE, seed=bytes(32)))
    assert all(first.arrays[name].tobytes() == second.arrays[name].tobytes() for name in first.arrays)
    assert any(first.arrays[name].tobytes() != other.arrays[name].tobytes() for name in first.arrays)


def test_no_loss_is_reported_past_the_noise() -> None:
    assert trained(NOISE).scalars == {}
    assert trained(NOISE).samples == 4
    assert set(trained(None).scalars) == {"loss"}


def test_with_little_noise_and_a_wide_bound_it_is_the_gradient_of_the_mean() -> None:
    """All of the patients at once, by torch alone, against one by one."""
    network = build_network("response", "clinical_volumes", "first_post_rt", 0)
    scalars, responder = torch.from_numpy(KNOWN[0].scalars), torch.from_numpy(KNOWN[0].responder)
    response_loss(network(torch.empty(4, 0), scalars), responder).backward()
    whole = [parameter.grad for parameter in network.parameters()]
    losses = (
        response_loss(network(torch.empty(1, 0), scalars[row : row + 1]), responder[row : row + 1]) for row in range(4)
    )
    set_noised_gradient(network, losses, PatientNoise(1e-15, 10.0, SEED), step=0, expected=4)
    for parameter, expected in zip(network.parameters(), whole, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-5, atol=1e-7)


def test_fedprox_pulls_through_the_noise() -> None:
    start = get_arrays(build_network("response", "clinical_volumes", "first_post_rt", 0))

    def moved(mu: float) -> float:
        found = trained(NOISE, proximal_mu=mu, epochs_per_round=10).arrays
        return math.sqrt(sum(float(((found[name] - start[name]) ** 2).sum()) for name in start))

    assert moved(100.0) < 0.7 * moved(0.0)


@pytest.mark.parametrize(("noise", "clip", "seed"), [(0.0, 1.0, SEED), (1.0, 0.0, SEED), (1.0, 1.0, b"short")])
def test_noise_that_hides_nothing_is_refused(noise: float, clip: float, seed: bytes) -> None:
    with pytest.raises(ValueError):
        PatientNoise(noise, clip, seed)


def test_the_seed_is_not_shown() -> None:
    assert "seed" not in repr(NOISE)
