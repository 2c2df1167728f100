"""Proton and carbon plans: scanned beams whose energy layers build a spread-out Bragg peak, one field after the other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates

from flame.physics.beam import Angle, Beam, direction, make_beam, spread
from flame.physics.bragg import DEPTH_STEP_MM, Ion, Layers, layers
from flame.physics.radiobiology import CLINICAL_RBE_MODEL, dose_rbe

__all__ = ["ion_dose", "rbe_weighted"]

Field = NDArray[np.float32]

FIELDS = 3
ITERATIONS = 12
SPOT_SIGMA_MM = {"proton": 5.0, "carbon": 2.8}
RANGE_MARGIN = 0.035
RANGE_MARGIN_MM = 2.0
_SEPARATION = np.cos(np.deg2rad(45))


@dataclass(frozen=True, eq=False)
class _Rays:
    """The beam's rays through the target: `u`, `v` positions, `depth_mm` and `inside` (rays, depths)."""

    u: NDArray[np.intp]
    v: NDArray[np.intp]
    depth_mm: Field
    inside: NDArray[np.bool_]


def ion_dose(
    stopping_power: Field,
    target: NDArray[np.bool_],
    prescription_gy: float,
    fractions: int,
    ion: Ion,
    spacing_mm: float,
    range_error: float = 0.0,
) -> tuple[Field, Field, tuple[Angle, ...]]:
    """Dose and LETd of three fields, each of which alone gives the target a flat share of the RBE-weighted dose.

    Args:
        stopping_power: relative to water, float32 (x, y, z), 0 in air.
        target: planning target volume, bool, same shape.
        prescription_gy: wanted RBE-weighted dose [Gy(RBE)].
        fractions: number of fractions, for the RBE of carbon.
        ion: kind of particle.
        spacing_mm: of the isotropic grid.
        range_error: share by which the real depth of every voxel differs from the planned one.

    Returns: physical dose [Gy], LETd [keV/um], both float32 (x, y, z), and the angles of the fields.
    """
    isocentre = np.argwhere(target).mean(0)
    angles = _shortest_paths(stopping_power, isocentre, spacing_mm)
    # Spots reach one sigma beyond the target, or lateral spread would take dose from its rim.
    reach = SPOT_SIGMA_MM[ion] * 1.5
    aim = distance_transform_edt(~target) * spacing_mm <= reach
    dose, weighted = np.zeros(stopping_power.shape, np.float32), np.zeros(stopping_power.shape, np.float32)
    for angle in angles:
        beam = make_beam(stopping_power, aim, isocentre, angle, spacing_mm)
        for total, part in zip(
            (dose, weighted), _field(beam, prescription_gy, fractions, ion, spacing_mm, range_error)
        ):
            total += beam.to_patient(part)
    return dose, weighted / np.maximum(dose, np.float32(1e-3)), angles


def rbe_weighted(dose_gy: Field, letd: Field, fractions: int, ion: Ion) -> Field:
    """RBE-weighted dose as prescribed [Gy(RBE)]: 1.1 for protons, isoeffective dose in the reference tissue for carbon.

    Args:
        dose_gy: physical dose of all fractions [Gy].
        letd: [keV/um], same shape.
        fractions: number of equal fractions.
        ion: kind of particle.
    """
    return np.asarray(dose_rbe(dose_gy, letd, fractions, CLINICAL_RBE_MODEL[ion]), np.float32)


def _shortest_paths(stopping_power: Field, isocentre: NDArray[np.float64], spacing_mm: float) -> tuple[Angle, ...]:
    """The directions with the least material before the isocentre, at least 45 degrees apart."""
    candidates = [(float(azimuth), elevation) for elevation in (0.0, 40.0) for azimuth in range(0, 360, 20)]
    candidates.append((0.0, 85.0))
    steps = np.arange(0, 2 * max(stopping_power.shape))
    travels = [direction(angle)[0] for angle in candidates]
    paths = [
        float(map_coordinates(stopping_power, isocentre[:, None] - travel[:, None] * steps, order=1).sum() * spacing_mm)
        for travel in travels
    ]
    chosen: list[int] = []
    for number in np.argsort(paths, kind="stable"):
        if all(travels[number] @ travels[other] < _SEPARATION for other in chosen):
            chosen.append(int(number))
        if len(chosen) == FIELDS:
            break
    return tuple(candidates[number] for number in chosen)


