"""The optimiser: torch's own, byte for byte, and none of torch's compiler."""

import subprocess
import sys

import torch
from torch import nn

from flame.learning.optimiser import BETA1, BETA2, AdamW


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(5)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((3, 4), (7,), (2, 2, 2))]


def test_steps_have_the_bytes_of_torchs_own() -> None:
    """Rates that change, and a parameter that has no gradient at first."""
    ours, theirs = parameters(), parameters()
    mine, peer = AdamW(ours, 0.1), torch.optim.AdamW(theirs, 1.0, (BETA1, BETA2), weight_decay=0.1, fused=True)
    generator = torch.Generator().manual_seed(6)
    for number, rate in enumerate((0.0, 1e-3, 1e-2, 3e-4)):
        for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            gradient = torch.randn(one.shape, generator=generator)
            one.grad, other.grad = (None, None) if (number, place) < (2, 1) else (gradient, gradient.clone())
        peer.param_groups[0]["lr"] = rate
        peer.step()
        mine.step(rate)
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    assert not any(torch.equal(one, before) for one, before in zip(ours, parameters(), strict=True))


LEARN = """
import sys, torch
from tests.learning.test_training import rounds
rounds(1)
print([name for name in ("torch._dynamo", "torch._inductor", "sympy") if name in sys.modules])
"""


def test_a_process_that_trains_does_not_load_torchs_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", LEARN], capture_output=True, text=True, check=False, timeout=600)
    assert done.stdout == "[]\n", done.stderr
