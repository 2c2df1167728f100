"""Scanned ion beams: fields that each cover the target with a uniform RBE-weighted dose (single-field uniform dose).

Every field is optimised on a grid along its beam: layers are ranges, spots sit on rays, a spot's dose is its depth-dose
along its own ray, spread laterally by a Gaussian that widens with depth.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from flame.physics.beams import BeamGrid, Head, rotation, shortest_paths, view
from flame.physics.interpolation import sample_affine
from flame.physics.pristine import DEPTH_STEP_MM, DepthDose, Ion, depth_dose
from flame.physics.rays import blur_slices, layer_dose, layer_gain, sample_points

__all__ = ["IonDose", "IonSettings", "irradiate", "scattering_mm"]

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
Vector = NDArray[np.float64]
Angles = tuple[float, float]
Weighting = Callable[[Field, Field], Field]
"""From physical dose [Gy] and LETd [keV/um] of the whole series to RBE-weighted dose [Gy(RBE)]."""


_EDGE = 0.3
"""Share of target from which a voxel of the beam's grid belongs to it; below a half, so that the rim is covered."""

_PACE = 1.7
"""Exponent on the updates of the weights: 1 is the plain scheme; larger ones, below 2, need fewer steps."""


@dataclass(frozen=True)
class IonSettings:
    """How fields are planned.

    Attributes:
        angles: azimuth and elevation of each beam [degree]; None lets the planner choose the shortest paths.
        fields: number of beams to choose.
        apart: least angle between two beams [degree].
        step_mm: grid along the beam: depth and lateral [mm].
        range_margin: share of the range that is added beyond the target and taken off before it.
        range_margin_mm: constant part of that margin [mm].
        lateral_margin: how far spots may lie outside the target's outline, in standard deviations of a spot in air.
        iterations: of the weights.
    """

    angles: tuple[Angles, ...] | None = None
    fields: int = 3
    apart: float = 80.0
    step_mm: tuple[float, float] = (2.5, 3.0)
    range_margin: float = 0.035
    range_margin_mm: float = 3.0
    lateral_margin: float = 1.6
    iterations: int = 22


@dataclass(frozen=True, eq=False)
class IonDose:
    """Physical dose [Gy] and dose-averaged LET [keV/um] on the patient's grid, and the beams' angles [degree]."""

    dose_gy: Field
    letd: Field
    beams: tuple[Angles, ...]


@dataclass(frozen=True, eq=False)
class _Series:
    """What all fields of a plan have in common."""

    ion: Ion
    curves: DepthDose
    weighting: Weighting
    heeds_letd: bool
    share_gy: float
    fields: int
    settings: IonSettings


@dataclass(frozen=True, eq=False)
class _IonField:
    """One field: spot weights (rays, layers) on their grid; `sigma` is the lateral spread of each depth [voxel]."""

    grid: BeamGrid
    rays: NDArray[np.int64]
    weights: Field
    dose_table: Field
    dose_let_table: Field
    sigma: Field
    depths: tuple[int, int]

    def deliver(self, depths: tuple[int, int], range_error: float = 0.0) -> tuple[Field, Field]:
        """Dose and dose x LET on the beam's grid within `depths`."""
        return (
            self._spread(self.dose_table, depths, range_error),
            self._spread(self.dose_let_table, depths, range_error),
        )

    def planned(self, depths: tuple[int, int], heeds_letd: bool) -> tuple[Field, Field]:
        """`deliver` without error; dose x LET, which takes as long as the dose, is 0 where nobody heeds it."""
        if heeds_letd:
            return self.deliver(depths)
        dose = self._spread(self.dose_table, depths, 0.0)
        return dose, np.zeros_like(dose)

    def _spread(self, table: Field, depths: tuple[int, int], range_error: float) -> Field:
        per_mm = (1 + range_error) / DEPTH_STEP_MM
        sharp = layer_dose(self.weights, self.rays, self.grid.wepl, table, per_mm, depths)
        return np.asarray(blur_slices(sharp, self.sigma, depths) * self.grid.body)