def _field(
    beam: Beam, prescription_gy: float, fractions: int, ion: Ion, spacing_mm: float, range_error: float
) -> tuple[Field, Field]:
    """Dose and dose x LETd of one field in the beam's frame."""
    rays = _rays(beam)
    low = np.where(rays.inside, rays.depth_mm, np.inf).min(1) - 1.0
    high = np.where(rays.inside, rays.depth_mm, -np.inf).max(1) * (1 + RANGE_MARGIN) + RANGE_MARGIN_MM
    chosen = _between(layers(ion), float(low.min()) - 3, float(high.max()) + 3)
    weights = _optimise(rays, chosen, low, high, prescription_gy / FIELDS, fractions, ion)
    delivered = rays.depth_mm * np.float32(1 + range_error)
    dose = _look_up(chosen.dose, delivered)
    parts = (dose, dose * _look_up(chosen.letd, delivered))
    sigma = np.hypot(SPOT_SIGMA_MM[ion], _scattering_mm(_central_depth(beam), float(high.max()), ion)) / spacing_mm
    return _laterally_spread(parts[0], weights, rays, beam, sigma), _laterally_spread(
        parts[1], weights, rays, beam, sigma
    )


def _rays(beam: Beam) -> _Rays:
    u, v = np.nonzero(beam.target.any(0))
    depth = np.ascontiguousarray(beam.depth_mm[:, u, v].T)
    return _Rays(u, v, depth, np.ascontiguousarray(beam.target[:, u, v].T))


def _between(all_layers: Layers, low_mm: float, high_mm: float) -> Layers:
    use = (all_layers.range_mm >= low_mm) & (all_layers.range_mm <= high_mm)
    return Layers(all_layers.range_mm[use], all_layers.dose[use], all_layers.letd[use])


def _look_up(table: Field, depth_mm: Field) -> Field:
    """Values (rays, layers, depths) of a table (layers, depths in water) at water-equivalent depths (rays, depths)."""
    index = np.clip((depth_mm / np.float32(DEPTH_STEP_MM)).astype(np.int32), 0, table.shape[1] - 1)
    return np.ascontiguousarray(table[:, index].transpose(1, 0, 2))


def _optimise(
    rays: _Rays,
    chosen: Layers,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    share_gy: float,
    fractions: int,
    ion: Ion,
) -> Field:
    """Weights (rays, layers) that make the RBE-weighted dose flat along each ray's way through the target."""
    reaching = (chosen.range_mm >= low[:, None]) & (chosen.range_mm <= high[:, None] + 1.5)
    nearest = np.abs(chosen.range_mm - 0.5 * (low + high)[:, None]).argmin(1)
    reaching[np.arange(len(nearest)), nearest] |= ~reaching.any(1)
    used = np.flatnonzero(rays.inside.any(0))
    window = slice(int(used[0]), int(used[-1]) + 1)  # only depths that see the target decide
    dose = _look_up(chosen.dose, rays.depth_mm[:, window])
    letd = _look_up(chosen.letd, rays.depth_mm[:, window]) if ion == "carbon" else dose
    inside = dose * rays.inside[:, None, window]
    reach = np.maximum(inside.sum(2), 1e-6)
    weights = reaching.astype(np.float32)
    weights *= (share_gy / np.maximum(_combine(weights, dose).max(1), 1e-6))[:, None]
    for _ in range(ITERATIONS):
        total = _combine(weights, dose)
        if ion == "carbon":
            mean_letd = _combine(weights, dose * letd) / np.maximum(total, 1e-6)
            total = rbe_weighted(total * FIELDS, mean_letd, fractions, ion) / FIELDS
        else:
            total = np.float32(1.1) * total
        ratio = np.float32(share_gy) / np.maximum(total, np.float32(1e-4))
        weights *= np.clip(np.matmul(inside, ratio[:, :, None])[:, :, 0] / reach, 0.2, 5)
    return weights


def _combine(weights: Field, table: Field) -> Field:
    """Sum over layers: (rays, layers) x (rays, layers, depths) -> (rays, depths)."""
    total: Field = np.matmul(weights[:, None, :], table)[:, 0]
    return total


def _central_depth(beam: Beam) -> Field:
    _, u, v = beam.depth_mm.shape
    found: Field = beam.depth_mm[:, u // 2, v // 2]
    return found


def _scattering_mm(depth_mm: Field, range_mm: float, ion: Ion) -> NDArray[np.float64]:
    """Lateral standard deviation by multiple scattering [mm] (Hong 1996); carbon scatters 3.6 times less (unverified)."""
    at_range = 0.02275 * range_mm + 1.2085e-4 * range_mm**2
    share = np.clip(depth_mm / max(range_mm, 1.0), 0, 1)
    return np.asarray(at_range * share**1.5 / (1.0 if ion == "proton" else 3.6))


def _laterally_spread(table: Field, weights: Field, rays: _Rays, beam: Beam, sigma: NDArray[np.float64]) -> Field:
    """Place each ray's depth curve and blur every depth across the beam."""
    field = np.zeros(beam.depth_mm.shape, np.float32)
    field[:, rays.u, rays.v] = _combine(weights, table).T
    return spread(field, sigma) * beam.body
