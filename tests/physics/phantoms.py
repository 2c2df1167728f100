"""Simple heads for the tests of beams and plans."""

import numpy as np

from flame.physics.beams import Head
from flame.records.volume import Grid

SPACING_MM = 4.0
SHAPE = (44, 44, 44)


def ball(centre_mm, radius_mm):
    """A ball on the phantom's grid; `centre_mm` from the middle of the grid."""
    middle = (np.array(SHAPE) - 1) / 2 * SPACING_MM
    away = np.indices(SHAPE).T * SPACING_MM - middle - np.array(centre_mm)
    return np.ascontiguousarray((np.sqrt((away**2).sum(axis=-1)) <= radius_mm).T)


def grid():
    """The phantom's grid: 44 voxels of 4 mm a side."""
    return Grid(SHAPE, np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0]))


def water():
    """A box of water, 240 x 150 x 150 mm, entered along x."""
    return Head(np.ones((81, 51, 51), np.float32), 3.0, np.zeros(3))
