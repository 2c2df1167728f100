"""A tumour from its first cells to the day before radiotherapy: place, mosaic, growth, surgery."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from flame.physics.anatomy import Tissue
from flame.physics.fields import smooth_field
from flame.physics.growth import Medium, State, advance, diffusivity, empty_state, make_medium, seeded
from flame.physics.growth_step import gaussian_smooth
from flame.records.patient import Resection
from flame.virtual.observation import core_ml
from flame.virtual.population import Person

__all__ = ["SURGERY_DAY", "Tumour", "choose_origin", "draw_factors", "draw_mosaic", "grow", "surroundings"]

SURGERY_DAY = -35
"""Day of biopsy or resection, the day of diagnosis."""

LONGEST_GROWTH_DAYS = 3000.0

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
Voxel = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Tumour:
    """The tumour at the baseline exam.

    Attributes:
        state: fields of the growth equation.
        medium: what it grows in, with the cavity walled off.
        mosaic: local factor on radiation effect, shape (x, y, z).
        cavity: resected tissue, bool (x, y, z); empty after a biopsy.
        age_days: days from the first cells to surgery.
    """

    state: State
    medium: Medium
    mosaic: Field
    cavity: Mask
    age_days: float


def choose_origin(generator: np.random.Generator, tissue: Tissue, spacing_mm: float) -> Voxel:
    """A voxel of lobar white matter, 12 mm off the brain's surface, away from brainstem, cerebellum and midline."""
    depth = distance_transform_edt(tissue.brain) * spacing_mm
    nx, _, nz = tissue.brain.shape
    height = np.arange(nz)[None, None, :] / nz
    aside = np.abs(np.arange(nx) - nx / 2)[:, None, None] * spacing_mm
    allowed = (tissue.wm > 0.7) & (depth > 12) & (height > 0.42) & (height < 0.82) & (aside > 16)
    candidates = np.argwhere(allowed)
    x, y, z = candidates[generator.integers(len(candidates))]
    return int(x), int(y), int(z)


def _factor(generator: np.random.Generator, shape: Voxel, length_voxels: float, spread: float) -> Field:
    """A smooth random factor, log-normal with this spread."""
    return np.asarray(np.exp(spread * smooth_field(generator, shape, length_voxels)), np.float32)


def draw_factors(generator: np.random.Generator, shape: Voxel, spacing_mm: float) -> tuple[Field, Field, Field]:
    """Local factors on proliferation, diffusion and perfusion, > 0, on a grid of this shape."""
    return (
        _factor(generator, shape, 9.0 / spacing_mm, 0.25),
        np.clip(_factor(generator, shape, 7.0 / spacing_mm, 0.5), 0.25, 2.5).astype(np.float32),
        _factor(generator, shape, 4.5 / spacing_mm, 0.65),
    )


def draw_mosaic(generator: np.random.Generator, shape: Voxel, spacing_mm: float, person: Person) -> Field:
    """The local factor on radiation effect, > 0, on a grid of this shape; no image shows it."""
    return _factor(generator, shape, 6.0 / spacing_mm, person.sensitivity.mosaic)


def surroundings(
    tissue: Tissue, person: Person, spacing_mm: float, factors: tuple[Field, Field, Field], cavity: Mask
) -> Medium:
    """What a tumour grows in; `factors` are those of `draw_factors`, `cavity` is bool (x, y, z)."""
    growth, mobility, perfusion = factors
    open_space = ~tissue.brain | (tissue.csf > 0.5) | cavity
    diffusion = diffusivity(tissue.wm, tissue.gm, open_space, person.biology) * mobility
    return make_medium(diffusion, tissue.brain & ~cavity, spacing_mm, person.biology, growth, perfusion)


def _resected(generator: np.random.Generator, state: State, resection: Resection, spacing_mm: float) -> Mask:
    """What a surgeon takes out: the smoothed core with an irregular edge; a partial resection leaves one side."""
    shape = state.viable.shape
    core = (state.viable + state.dying > 0.40) | (state.necrosis > 0.45)
    if resection == "biopsy" or not core.any():
        return np.zeros(shape, bool)
    smooth_core = gaussian_smooth(core.astype(np.float32), 3.0 / spacing_mm)
    edge = 0.10 * smooth_field(generator, (shape[0], shape[1], shape[2]), 8.0 / spacing_mm)
    taken = smooth_core > (0.40 if resection == "gross_total" else 0.50) + edge
    if resection == "partial":
        where = np.argwhere(core)
        direction = generator.normal(size=3)
        direction /= np.linalg.norm(direction)
        along = np.indices(shape).reshape(3, -1).T @ direction + 50.0 / spacing_mm * edge.ravel()
        limit = np.quantile(where @ direction, generator.uniform(0.45, 0.8))
        taken &= (along < limit).reshape(shape)
    return np.asarray(taken, bool)


def grow(generator: np.random.Generator, tissue: Tissue, origin: Voxel, person: Person, spacing_mm: float) -> Tumour:
    """Grow a tumour at `origin` to the person's core volume, operate, and grow on to the baseline exam."""
    shape = (tissue.brain.shape[0], tissue.brain.shape[1], tissue.brain.shape[2])
    factors = draw_factors(generator, shape, spacing_mm)
    mosaic = draw_mosaic(generator, shape, spacing_mm, person)
    intact = np.zeros(shape, bool)
    medium = surroundings(tissue, person, spacing_mm, factors, intact)
    state = _first_cells(generator, empty_state(shape), medium, tissue, origin)
    while core_ml(state, spacing_mm) < person.core_ml and state.day < LONGEST_GROWTH_DAYS:
        state = advance(state, medium, person.biology, 8.0)
    age_days = state.day
    cavity = _resected(generator, state, person.resection, spacing_mm)
    if cavity.any():
        medium = surroundings(tissue, person, spacing_mm, factors, cavity)
        kept = (np.where(cavity, np.float32(0), f) for f in (state.viable, state.dying, state.necrosis, state.hypoxia))
        state = State(state.day, *kept)
    state = advance(replace(state, day=float(SURGERY_DAY)), medium, person.biology, 21.0)
    return Tumour(state, medium, mosaic, cavity, age_days)


def _first_cells(generator: np.random.Generator, state: State, medium: Medium, tissue: Tissue, origin: Voxel) -> State:
    """One seed at the white-matter voxel nearest to `origin`, and up to three smaller ones near it."""
    white = np.argwhere((tissue.wm > 0.5) & (medium.faces[0] > 0))
    squared_mm = ((white - np.asarray(origin)) ** 2).sum(1) * medium.spacing_mm**2
    first = white[squared_mm.argmin()]
    state = seeded(state, medium, (int(first[0]), int(first[1]), int(first[2])), 3.0)
    near = white[squared_mm < 14.0**2]
    for x, y, z in near[generator.integers(len(near), size=generator.integers(0, 4))]:
        state = seeded(state, medium, (int(x), int(y), int(z)), 2.0)
    return state
