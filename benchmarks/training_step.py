"""One training step of the evolution network against MONAI's BasicUNet with its standard loss, on equal shapes.

    python benchmarks/training_step.py [--threads 1] [--steps 6]

Both see the same batch: two patients, all channels of context `first_post_rt`, a window of 40 voxels of the 64-voxel
grid (where training looks), four horizons, bf16 where the processor has it. BasicUNet gives all four horizons' regions
as channels; its loss is DiceCELoss with sigmoid. Prints seconds of processor time a step, the ratio, and a pass over
120 patients on two cores.
"""

import argparse
import time
from collections.abc import Callable

import torch
from monai.losses import DiceCELoss
from monai.networks.nets import BasicUNet

from flame.learning.losses import map_loss
from flame.learning.targets import HORIZONS
from flame.learning.training import computes_bf16
from flame.models.blocks import fold
from flame.models.encoding import scalar_names, volume_names
from flame.models.networks import build_network
from flame.records.patient import REGIONS

BATCH, WINDOW, PATIENTS, CORES = 2, 40, 120, 2


def seconds(step: Callable[[], None], steps: int) -> float:
    """Processor time of a step: the least of several, after one that is not counted."""
    step()
    found = []
    for _ in range(steps):
        start = time.process_time()
        step()
        found.append(time.process_time() - start)
    return min(found)


def main() -> None:
    """Measure both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    narrow = computes_bf16(torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    channels, horizons, regions = len(volume_names("first_post_rt")), len(HORIZONS), len(REGIONS)
    side = (WINDOW,) * 3
    volumes = torch.randn((BATCH, channels, *side), generator=generator)
    scalars = torch.randn((BATCH, len(scalar_names("first_post_rt"))), generator=generator)
    days = torch.tensor([HORIZONS] * BATCH, dtype=torch.float32)
    labels = torch.randint(0, 4, (BATCH, horizons, *side), generator=generator).to(torch.uint8)
    seen = torch.ones((BATCH, horizons), dtype=torch.bool)
    truth = torch.stack([sum(labels == v for v in values) > 0 for values in REGIONS.values()], 2).flatten(1, 2).float()

    ours = build_network("evolution", "unet", "first_post_rt", 0)
    ours_optimiser = torch.optim.AdamW(ours.parameters())
    peer = BasicUNet(spatial_dims=3, in_channels=channels, out_channels=horizons * regions)
    peer_optimiser = torch.optim.AdamW(peer.parameters())
    peer_loss = DiceCELoss(sigmoid=True)

    def our_step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            logits = ours(volumes, scalars, days)
        start = fold(volumes[:, :regions] > 0)
        start = start.reshape(BATCH, regions, 8, *start.shape[2:])
        apart = logits.reshape(BATCH, horizons, regions, 8, *logits.shape[3:])
        loss = map_loss(apart, fold(labels.unsqueeze(2)), start, seen)
        ours_optimiser.zero_grad()
        loss.backward()
        ours_optimiser.step()

    def peer_step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            logits = peer(volumes)
        loss = peer_loss(logits.float(), truth)
        peer_optimiser.zero_grad()
        loss.backward()
        peer_optimiser.step()

    mine, theirs = seconds(our_step, arguments.steps), seconds(peer_step, arguments.steps)
    count = [sum(parameter.numel() for parameter in network.parameters()) for network in (ours, peer)]
    print(f"evolution network  {mine:.3f} s a step, {count[0] / 1e6:.2f} M parameters")
    print(f"MONAI BasicUNet    {theirs:.3f} s a step, {count[1] / 1e6:.2f} M parameters")
    print(f"ratio              {mine / theirs:.3f}")
    print(f"a pass over {PATIENTS} patients on {CORES} cores: {mine / BATCH * PATIENTS / CORES:.1f} s")


if __name__ == "__main__":
    main()
