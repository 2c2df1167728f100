"""Synthesis of T1w, T1ce, T2w and FLAIR from tissue maps and what the tumour looks like, through a site's scanner."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from flame.physics.anatomy import Tissue
from flame.physics.fields import smooth_field
from flame.records.patient import SEQUENCES, Sequence
from flame.virtual.observation import ENHANCING, Appearance
from flame.virtual.scanner import Scanner

__all__ = ["Canvas", "acquire", "make_canvas"]

Field = NDArray[np.float32]


@dataclass(frozen=True)
class _Signal:
    """Relative signal of each tissue on one sequence; white matter on T1w is 1 (values are typical, unverified)."""

    white: float
    grey: float
    fluid: float
    infiltration: float
    oedema: float
    viable: float
    leaking: float
    necrosis: float
    cavity: float


_SIGNALS: Mapping[Sequence, _Signal] = {
    "T1w": _Signal(1.00, 0.72, 0.28, 0.76, 0.68, 0.62, 0.64, 0.40, 0.30),
    "T1ce": _Signal(1.00, 0.76, 0.30, 0.76, 0.68, 1.50, 1.28, 0.40, 0.32),
    "T2w": _Signal(0.48, 0.66, 1.25, 0.86, 1.05, 0.76, 0.98, 1.10, 1.22),
    "FLAIR": _Signal(0.58, 0.72, 0.16, 1.02, 1.16, 0.86, 1.02, 0.55, 0.30),
}


@dataclass(frozen=True, eq=False)
class Canvas:
    """What stays the same in all exams of a patient: healthy signal per sequence and textures; float32 (x, y, z)."""

    brain: NDArray[np.bool_]
    white: Field
    healthy: Mapping[Sequence, Field]
    heterogeneity: Field
    mottle: Field


def make_canvas(generator: np.random.Generator, tissue: Tissue, spacing_mm: float, field_t: float) -> Canvas:
    """Healthy signal and textures of one patient.

    Args:
        field_t: field strength [T]; below 2 T white and grey matter differ less.
    """
    shape = tissue.brain.shape
    coarse, fine = (smooth_field(generator, shape, length / spacing_mm) for length in (7.0, 3.5))
    mottle = smooth_field(generator, shape, 9.0 / spacing_mm).astype(np.float32)
    heterogeneity = (0.6 * coarse + 0.5 * fine).astype(np.float32)
    separation = 0.88 if field_t < 2 else 1.0
    healthy: dict[Sequence, Field] = {}
    for name in SEQUENCES:
        signal = _SIGNALS[name]
        grey = signal.white + (signal.grey - signal.white) * separation
        image = tissue.wm * signal.white + tissue.gm * grey + tissue.csf * signal.fluid
        if name in ("T1w", "T1ce"):
            image = 0.6 * image + 0.4 * tissue.t1
        if name == "T1ce":
            image = image + 0.10 * _ramp(heterogeneity, 1.1, 2.6) * tissue.gm
        healthy[name] = (image * (1 + 0.025 * mottle)).astype(np.float32)
    return Canvas(tissue.brain, tissue.wm, healthy, heterogeneity, mottle)


def _ramp(x: Field, low: float, high: float) -> Field:
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _tumour(canvas: Canvas, seen: Appearance, name: Sequence, gadolinium: float) -> tuple[Field, Field]:
    """Signal of everything abnormal inside the box, weighted with its share of the voxel, and that share."""
    signal = _SIGNALS[name]
    hot, mottle = canvas.heterogeneity[seen.box], canvas.mottle[seen.box]
    inside = seen.inside.astype(np.float32)
    enhancing = _ramp(seen.enhancement, ENHANCING - 0.15, ENHANCING + 0.15)
    necrosis = _ramp(seen.necrosis, 0.25, 0.6) * (1 - 0.8 * enhancing) * inside
    enhancing = enhancing * (1 - necrosis) * inside
    rest = np.clip(1 - necrosis - enhancing, 0, 1) * inside
    oedema = _ramp(seen.fluid, 0.2, 0.9) * rest
    infiltration = 0.85 * _ramp(seen.infiltration, 0.04, 0.28) * np.clip(rest - oedema, 0, 1)
    cellular = np.clip(seen.viable / np.maximum(seen.enhancement, np.float32(1e-3)), 0, 1)
    bright = signal.leaking + (signal.viable - signal.leaking) * cellular
    if name == "T1ce":
        bright = 1 + (bright - 1) * gadolinium
    cavity = seen.cavity.astype(np.float32)
    share = enhancing + necrosis + oedema + infiltration + cavity
    value = (
        enhancing * bright * (1 + 0.14 * hot)
        + necrosis * signal.necrosis * (1 + 0.05 * mottle)
        + (oedema * signal.oedema + infiltration * signal.infiltration) * (1 + 0.06 * mottle)
        + cavity * signal.cavity
    )
    return value.astype(np.float32), np.clip(share, 0, 1).astype(np.float32)


def _shifted(image: Field, offset: float, axis: int) -> Field:
    """Linear interpolation `offset` voxels along one axis, |offset| < 1; the outermost layer may wrap (it is air)."""
    weight = np.float32(abs(offset))
    return image * (1 - weight) + np.roll(image, int(np.sign(offset)), axis) * weight


def acquire(
    generator: np.random.Generator,
    canvas: Canvas,
    seen: Appearance,
    scanner: Scanner,
    spacing_mm: float,
    late_change: Field | None = None,
) -> dict[Sequence, Field]:
    """One exam: all four sequences in scanner units, float32 (x, y, z), zero outside the brain.

    Args:
        late_change: added FLAIR signal of irradiated white matter, shape of the grid.
    """
    offsets = np.clip(generator.normal(0, scanner.misalignment_mm / spacing_mm, 3), -0.9, 0.9)
    voxels = np.count_nonzero(canvas.brain)
    images: dict[Sequence, Field] = {}
    for name, contrast in zip(SEQUENCES, scanner.contrast):
        image = canvas.healthy[name].copy()
        if name == "FLAIR" and late_change is not None:
            image += late_change
        value, share = _tumour(canvas, seen, name, scanner.gadolinium)
        image[seen.box] = image[seen.box] * (1 - share) + value
        image = np.maximum(image, np.float32(0.02)) ** np.float32(contrast) * canvas.brain
        if name != "T1w":
            for axis, offset in enumerate(offsets):
                image = _shifted(image, float(offset), axis)
        image = gaussian_filter1d(image, 0.35 * scanner.slice_mm / spacing_mm, axis=2)
        receive = np.exp(0.5 * scanner.bias * smooth_field(generator, image.shape, 70.0 / spacing_mm))
        noise = generator.standard_normal((2, voxels), dtype=np.float32) * np.float32(scanner.noise)
        true = (image * receive)[canvas.brain]
        measured = np.zeros(image.shape, np.float32)
        measured[canvas.brain] = np.hypot(true + noise[0], noise[1]) * np.float32(scanner.scale)
        images[name] = measured
    return images
