"""Tumour growth: reaction-diffusion with hypoxia, necrosis, debris and treatment kill.

Three fields, each a fraction of the carrying capacity of a voxel:

    viable    u:  du/dt = div(D grad u) + rho u max(0, 1 - u - n - 0.3 d) - k_n h u - k u
    dying     d:  dd/dt = k u - d / tau_d
    necrosis  n:  dn/dt = k_n h u - n / tau_n

With k_n = 0, k = 0 this is Fisher-Kolmogorov (Swanson et al., Cell Prolif 2000;33:317). D is isotropic, ten times
larger in white than in grey matter (ratio unverified), and zero in cerebrospinal fluid and outside the brain; the
harmonic mean on the faces between voxels makes every such border a no-flux one. Hypoxia h in [0, 1] is quasi-steady:
one minus the perfusion that remains where tumour displaces vessels, averaged over the reach of oxygen and vessels.
Explicit Euler in time, second order in space, float32; only the box that holds tumour is visited.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flame.physics.growth_step import explicit_step, gaussian_smooth

__all__ = ["Biology", "Medium", "State", "Stepping", "advance", "diffusivity", "empty_state", "make_medium", "seeded"]

CROWDING = 0.3
"""Share of its volume that a dying cell still denies to a growing one."""

Field = NDArray[np.float32]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Biology:
    """Parameters of the growth equation.

    Attributes:
        diffusion_white: D in white matter [mm^2/day], > 0. Typical 0.05 to 0.4.
        rho: proliferation rate [1/day], > 0. Typical 0.01 to 0.03.
        white_grey_ratio: D in white over D in grey matter, > 0.
        necrosis_rate: k_n, rate of necrosis at full hypoxia [1/day]; with 0 hypoxia is not computed.
        perfusion_mm: standard deviation of the neighbourhood that a voxel's perfusion comes from [mm].
        critical_perfusion: relative perfusion below which hypoxia starts, in (0, 1].
        debris_days: tau_d, mean stay of dying cells [day].
        necrosis_days: tau_n, mean stay of necrosis [day].
    """

    diffusion_white: float
    rho: float
    white_grey_ratio: float = 10.0
    necrosis_rate: float = 0.06
    perfusion_mm: float = 4.0
    critical_perfusion: float = 0.35
    debris_days: float = 120.0
    necrosis_days: float = 250.0


@dataclass(frozen=True, eq=False)
class Medium:
    """What the tumour grows in. All fields have one shape (x, y, z).

    Attributes:
        spacing_mm: edge of the cubic voxel [mm].
        faces: diffusivity on the faces between a voxel and the next one along x, y, z [mm^2/day]; 0 is a wall.
        tissue: 1 where there is perfused tissue, else 0.
        perfusion_reference: smoothed `tissue`, the perfusion of the healthy brain.
        growth_factor: local factor on rho (1 everywhere in a uniform tumour).
        perfusion_factor: local factor on perfusion.
        largest_mobility: greatest sum of a voxel's six face diffusivities [mm^2/day]; it limits the time step.
    """

    spacing_mm: float
    faces: tuple[Field, Field, Field]
    tissue: Field
    perfusion_reference: Field
    growth_factor: Field
    perfusion_factor: Field
    largest_mobility: float


@dataclass(frozen=True, eq=False)
class State:
    """The tumour on one day: `viable`, `dying`, `necrosis`, `hypoxia`, float32 (x, y, z), each in [0, 1]."""

    day: float
    viable: Field
    dying: Field
    necrosis: Field
    hypoxia: Field


@dataclass(frozen=True)
class Stepping:
    """How time is cut.

    Attributes:
        safety: share of the stability limit that a step may take, in (0, 1].
        refresh_days: how often hypoxia and the active box are computed anew [day].
        activity: density below which a voxel counts as empty for the active box.
        margin_mm: width of the empty border that the active box keeps around the tumour [mm].
        max_step_days: no step is longer [day].
    """

    safety: float = 0.9
    refresh_days: float = 14.0
    activity: float = 1e-5
    margin_mm: float = 8.0
    max_step_days: float = 2.0


def diffusivity(white: Field, grey: Field, open_space: NDArray[np.bool_], biology: Biology) -> Field:
    """Diffusivity per voxel [mm^2/day] from tissue shares in [0, 1]; zero in `open_space` (fluid, cavity, outside)."""
    mixed = biology.diffusion_white * (white + grey / biology.white_grey_ratio)
    return np.where(open_space, 0.0, mixed).astype(np.float32)


def _face_means(field: Field, axis: int) -> Field:
    """Harmonic mean of each voxel and the next one along `axis`; 0 where either is 0 and behind the last voxel."""
    here = np.moveaxis(field, axis, 0)
    out = np.zeros_like(here)
    total = here[:-1] + here[1:]
    np.divide(2 * here[:-1] * here[1:], total, out=out[:-1], where=total > 0)
    return np.ascontiguousarray(np.moveaxis(out, 0, axis))


def make_medium(
    diffusion: Field,
    tissue: NDArray[np.bool_],
    spacing_mm: float,
    biology: Biology,
    growth_factor: Field | None = None,
    perfusion_factor: Field | None = None,
) -> Medium:
    """Prepare everything about the tissue that does not change while the tumour grows.

    The outermost layer of the grid is closed, so that no tumour touches the edge of the array.

    Args:
        diffusion: D per voxel [mm^2/day], >= 0, shape (x, y, z), at least 3 voxels along each axis.
        tissue: where perfused tissue is, same shape.
        spacing_mm: edge of the cubic voxel [mm], > 0.

    Raises: ValueError: if shapes differ or a diffusivity is negative or not finite.
    """
    if diffusion.shape != tissue.shape or min(diffusion.shape) < 3:
        raise ValueError(f"diffusion {diffusion.shape} and tissue {tissue.shape} need one shape of >= 3 voxels a side")
    if not np.isfinite(diffusion).all() or (diffusion < 0).any():
        raise ValueError("diffusion must be finite and >= 0 everywhere")
    closed = np.zeros_like(diffusion, np.float32)
    inner = (slice(1, -1),) * 3
    closed[inner] = diffusion[inner]
    perfused = tissue.astype(np.float32)
    reference = np.maximum(gaussian_smooth(perfused, biology.perfusion_mm / spacing_mm), np.float32(1e-3))
    ones = np.ones(diffusion.shape, np.float32)
    faces = (_face_means(closed, 0), _face_means(closed, 1), _face_means(closed, 2))
    return Medium(
        spacing_mm=spacing_mm,
        faces=faces,
        tissue=perfused,
        perfusion_reference=reference,
        growth_factor=ones if growth_factor is None else np.asarray(growth_factor, np.float32),
        perfusion_factor=ones if perfusion_factor is None else np.asarray(perfusion_factor, np.float32),
        largest_mobility=float(_mobility(faces).max()),
    )


def empty_state(shape: tuple[int, int, int]) -> State:
    """No tumour, day 0."""
    zeros = [np.zeros(shape, np.float32) for _ in range(4)]
    return State(0.0, *zeros)


def seeded(state: State, medium: Medium, voxel: tuple[int, int, int], radius_mm: float, density: float = 0.8) -> State:
    """Add a Gaussian seed of standard deviation `radius_mm` around `voxel`, where the medium lets cells move."""
    axes = np.ogrid[tuple(slice(0, n) for n in state.viable.shape)]
    squared = sum((axis - centre) ** 2 for axis, centre in zip(axes, voxel)) * medium.spacing_mm**2
    seed = density * np.exp(-squared / (2 * radius_mm**2))
    seed[seed < 1e-3] = 0.0
    seed[_mobility(medium.faces) == 0] = 0.0
    return replace(state, viable=np.maximum(state.viable, seed.astype(np.float32)))


def _mobility(faces: tuple[Field, Field, Field]) -> Field:
    """Sum of the six face diffusivities of each voxel [mm^2/day]."""
    total = np.zeros_like(faces[0])
    for axis, face in enumerate(faces):
        total += face + np.roll(face, 1, axis)
    return total


def _step_limit_days(medium: Medium, biology: Biology, rho_factor: float, stepping: Stepping) -> float:
    """Longest stable and accurate explicit step [day]."""
    mobility = medium.largest_mobility
    diffusive = medium.spacing_mm**2 / mobility if mobility > 0 else np.inf
    rate = biology.rho * rho_factor * float(medium.growth_factor.max()) + biology.necrosis_rate
    return min(stepping.safety * diffusive, 0.25 / rate if rate > 0 else np.inf, stepping.max_step_days)


def _active_box(state: State, spacing_mm: float, stepping: Stepping, within: Box) -> Box | None:
    """The box that holds all tumour with its margin and one layer that is only read; None if there is no tumour.

    Tumour is looked for in `within` only.
    """
    least = np.float32(stepping.activity)
    active = state.viable[within] > least
    active |= state.dying[within] > least
    active |= state.necrosis[within] > least
    present = (active.any(axis=(1, 2)), active.any(axis=(0, 2)), active.any(axis=(0, 1)))
    margin = int(np.ceil(stepping.margin_mm / spacing_mm))
    box = []
    for axis in range(3):
        where = np.flatnonzero(present[axis]) + (within[axis].start or 0)
        if not len(where):
            return None
        low, high = int(where[0]) - margin, int(where[-1]) + margin
        box.append(slice(max(low, 1) - 1, min(high, state.viable.shape[axis] - 2) + 2))
    return box[0], box[1], box[2]


def _hypoxia(viable: Field, necrosis: Field, medium: Medium, biology: Biology, box: Box) -> Field:
    """Hypoxia inside `box` from the fields inside it; around the box the tissue counts as healthy."""
    displaced = medium.tissue[box] * np.minimum(viable + necrosis, np.float32(1.0))
    lost = gaussian_smooth(displaced, biology.perfusion_mm / medium.spacing_mm)
    perfusion = 1.0 - lost / medium.perfusion_reference[box]
    relative = perfusion * medium.perfusion_factor[box] / np.float32(biology.critical_perfusion)
    return np.asarray(np.clip(1.0 - relative, 0.0, 1.0), np.float32)


def advance(
    state: State,
    medium: Medium,
    biology: Biology,
    days: float,
    kill_rate: Field | float = 0.0,
    rho_factor: float = 1.0,
    stepping: Stepping | None = None,
) -> State:
    """The state `days` later; the given one is not changed.

    Args:
        days: how long to grow [day], >= 0.
        kill_rate: k, rate at which treatment kills viable cells [1/day], one number or shape (x, y, z), >= 0.
        rho_factor: factor on rho during this time, >= 0.
        stepping: how time is cut; the default suits voxels of 1 to 4 mm.

    Raises: ValueError: if `days` is negative.
    """
    if days < 0:
        raise ValueError(f"time cannot run backwards: days = {days}")
    stepping = stepping or Stepping()
    limit = _step_limit_days(medium, biology, rho_factor, stepping)
    fields = [f.copy() for f in (state.viable, state.dying, state.necrosis, state.hypoxia)]
    now = State(state.day, *fields)
    box: Box = (slice(None), slice(None), slice(None))
    left = float(days)
    while left > 1e-9:
        span = min(stepping.refresh_days, left)
        # What was empty around the last box still is: tumour only has to be looked for inside it.
        found = _active_box(now, medium.spacing_mm, stepping, box)
        if found is None:
            break
        box = found
        _advance_span(now, medium, biology, box, span, limit, kill_rate, rho_factor)
        left -= span
    return replace(now, day=state.day + days)


def _advance_span(
    now: State,
    medium: Medium,
    biology: Biology,
    box: Box,
    span: float,
    limit: float,
    kill_rate: Field | float,
    rho_factor: float,
) -> None:
    """Advance the fields of `now` in place by `span` days with one hypoxia field, inside `box`."""
    steps = max(1, int(np.ceil(span / limit)))
    dt = span / steps
    viable, necrosis, dying = (np.ascontiguousarray(f[box]) for f in (now.viable, now.necrosis, now.dying))
    if biology.necrosis_rate > 0:
        now.hypoxia[box] = _hypoxia(viable, necrosis, medium, biology, box)
    per_face = np.float32(dt / medium.spacing_mm**2)
    faces = [face[box] * per_face for face in medium.faces]
    local_kill = kill_rate[box] if isinstance(kill_rate, np.ndarray) else np.full(viable.shape, kill_rate)
    killed = -np.expm1(-local_kill * dt).astype(np.float32)
    necrotic = now.hypoxia[box] * np.float32(biology.necrosis_rate * dt)
    growth = medium.growth_factor[box] * np.float32(biology.rho * rho_factor * dt)
    keep_necrosis, keep_dying = np.float32(1 - dt / biology.necrosis_days), np.float32(1 - dt / biology.debris_days)
    after = viable.copy()
    for _ in range(steps):
        explicit_step(
            viable,
            after,
            necrosis,
            dying,
            *faces,
            necrotic,
            killed,
            growth,
            np.float32(CROWDING),
            keep_necrosis,
            keep_dying,
        )
        viable, after = after, viable
    now.viable[box], now.dying[box], now.necrosis[box] = viable, dying, necrosis
