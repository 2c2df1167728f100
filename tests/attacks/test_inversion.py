"""Images can be had from one patient's gradient; from a noised one, or a mean of several, less or nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmarks import inversion
from benchmarks.inversion import BRAIN, IMAGES, Victim
from tests.learning.stores import store
from torch import Tensor, nn

from flame.learning.losses import map_loss
from flame.learning.samples import SampleStore
from flame.models.blocks import fold
from flame.models.networks import build_network

RADII = [(20.0, 18.0, 15.0, 12.0), (16.0, 15.0, 15.0, 25.0), (12.0, 10.0, 14.0, 12.0), (24.0, 12.0, 14.0, 24.0)]
SIDE = 6


@pytest.fixture(scope="module")
def samples() -> SampleStore:
    """Patients whose images are smooth and random; only their outlines and records are a tumour's."""
    found = store(RADII)
    halved = found.halved[..., :SIDE, :SIDE, :SIDE].copy()
    coarse = np.random.default_rng(3).normal(size=(len(RADII), halved.shape[1], 3, 3, 3))
    smooth = nn.functional.interpolate(torch.from_numpy(coarse), (SIDE,) * 3, mode="trilinear").numpy()
    halved[:, IMAGES] = smooth[:, IMAGES]
    halved[:, BRAIN] = 1
    return replace(found, halved=halved)


def trained_like() -> nn.Module:
    """A response network none of whose weights is zero, as after some rounds."""
    network, generator = build_network("response", "network", "first_post_rt", 0), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return network


def own(found: Tensor, victim: Victim, others: list[Victim]) -> float:
    return inversion.likeness(found, victim.volumes, [one.volumes for one in others]).own


def test_a_gradient_shows_the_patient_and_noise_hides_them(samples: SampleStore) -> None:
    torch.set_num_threads(1)  # two threads on so little work are slower
    victim, *others = (inversion.victim(samples, place, "response") for place in range(len(RADII)))
    network = trained_like()
    sent = inversion.gradient(network, [victim], [victim.volumes])
    (plain,) = inversion.invert(network, [victim], sent, seed=0, steps=60)
    (noisy,) = inversion.invert(network, [victim], inversion.noised(sent, 1.0, 1.0, bytes(32)), seed=0, steps=60)
    assert own(plain, victim, others) > 0.15
    assert abs(own(noisy, victim, others)) < 0.06


def test_a_perfect_guess_is_perfect_and_the_mean_of_others_shows_nothing_of_ones_own(samples: SampleStore) -> None:
    victim, *others = (inversion.victim(samples, place, "response") for place in range(len(RADII)))
    alike = [one.volumes for one in others]
    same = inversion.likeness(victim.volumes, victim.volumes, alike)
    assert (same.correlation, same.own, same.is_first) == (pytest.approx(1), pytest.approx(1), True)
    assert inversion.likeness(torch.cat(alike).mean(0, keepdim=True), victim.volumes, alike).own == pytest.approx(0)
    off = victim.volumes.clone()
    off[:, IMAGES] += 0.1
    shown = inversion.likeness(off, victim.volumes, alike)
    ranges = [float(np.ptp(victim.volumes[0, one].numpy())) for one in IMAGES]
    assert shown.psnr_db == pytest.approx(np.mean([20 * np.log10(one / 0.1) for one in ranges]), abs=0.01)


def test_the_loss_that_is_differentiated_twice_has_the_gradient_of_the_one_that_trains() -> None:
    """Where a region is as large now as it was, on one horizon."""
    logits = torch.randn(1, 3, 8, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    label_map = torch.randint(0, 4, (1, 1, 8, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    folded = fold(label_map.unsqueeze(2))
    truth = torch.stack([torch.isin(folded[0, 0], torch.tensor(labels)) for labels in ((3,), (1, 3), (1, 2, 3))])
    mine, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    inversion._map_loss(mine, truth.float().unsqueeze(0)).backward()
    map_loss(theirs.unsqueeze(0), folded, truth.unsqueeze(0), torch.ones(1, 1, dtype=torch.bool)).backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-7)


def test_what_adam_sends_first_is_what_the_attack_takes_it_for() -> None:
    weight = nn.Parameter(torch.zeros(4))
    weight.grad = torch.tensor([3.0, -0.2, 1e-8, 0.0])
    sent = inversion.signs(weight.grad.clone())
    torch.optim.AdamW([weight], 0.1, (0.9, 0.99), weight_decay=0.0).step()
    torch.testing.assert_close(weight.detach(), -0.1 * sent)
