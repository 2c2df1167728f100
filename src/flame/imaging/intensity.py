"""Intensities that compare between scanners: z-scores inside the brain."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["zscore"]


def zscore(image: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Intensities as standard deviations from the mean inside the brain; zero outside it.

    Mean and deviation are of the values between the 1st and the 99th percentile, so that neither vessels nor an
    enhancing rim set the scale.

    Args:
        image: any unit, shape (x, y, z).
        brain: same shape; where the statistics are taken.

    Returns: float32, same shape; all zero if the brain is empty or the image is constant inside it.
    """
    inside = image[brain]
    if inside.size == 0:
        return np.zeros_like(image)
    low, high = np.percentile(inside, [1, 99])
    core = inside[(inside >= low) & (inside <= high)]
    deviation = float(core.std())
    if deviation <= 1e-6 * max(abs(float(core.mean())), 1e-6):
        return np.zeros_like(image)
    scaled = (image - np.float32(core.mean())) / np.float32(deviation)
    return np.where(brain, scaled, np.float32(0))
