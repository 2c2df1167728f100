"""A head of ellipsoids for tests: scalp, brain, ventricles, a ring that may enhance. RAS, 3 mm voxels."""

from functools import cache

import numpy as np

from flame.records.volume import Grid, Volume

SHAPE = (58, 70, 56)
AFFINE = np.array([[3.0, 0, 0, -85.5], [0, 3, 0, -103.5], [0, 0, 3, -100], [0, 0, 0, 1]])
BRIGHTNESS = {"T1w": (400, 200, 60), "T1ce": (400, 200, 60), "T2w": (150, 200, 600), "FLAIR": (220, 200, 30)}
"""Of scalp, brain and fluid; the ring enhances to 500 on T1ce."""


@cache
def head(sequence: str, seed: int = 0) -> Volume:
    """What a scanner would show of the head; a tenth of its middle is fluid."""
    index = np.stack(np.indices(SHAPE), axis=-1)
    x, y, z = np.moveaxis(index @ AFFINE[:3, :3].T + AFFINE[:3, 3], -1, 0)
    scalp, brain, fluid = BRIGHTNESS[sequence]
    array = np.zeros(SHAPE)
    array[(x / 78) ** 2 + (y / 95) ** 2 + (z / 75) ** 2 < 1] = scalp
    array[(x / 70) ** 2 + (y / 87) ** 2 + (z / 67) ** 2 < 1] = brain
    array[((np.abs(x) - 14) / 11) ** 2 + (y / 40) ** 2 + ((z - 5) / 16) ** 2 < 1] = fluid
    if sequence == "T1ce":
        radius = np.sqrt((x - 34) ** 2 + (y + 10) ** 2 + (z - 8) ** 2)
        array[(radius < 16) & (radius > 8)] = 500
    array[array > 0] += np.random.default_rng(seed).normal(0, 6, int((array > 0).sum()))
    return Volume(np.clip(array, 0, None).astype(np.float32), Grid(SHAPE, AFFINE))
