"""Photon beams of 6 MV: coplanar beams with optimised fluence maps.

Dose at a point is the sum over beams of the fluence there, blurred by the penumbra, times the tissue-maximum ratio at
its water-equivalent depth and the inverse square of its distance from the source.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from flame.physics.beams import Head, rotation, view
from flame.physics.interpolation import sample_affine
from flame.physics.rays import blur_slices, fluence_at, fluence_gain, sample_points

__all__ = ["PhotonDose", "PhotonSettings", "irradiate", "tissue_maximum_ratio"]

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
Vector = NDArray[np.float64]

_SOURCE_MM = 1000.0
_DEPTH_OF_MAXIMUM_MM = 15.0


@dataclass(frozen=True)
class PhotonSettings:
    """How the fluence is optimised.

    Attributes:
        beams: number of coplanar beams, evenly spread.
        bixel_mm: size of a fluence element [mm].
        penumbra_mm: standard deviations of the two parts of the lateral spread [mm].
        scatter: share of the wider part.
        falloff_mm: distance from the target over which the dose limit in brain falls by 1/e [mm].
        floor: the limit far away, as a share of the prescription.
        weight: of normal brain against the target.
        iterations: of the fluence.
    """

    beams: int = 13
    bixel_mm: float = 3.0
    penumbra_mm: tuple[float, float] = (3.0, 12.0)
    scatter: float = 0.08
    falloff_mm: float = 9.0
    floor: float = 0.15
    weight: float = 0.008
    iterations: int = 30


@dataclass(frozen=True, eq=False)
class PhotonDose:
    """Dose [Gy] on the patient's grid, and the beams' azimuth and elevation [degree]."""

    dose_gy: Field
    beams: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class _Beams:
    """All beams on the points of the head: matrices to the fluence maps, depth factors (beams, points)."""

    matrices: list[Field]
    offsets: list[Field]
    factors: Field
    shape: tuple[int, int]


def tissue_maximum_ratio(depth_mm: Field) -> Field:
    """Dose at a depth of water over dose at 15 mm, 6 MV, field of about 10 cm.

    exp(-0.0039 z) (1 - 0.13 exp(-0.02 z) - 0.65 exp(-0.3 z)): attenuation, build-up of scatter and of electrons; the
    constants reproduce a percentage depth dose of 67 % at 10 cm and 38 % at 20 cm (BJR Supplement 25; unverified).
    """

    def raw(z: Field) -> Field:
        return np.asarray(np.exp(-0.0039 * z) * (1 - 0.13 * np.exp(-0.02 * z) - 0.65 * np.exp(-0.3 * z)))

    top = raw(np.asarray(_DEPTH_OF_MAXIMUM_MM, np.float32))
    return np.asarray(raw(np.maximum(depth_mm, 0)) / top, np.float32)


def irradiate(
    head: Head,
    target: Mask,
    spacing_mm: Vector,
    prescription_gy: float,
    *,
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    settings: PhotonSettings | None = None,
) -> PhotonDose:
    """Optimise the fluence, scale the plan to a median of the prescription in the target, and deliver.

    Args:
        target: planning target volume on the patient's grid.
        spacing_mm: of that grid, (3,).
        prescription_gy: total dose [Gy].
        shift_mm: how far the head lies off at delivery; dose lands on tissue that is this far along each axis.
    """
    used = settings or PhotonSettings()
    to_patient = np.diag(head.step_mm / spacing_mm).astype(np.float32)
    origin = (head.origin_mm / spacing_mm).astype(np.float32)
    coarse = sample_affine(target.astype(np.float32), to_patient, origin, head.spr.shape) >= 0.5
    inside = head.spr > 0.3
    points = np.argwhere(inside).astype(np.float32, order="C")
    distance_mm = (distance_transform_edt(~coarse) * head.step_mm)[inside].astype(np.float32)
    angles = [360 / used.beams * number + 5 for number in range(used.beams)]
    beams = _beams(head, coarse, points, angles, used)
    fluence = _optimised(beams, points, distance_mm, prescription_gy, used)
    dose = _dose(_blurred(fluence, used), beams, points, slice(None))
    dose *= np.float32(prescription_gy) / np.median(dose[distance_mm == 0])
    whole = np.zeros(head.spr.shape, np.float32)
    whole[inside] = dose
    to_head = np.diag(spacing_mm / head.step_mm).astype(np.float32)
    offset = (-(np.asarray(shift_mm) + head.origin_mm) / head.step_mm).astype(np.float32)
    return PhotonDose(sample_affine(whole, to_head, offset, target.shape), tuple((angle, 0.0) for angle in angles))


def _beams(head: Head, target: Mask, points: Field, angles: list[float], settings: PhotonSettings) -> _Beams:
    """Geometry and depth factors of all beams, with fluence maps of one common size."""
    voxels = np.argwhere(target)
    isocentre = head.origin_mm + voxels.mean(axis=0) * head.step_mm
    around = (voxels - voxels.mean(axis=0)) * head.step_mm
    across = np.sqrt((around[:, :2] ** 2).sum(axis=1)).max() + 3 * settings.penumbra_mm[0] + 6
    upwards = np.abs(around[:, 2]).max() + 3 * settings.penumbra_mm[0] + 6
    coarse = np.array([4.0, 4.0, 4.0])
    size = np.full(3, head.step_mm)
    bixels = [2 * int(np.ceil(reach / settings.bixel_mm)) + 1 for reach in (across, upwards)]
    matrices, offsets, factors = [], [], np.empty((len(angles), len(points)), np.float32)
    for number, angle in enumerate(angles):
        grid = view(head, rotation(angle, 0.0), isocentre, (across + 4, upwards + 4), coarse)
        along = (grid.start_mm[0] + np.arange(grid.wepl.shape[0]) * coarse[0]).astype(np.float32)
        square = (_SOURCE_MM / (_SOURCE_MM + along)) ** 2
        depth = tissue_maximum_ratio(grid.wepl) * square[:, None, None]
        matrix, offset = grid.index_map(size, head.origin_mm)
        factors[number] = sample_points(depth, matrix, offset, points)
        matrices.append(matrix[1:] * np.float32(coarse[0] / settings.bixel_mm))
        start = (np.array(bixels) - 1) / 2 * settings.bixel_mm
        offsets.append(((offset[1:] * coarse[1:] + grid.start_mm[1:] + start) / settings.bixel_mm).astype(np.float32))
    return _Beams(matrices, offsets, factors, (bixels[0], bixels[1]))


def _blurred(fluence: Field, settings: PhotonSettings) -> Field:
    """Fluence maps after penumbra and scatter, (beams, lateral, lateral)."""
    maps = fluence.shape[0]
    narrow, wide = (np.full(maps, sigma / settings.bixel_mm, np.float32) for sigma in settings.penumbra_mm)
    share = np.float32(settings.scatter)
    return np.asarray(
        (1 - share) * blur_slices(fluence, narrow, (0, maps)) + share * blur_slices(fluence, wide, (0, maps))
    )


def _dose(blurred: Field, beams: _Beams, points: Field, chosen: slice | NDArray[np.int64]) -> Field:
    """Dose at the chosen points."""
    at = points[chosen]
    dose = np.zeros(len(at), np.float32)
    for number, (matrix, offset) in enumerate(zip(beams.matrices, beams.offsets)):
        fluence_at(blurred[number], matrix, offset, at, beams.factors[number][chosen], dose)
    return dose


def _optimised(
    beams: _Beams, points: Field, distance_mm: Field, prescription_gy: float, settings: PhotonSettings
) -> Field:
    """Fluence maps that bring the target to the prescription and normal tissue below a limit that falls with distance.

    Non-negative least squares by the multiplicative updates of Lee and Seung; a point of normal tissue counts only
    while it is above its limit. Tissue is thinned out with distance from the target and weighted accordingly.
    """
    near, far = distance_mm <= 20, distance_mm > 20
    number = np.arange(len(points))
    chosen = np.flatnonzero((distance_mm == 0) | (near & (number % 2 == 0)) | (far & (number % 8 == 0)))
    away = distance_mm[chosen]
    limit = prescription_gy * np.maximum(np.exp(-away / settings.falloff_mm), settings.floor).astype(np.float32)
    target = away == 0
    importance = np.where(target, 1.0, settings.weight * np.where(away <= 20, 2, 8)).astype(np.float32)
    at = np.ascontiguousarray(points[chosen])
    local = _Beams(beams.matrices, beams.offsets, np.ascontiguousarray(beams.factors[:, chosen]), beams.shape)
    fluence = _open_fields(local, at[target], target)
    everywhere = slice(None)
    fluence *= np.float32(prescription_gy) / _dose(_blurred(fluence, settings), local, at, everywhere)[target].mean()
    for _ in range(settings.iterations):
        dose = _dose(_blurred(fluence, settings), local, at, everywhere)
        counts = importance * (target | (dose > limit))
        gains = [
            fluence_gain(counts * limit, counts * dose, matrix, offset, at, factor, beams.shape)
            for matrix, offset, factor in zip(local.matrices, local.offsets, local.factors)
        ]
        wanted, present = (_blurred(np.stack([gain[side] for gain in gains]), settings) for side in (0, 1))
        fluence *= wanted / np.maximum(present, np.float32(1e-6))
    return fluence


def _open_fields(beams: _Beams, at: Field, target: Mask) -> Field:
    """Fluence 1 wherever a beam sees the target, with a margin of the interpolation."""
    ones = np.ones(len(at), np.float32)
    maps = [
        fluence_gain(ones, ones, matrix, offset, at, factor[target], beams.shape)[0] > 0
        for matrix, offset, factor in zip(beams.matrices, beams.offsets, beams.factors)
    ]
    return np.stack(maps).astype(np.float32)
