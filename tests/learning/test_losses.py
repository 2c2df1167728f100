"""The loss of maps: its gradient, what it ignores, and where it is least."""

import pytest
import torch

from flame.learning.losses import map_loss, response_loss


def example(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((2, 2, 3, 3, 3, 3), generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 5, (2, 2, 3, 3, 3), generator=generator).to(torch.uint8)
    start = torch.rand((2, 3, 3, 3, 3), generator=generator) < 0.4
    return logits, labels, start, torch.tensor([[True, True], [True, False]])


def test_the_gradient_is_that_of_the_value() -> None:
    logits, labels, start, seen = example()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: map_loss(x, labels, start, seen), (logits,), atol=1e-6)


def test_a_map_that_was_not_seen_does_not_count() -> None:
    logits, labels, start, seen = example()
    other = labels.clone()
    other[1, 1] = 0
    assert map_loss(logits, labels, start, seen) == map_loss(logits, other, start, seen)


def test_nothing_seen_is_no_loss_and_no_gradient() -> None:
    logits, labels, start, seen = example()
    logits.requires_grad_()
    loss = map_loss(logits, labels, start, torch.zeros_like(seen))
    loss.backward()
    assert loss == 0
    assert (logits.grad == 0).all()


def test_the_right_map_costs_less_than_the_last_one() -> None:
    _, labels, start, seen = example()
    truth = torch.stack([labels == 3, (labels == 1) | (labels == 3), (labels > 0) & (labels < 4)], 2)
    right = torch.where(truth, 6.0, -6.0).double()
    last = torch.where(start[:, None].expand_as(truth), 6.0, -6.0).double()
    assert map_loss(right, labels, start, seen) < 0.05 < map_loss(last, labels, start, seen)


def test_response_loss_is_the_mean_cross_entropy() -> None:
    loss = response_loss(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0]))
    expected = (torch.log(torch.tensor(2.0)) + torch.log1p(torch.exp(torch.tensor(2.0)))) / 2
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