def scattering_mm(depth_mm: Field, range_mm: float, ion: Ion) -> Field:
    """Lateral standard deviation that multiple scattering adds at a depth of water [mm] (Hong et al. 1996, rounded).

    2.3 % of the range at its end, falling with depth^1.5 towards the surface; for carbon 3.6 times less (unverified).
    """
    at_end = 0.02275 * range_mm + 1.2085e-4 * range_mm**2
    share = np.clip(depth_mm / range_mm, 0, 1)
    return np.asarray(at_end * share**1.5 / (1.0 if ion.charge == 1 else 3.6), np.float32)


def irradiate(
    head: Head,
    target: Mask,
    spacing_mm: Vector,
    ion: Ion,
    prescription_gy: float,
    weighting: Weighting,
    *,
    heeds_letd: bool = True,
    range_error: float = 0.0,
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    settings: IonSettings | None = None,
) -> IonDose:
    """Plan fields on the target, scale the plan to a median of the prescription in it, and deliver.

    Args:
        target: planning target volume on the patient's grid.
        spacing_mm: of that grid, (3,).
        prescription_gy: RBE-weighted dose of the series [Gy(RBE)].
        weighting: how the clinic weights this ion.
        heeds_letd: whether `weighting` depends on LETd; if not, it is given zeros.
        range_error: relative error of all stopping powers at delivery; the plan does not know it.
        shift_mm: how far the head lies off at delivery; dose lands on tissue that is this far along each axis.
    """
    points = np.argwhere(target).astype(np.float32, order="C")
    isocentre = points.mean(axis=0).astype(np.float64) * spacing_mm
    used = settings or IonSettings()
    beams = used.angles or tuple(shortest_paths(head, isocentre, used.fields, used.apart))
    series = _Series(ion, depth_dose(ion), weighting, heeds_letd, prescription_gy / len(beams), len(beams), used)
    fields = [_plan(head, target, points, spacing_mm, rotation(*angles), isocentre, series) for angles in beams]
    scale = _scale(fields, points, spacing_mm, series, prescription_gy)
    dose, dose_let = np.zeros(target.shape, np.float32), np.zeros(target.shape, np.float32)
    for field in fields:
        delivered = replace(field, weights=field.weights * scale).deliver((0, field.grid.wepl.shape[0]), range_error)
        matrix, offset = field.grid.index_map(spacing_mm, -np.asarray(shift_mm))
        dose += sample_affine(delivered[0], matrix, offset, target.shape)
        dose_let += sample_affine(delivered[1], matrix, offset, target.shape)
    return IonDose(dose, _let(dose_let, dose), beams)


