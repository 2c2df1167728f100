"""One sample's convolution in float32, cut into two halves, against torch's own call on the whole.

    python benchmarks/convolution.py [--repeats 9]

Shapes are the evolution network's in training: (channels, side) of its three resolutions. Forward and backward pass on
one thread; prints milliseconds of processor time (median) and how many times as long the plain call takes.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv3d

from flame.models.blocks import convolved

SHAPES = ((32, 20), (48, 10), (64, 5))


def milliseconds(convolution: Callable[[Tensor, Tensor], Tensor], channels: int, side: int, repeats: int) -> float:
    """Median processor time of a forward and a backward pass, after one that is not counted."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn((1, channels, side, side, side), generator=generator).requires_grad_()
    weight = torch.randn((channels, channels, 3, 3, 3), generator=generator).requires_grad_()
    found = []
    for _ in range(repeats + 1):
        start = time.process_time()
        convolution(features, weight).sum().backward()
        found.append(1000 * (time.process_time() - start))
    return statistics.median(found[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    for channels, side in SHAPES:
        mine = milliseconds(convolved, channels, side, repeats)
        plain = milliseconds(lambda features, weight: conv3d(features, weight, padding=1), channels, side, repeats)
        print(f"{channels} channels, side {side}: {mine:.1f} ms, plain {plain:.1f} ms, ratio {plain / mine:.1f}")


if __name__ == "__main__":
    main()
