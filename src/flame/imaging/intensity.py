"""Intensities that compare between scanners: z-scores inside the brain."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["zscore"]


def zscore(image: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Intensities as standard deviations from the mean inside the brain; zero outside it.

    Mean and deviation are of the values between the 5th and the 95th percentile, so that neither vessels, fluid nor a
    tumour set the scale. A tumour 12 deviations bright on 5 % of the brain moves healthy scores by up to 0.26; plain
    mean and deviation would let it move them by 0.86.

    Args:
        image: any unit, shape (x, y, z).
        brain: same shape; where the statistics are taken.

    Returns: float32, same shape; all zero if the brain is empty or the image is constant inside it.
    """
    inside = image[brain]
    if inside.size == 0:
        return np.zeros_like(image)
    low, high = np.percentile(inside, [5, 95])
    core = inside[(inside >= low) & (inside <= high)]
    deviation = float(core.std())
    if deviation <= 1e-6 * max(abs(float(core.mean())), 1e-6):
        return np.zeros_like(image)
    scaled = np.zeros_like(image)
    scaled[brain] = (inside - np.float32(core.mean())) / np.float32(deviation)
    return scaled