def _plan(
    head: Head, target: Mask, points: Field, spacing_mm: Vector, frame: Vector, isocentre: Vector, series: _Series
) -> _IonField:
    """Optimise one field's weights."""
    settings = series.settings
    beyond_mm = settings.lateral_margin * series.ion.spot_mm
    # Deep spots are wider than in air, by less than half for ranges inside a head.
    reach = np.abs((points * spacing_mm - isocentre) @ frame[1:].T).max(axis=0) + beyond_mm + 4 * series.ion.spot_mm
    depth_mm, lateral_mm = settings.step_mm
    grid = view(head, frame, isocentre, reach, np.array([depth_mm, lateral_mm, lateral_mm]))
    inside = grid.see(target.astype(np.float32), spacing_mm, np.zeros(3)) >= _EDGE
    outside_mm, nearest = distance_transform_edt(
        np.asarray(~inside.any(axis=0)), sampling=lateral_mm, return_indices=True
    )
    rays = np.argwhere(outside_mm <= beyond_mm)
    wanted, low, high = _extent(inside, grid.wepl, rays, nearest, settings)
    ranges = series.curves.range_mm
    used = np.flatnonzero((ranges >= low.min() - 3) & (ranges <= high.max() + 6))
    tables = [np.ascontiguousarray(table[:, used]) for table in (series.curves.dose, series.curves.dose_let)]
    short = ranges[used] - low[:, None]
    left = high[:, None] + 1.0 - ranges[used]
    on = (short >= -1.5) & (left >= -2.0)
    # Weights of a flat peak fall with distance from its far end (Bortfeld and Schlegel 1996); a start, no more.
    weights = np.where(on, (np.maximum(left, 0) + 2.0) ** -0.5, 0).astype(np.float32)
    deep = np.flatnonzero(wanted.any(axis=(1, 2)))
    middle = grid.wepl[:, grid.wepl.shape[1] // 2, grid.wepl.shape[2] // 2]
    scatter = scattering_mm(middle, float(high.max()), series.ion)
    sigma = np.hypot(scatter, np.float32(series.ion.spot_mm)) / np.float32(lateral_mm)
    depths = (int(deep[0]), int(deep[-1]) + 1)
    field = _IonField(grid, rays, weights, tables[0], tables[1], sigma.astype(np.float32), depths)
    return replace(field, weights=_optimised(field, wanted, series))


def _extent(
    inside: Mask, wepl: Field, rays: NDArray[np.int64], nearest: NDArray[np.int32], settings: IonSettings
) -> tuple[Mask, Field, Field]:
    """Where the field shall be uniform (the target and its range margins), and each ray's first and last water depth.

    A ray outside the outline takes the place along the beam of the nearest ray inside.
    """
    first, last = inside.argmax(axis=0), inside.shape[0] - 1 - inside[::-1].argmax(axis=0)
    u, v = rays.T
    source = nearest[0][u, v], nearest[1][u, v]
    near, far = wepl[first[source], u, v], wepl[last[source], u, v]
    low = near * (1 - settings.range_margin) - settings.range_margin_mm
    high = far * (1 + settings.range_margin) + settings.range_margin_mm
    depth = np.arange(inside.shape[0])[:, None]
    along = wepl[:, u, v]
    wanted = inside.copy()
    core = np.asarray(inside.any(axis=0))[u, v]
    wanted[:, u, v] |= core & (along >= low) & (along <= high) & ((depth < first[source]) | (depth > last[source]))
    return wanted, low, high


def _optimised(field: _IonField, wanted: Mask, series: _Series) -> Field:
    """Weights that give the field's share wherever `wanted`: multiplicative updates by the back-projected ratio."""
    per_mm, depths, wepl = 1 / DEPTH_STEP_MM, field.depths, field.grid.wepl

    def back(ratio: Field) -> Field:
        spread = blur_slices(ratio, field.sigma, depths)
        return np.asarray(layer_gain(spread, field.rays, wepl, field.dose_table, per_mm, depths))

    even = np.maximum(back(wanted.astype(np.float32)), np.float32(1e-6))
    dose, _ = field.planned(depths, heeds_letd=False)
    field = replace(field, weights=field.weights * np.float32(series.share_gy / max(float(dose[wanted].mean()), 1e-6)))
    for _ in range(series.settings.iterations):
        dose, dose_let = field.planned(depths, series.heeds_letd)
        part = dose[wanted]
        weighted = series.weighting(part * np.float32(series.fields), _let(dose_let[wanted], part)) / series.fields
        ratio = np.zeros(wanted.shape, np.float32)
        ratio[wanted] = np.clip(series.share_gy / np.maximum(weighted, 1e-3), 0.2, 5)
        change = (back(ratio) / even) ** np.float32(_PACE)
        field = replace(field, weights=np.asarray(field.weights * change, np.float32))
    return field.weights


def _scale(
    fields: list[_IonField], points: Field, spacing_mm: Vector, series: _Series, prescription_gy: float
) -> np.float32:
    """Factor on all weights that brings the median RBE-weighted dose in the target to the prescription."""
    dose, dose_let = np.zeros(len(points), np.float32), np.zeros(len(points), np.float32)
    for field in fields:
        matrix, offset = field.grid.index_map(spacing_mm, np.zeros(3))
        nominal = field.planned(field.depths, series.heeds_letd)
        dose += sample_points(nominal[0], matrix, offset, points)
        dose_let += sample_points(nominal[1], matrix, offset, points)
    letd = _let(dose_let, dose)
    scale = np.float32(1.0)
    for _ in range(4):
        scale *= np.float32(prescription_gy / np.median(series.weighting(dose * scale, letd)))
    return scale


def _let(dose_let: Field, dose: Field) -> Field:
    """Dose-averaged LET from dose x LET; 0 where there is no dose."""
    return np.asarray(dose_let / np.maximum(dose, np.float32(1e-3)), np.float32)
