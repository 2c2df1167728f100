"""Pseudoprogression: enhancement that treatment causes in the high-dose region, grows for weeks and resolves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from flame.physics.fields import smooth_field
from flame.records.patient import Arm

__all__ = ["RATES", "Proneness", "amplitude", "draw_proneness", "enhancement_field", "happens"]

RATES: dict[Arm, float] = {"photon": 0.18, "proton": 0.25, "carbon": 0.32}
"""Share of patients with pseudoprogression by arm: an assumption of the virtual trial, not a finding."""

METHYLATED_FACTOR = 1.4
"""Factor on the rate when MGMT is methylated (direction: Brandes 2008; size unverified)."""


@dataclass(frozen=True)
class Proneness:
    """A patient's latent tendency; one draw for all arms, so that potential outcomes hang together.

    Attributes:
        threshold: pseudoprogression happens in an arm whose rate is above this, in [0, 1].
        radius_mm: size of the enhancing patch [mm].
        peak: greatest enhancement, relative to viable tumour.
        peak_day: days after the end of radiotherapy at which it is greatest, > 0.
    """

    threshold: float
    radius_mm: float
    peak: float
    peak_day: float


def draw_proneness(generator: np.random.Generator) -> Proneness:
    """Draw a patient's tendency."""
    return Proneness(
        threshold=float(generator.uniform()),
        radius_mm=float(np.exp(generator.normal(np.log(6.5), 0.25))),
        peak=float(generator.uniform(0.7, 1.1)),
        peak_day=float(np.clip(generator.normal(58, 12), 35, 85)),
    )


def happens(proneness: Proneness, arm: Arm, methylated: bool) -> bool:
    """Whether the patient has pseudoprogression under this arm."""
    return proneness.threshold < RATES[arm] * (METHYLATED_FACTOR if methylated else 1.0)


def amplitude(proneness: Proneness, days_after: float) -> float:
    """Enhancement at the centre of the patch: x^2 exp(2 - 2x) of the peak, x = days after the end over the peak day."""
    x = max(days_after, 0.0) / proneness.peak_day
    return proneness.peak * x**2 * float(np.exp(2 - 2 * x))


def enhancement_field(
    generator: np.random.Generator,
    proneness: Proneness,
    target: NDArray[np.bool_],
    white: NDArray[np.float32],
    dose: NDArray[np.float32],
    spacing_mm: float,
) -> NDArray[np.float32]:
    """An irregular patch with peak near 1, centred in white matter at the target's rim where the dose is high.

    Args:
        target: gross tumour volume, shape (x, y, z).
        white: white-matter share, same shape.
        dose: dose in any unit, same shape; it fades the patch out below 80 % of its maximum.

    Returns: float32, same shape, >= 0; zero everywhere if there is no such place.
    """
    distance = distance_transform_edt(~target) * spacing_mm
    relative = dose / max(float(dose.max()), 1e-6)
    candidates = np.argwhere((distance > 1) & (distance < 9) & (white > 0.5) & (relative > 0.85))
    if not len(candidates):
        return np.zeros(target.shape, np.float32)
    centre = candidates[generator.integers(len(candidates))]
    axes = np.ogrid[tuple(slice(0, n) for n in target.shape)]
    stretch = np.exp(generator.normal(0, 0.2, 3))
    squared = sum((((axis - c) * spacing_mm) / s) ** 2 for axis, c, s in zip(axes, centre, stretch))
    texture = np.exp(0.45 * smooth_field(generator, target.shape, 5.0 / spacing_mm))
    fade = np.clip((relative - 0.6) / 0.2, 0, 1) * (0.35 + 0.65 * white)
    patch: NDArray[np.float32] = (np.exp(-squared / (2 * proneness.radius_mm**2)) * texture * fade).astype(np.float32)
    return patch
