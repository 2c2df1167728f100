"""A photon plan: coplanar 6 MV fields whose fluence is optimised for a homogeneous target dose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from flame.physics.beam import Angle, Beam, make_beam
from flame.physics.bragg import photon_depth_dose

__all__ = ["photon_dose"]

Field = NDArray[np.float32]

FIELDS = 11
ITERATIONS = 8
PENUMBRA_SIGMA_MM = 2.5
FIELD_MARGIN_MM = 4.0


@dataclass(frozen=True, eq=False)
class _Fluence:
    """One field: depth dose at the target's points, the bixel behind each, and where the open field's rim copies."""

    beam: Beam
    depth_dose: Field
    bixel: NDArray[np.intp]
    rim: NDArray[np.bool_]
    rim_source: tuple[NDArray[np.intp], NDArray[np.intp]]
    values: Field


def photon_dose(
    stopping_power: Field, target: NDArray[np.bool_], prescription_gy: float, spacing_mm: float
) -> tuple[Field, tuple[Angle, ...]]:
    """Dose of a coplanar, fluence-optimised 6 MV plan.

    Multiplicative updates as in maximum-likelihood reconstruction: each bixel is scaled by the mean ratio of wanted to
    delivered dose along its path through the target. Fluence is blurred by the penumbra.

    Args:
        stopping_power: density relative to water, float32 (x, y, z), 0 in air.
        target: planning target volume, bool, same shape.
        prescription_gy: wanted dose [Gy].
        spacing_mm: of the isotropic grid.

    Returns: dose [Gy], float32 (x, y, z), and the angles of the fields.
    """
    points = np.argwhere(target)
    isocentre = points.mean(0)
    angles = tuple((360 / FIELDS * number + 10.0, 0.0) for number in range(FIELDS))
    sigma = PENUMBRA_SIGMA_MM / spacing_mm
    fields = [
        _open_field(make_beam(stopping_power, target, isocentre, angle, spacing_mm), points, spacing_mm)
        for angle in angles
    ]
    for step in range(ITERATIONS):
        delivered = sum((field.depth_dose * _blur(field.values, sigma).ravel()[field.bixel] for field in fields))
        ratio = np.float32(prescription_gy) / np.maximum(delivered, np.float32(1e-3))
        for field in fields:
            _scale(field, ratio, first=step == 0)
    dose = np.zeros(stopping_power.shape, np.float32)
    for field in fields:
        depth_dose = photon_depth_dose(field.beam.depth_mm).astype(np.float32)
        dose += field.beam.to_patient(_blur(field.values, sigma)[None] * depth_dose * field.beam.body)
    return dose, angles


def _blur(values: Field, sigma: float) -> Field:
    blurred: Field = gaussian_filter(values, sigma, truncate=3)
    return blurred


def _open_field(beam: Beam, points: NDArray[np.intp], spacing_mm: float) -> _Fluence:
    where = beam.positions(points)
    depth = map_coordinates(beam.depth_mm, where, order=1)
    u, v = np.rint(where[1:]).astype(np.intp)
    values = np.zeros(beam.depth_mm.shape[1:], np.float32)
    values[u, v] = 1
    distance, source = distance_transform_edt(values == 0, return_indices=True)
    rim = (distance > 0) & (distance * spacing_mm <= FIELD_MARGIN_MM)
    return _Fluence(
        beam,
        photon_depth_dose(depth).astype(np.float32),
        u * values.shape[1] + v,
        rim,
        (source[0][rim], source[1][rim]),
        values,
    )


def _scale(field: _Fluence, ratio: Field, first: bool) -> None:
    """Scale the field's fluence in place; the rim copies its nearest bixel."""
    wanted = np.bincount(field.bixel, field.depth_dose * ratio, field.values.size)
    passed = np.bincount(field.bixel, field.depth_dose, field.values.size)
    factor = np.where(passed > 0, wanted / np.maximum(passed, 1e-9), 1.0).reshape(field.values.shape)
    field.values[...] *= factor if first else np.clip(factor, 0.3, 3)
    field.values[field.rim] = field.values[field.rim_source]
