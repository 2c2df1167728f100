"""A small head for the tests of the virtual trial."""

import numpy as np
import pytest

from flame.physics.anatomy import Tissue
from flame.records.volume import Grid


@pytest.fixture
def head():
    """A ball of white matter with a grey shell and a fluid core, 4 mm voxels, 28 voxels a side."""
    shape = (28, 28, 28)
    x, y, z = np.indices(shape) - 13.5
    radius_mm = 4.0 * np.sqrt(x**2 + y**2 + z**2)
    brain = radius_mm < 48
    fluid = (radius_mm < 8).astype(np.float32)
    grey = (brain & (radius_mm > 40)).astype(np.float32)
    white = (brain & ~(fluid > 0) & ~(grey > 0)).astype(np.float32)
    t1 = (white + 0.7 * grey + 0.3 * fluid).astype(np.float32)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    return Tissue(wm=white, gm=grey, csf=fluid, brain=brain, t1=t1, grid=Grid(shape, affine))
