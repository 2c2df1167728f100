"""How a site's MR scanner turns true signal into an image: field, noise, bias, slice thickness, contrast, scale."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Scanner", "draw_scanner"]

SLICE_MM = (1.0, 3.0, 1.0, 5.0, 2.0)
"""Slice thickness of the first sites' protocols [mm]; later sites repeat them."""


@dataclass(frozen=True)
class Scanner:
    """One site's scanner and protocol.

    Attributes:
        field_t: field strength [T].
        noise: standard deviation of the noise per channel, relative to white matter on T1w.
        bias: amplitude of the logarithm of the receive field.
        slice_mm: axial slice thickness [mm].
        contrast: exponent on the signal of each sequence, in the order of SEQUENCES.
        gadolinium: factor on contrast enhancement (dose and timing).
        scale: scanner units per unit of signal.
        misalignment_mm: standard deviation of what is left of misalignment between sequences [mm], per axis.
        missing: probability that a sequence is not acquired, in the order of SEQUENCES.
    """

    field_t: float
    noise: float
    bias: float
    slice_mm: float
    contrast: tuple[float, float, float, float]
    gadolinium: float
    scale: float
    misalignment_mm: float
    missing: tuple[float, float, float, float]


def draw_scanner(generator: np.random.Generator, site_index: int) -> Scanner:
    """The scanner of the site with this index (0, 1, …): every second one is 1.5 T, noisier, with less bias."""
    low_field = site_index % 2 == 1
    t1, t1ce, t2, flair = (float(np.exp(x)) for x in generator.normal(0, 0.12, 4))
    without_t1, without_t2, without_flair = (float(x) for x in generator.uniform(0.0, (0.08, 0.12, 0.06)))
    return Scanner(
        field_t=1.5 if low_field else 3.0,
        noise=(0.040 if low_field else 0.022) * float(generator.uniform(0.8, 1.3)),
        bias=(0.10 if low_field else 0.20) * float(generator.uniform(0.8, 1.2)),
        slice_mm=SLICE_MM[site_index % len(SLICE_MM)],
        contrast=(t1, t1ce, t2, flair),
        gadolinium=float(np.exp(generator.normal(0, 0.12))),
        scale=float(np.exp(generator.normal(6.2, 0.6))),
        misalignment_mm=float(generator.uniform(0.1, 0.6)),
        missing=(without_t1, 0.0, without_t2, without_flair),
    )
