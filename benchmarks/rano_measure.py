"""How long a mask takes to measure: five lesions in 240 x 240 x 155 voxels of 1 mm, against the limit of 0.5 s.

python benchmarks/rano_measure.py
"""

import time

import numpy as np
from numpy.typing import NDArray

from flame.rano.measure import measure

LIMIT_S = 0.5
LESIONS = (
    ((60, 70, 50), 22.0),
    ((150, 80, 70), 15.0),
    ((100, 160, 90), 30.0),
    ((180, 170, 60), 9.0),
    ((60, 190, 110), 12.0),
)
"""Centre [mm] and radius [mm]."""


def mask(seed: int) -> NDArray[np.bool_]:
    """Five rings with ragged edges: enhancing rims around necrosis."""
    generator = np.random.default_rng(seed)
    axes = np.ogrid[:240, :240, :155]
    found = np.zeros((240, 240, 155), bool)
    for centre, radius in LESIONS:
        distance = np.sqrt(sum((axis - at) ** 2 for axis, at in zip(axes, centre)))
        distance += generator.normal(0, 0.8, found.shape)
        found |= (distance < radius) & (distance > 0.6 * radius)
    return found


def main() -> None:
    """Measure, print."""
    one = mask(0)
    measure(one, (1.0, 1.0, 1.0))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        found = measure(one, (1.0, 1.0, 1.0))
        times.append(time.perf_counter() - start)
    lesions = ", ".join(f"{lesion.long_mm:.0f} x {lesion.perpendicular_mm:.0f} mm" for lesion in found.lesions[:5])
    seconds = float(np.median(times))
    print(f"{len(found.lesions)} lesions ({lesions}): {seconds:.2f} s, {seconds / LIMIT_S:.2f} of what is asked")


if __name__ == "__main__":
    main()
