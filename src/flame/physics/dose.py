"""Radiotherapy plans: target volumes, and the dose that photons, protons or carbon ions deliver to a head."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from flame.errors import DataError
from flame.physics import ions, photon
from flame.physics.anatomy import Tissue
from flame.physics.beams import Head, make_head
from flame.physics.pristine import CARBON, PROTON
from flame.physics.radiobiology import CLINICAL_RBE_MODEL, dose_rbe
from flame.records.patient import Arm
from flame.records.volume import Grid

__all__ = ["BOOST_FRACTIONS", "BOOST_GY", "DosePart", "DosePlan", "Margins", "plan", "targets"]

BOOST_GY, BOOST_FRACTIONS = 15.0, 3
"""The carbon boost of the carbon arm [Gy(RBE)], after protons (NCT04536649)."""

PHOTON_LETD = 0.3
"""LETd that stands for photons of 6 MV [keV/um]; no model here depends on it."""

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
Shift = tuple[float, float, float]


@dataclass(frozen=True)
class Margins:
    """Margins of target volumes [mm].

    Attributes:
        ctv: gross to clinical target volume, clipped to the brain (ESTRO-EANO 2023).
        boost: the same for the carbon boost.
        ptv: clinical to planning target volume; may leave the brain.
    """

    ctv: float = 15.0
    boost: float = 5.0
    ptv: float = 3.0


@dataclass(frozen=True, eq=False)
class DosePart:
    """Equal fractions of one particle: what survival has to be computed from. Arrays (x, y, z) as in `DosePlan`."""

    arm: Arm
    prescription_gy: float
    fractions: int
    rbe_model: str
    dose_gy: Field
    letd: Field
    dose_rbe_gy: Field
    ptv: Mask
    beams: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class DosePlan:
    """The dose of a course on the patient's grid.

    Attributes:
        dose_gy: total physical dose, float32 [Gy].
        letd: dose-averaged LET, weighted by physical dose over the parts, float32 [keV/um].
        dose_rbe_gy: total RBE-weighted dose, float32 [Gy(RBE)].
        rbe_model: names of the parts' RBE models, joined by "+".
        ctv, ptv: target volumes of the whole course, bool.
        beams: azimuth and elevation of every beam [degree].
        parts: the series of fractions, one after the other.
    """

    dose_gy: Field
    letd: Field
    dose_rbe_gy: Field
    rbe_model: str
    ctv: Mask
    ptv: Mask
    beams: tuple[tuple[float, float], ...]
    parts: tuple[DosePart, ...]


def targets(gtv: Mask, brain: Mask, grid: Grid, margin_mm: float, ptv_mm: float) -> tuple[Mask, Mask]:
    """Clinical target volume (GTV plus margin, clipped to the brain) and planning target volume around it.

    Margins count from a mask's surface, which lies between 0 (oblique) and half a voxel (along an axis) beyond the
    middles of its voxels; a quarter on average keeps volumes the same on coarser grids.
    """
    skin = float(np.prod(grid.spacing_mm)) ** (1 / 3) / 4
    reach = [int(np.ceil((margin_mm + ptv_mm + 2 * skin) / size)) + 1 for size in grid.spacing_mm]
    box = []
    for axis in range(3):
        inside = np.flatnonzero(gtv.any(axis=tuple({0, 1, 2} - {axis})))
        box.append(slice(max(int(inside[0]) - reach[axis], 0), int(inside[-1]) + reach[axis] + 1))
    where = (box[0], box[1], box[2])
    ctv, ptv = np.zeros(gtv.shape, bool), np.zeros(gtv.shape, bool)
    from_gtv = distance_transform_edt(~gtv[where], sampling=grid.spacing_mm) - skin
    ctv[where] = (from_gtv <= margin_mm) & brain[where]
    ptv[where] = distance_transform_edt(~ctv[where], sampling=grid.spacing_mm) - skin <= ptv_mm
    return ctv, ptv


def plan(
    brain: Tissue | Mask,
    gtv: Mask,
    grid: Grid,
    arm: Arm,
    prescription_gy: float,
    fractions: int,
    *,
    range_error: float = 0.0,
    shift_mm: Shift = (0.0, 0.0, 0.0),
    margins: Margins | None = None,
    known: Sequence[DosePart] = (),
) -> DosePlan:
    """Plan a course and deliver it. Same input, same bytes.

    The carbon arm is a course of protons with a carbon boost of 15 Gy(RBE) in 3 fractions at its end; both are in its
    prescription and fractions.

    Args:
        brain: its mask, bool, or the tissue maps that hold it.
        gtv: gross tumour volume, bool, on `grid`.
        grid: axis-aligned RAS grid of all arrays.
        prescription_gy: median dose of the planning target volume [Gy, or Gy(RBE) for ions].
        fractions: of the whole course.
        range_error: relative error of stopping powers at delivery, which the plan does not know; photons ignore it.
        shift_mm: set-up error at delivery along each axis.
        known: series of fractions of other arms, planned for the same patient under the same errors; one that this arm
            has too is taken over.

    Raises:
        DataError: if the brain or the GTV is empty, or the GTV lies outside the brain.
        ValueError: if shapes differ, or the carbon arm has no room for its boost.
    """
    mask = brain.brain if isinstance(brain, Tissue) else brain
    _check(mask, gtv, grid)
    wide = margins or Margins()
    ctv, ptv = targets(gtv, mask, grid, wide.ctv, wide.ptv)
    spacing_mm = np.array(grid.spacing_mm)
    delivery = _Delivery(make_head(mask, spacing_mm), spacing_mm, range_error, shift_mm, tuple(known))
    if arm == "photon":
        return _whole((_photons(ptv, prescription_gy, fractions, delivery),), ctv, ptv)
    if arm == "proton":
        return _whole((_ions("proton", ptv, prescription_gy, fractions, delivery),), ctv, ptv)
    if prescription_gy <= BOOST_GY or fractions <= BOOST_FRACTIONS:
        raise ValueError(f"a carbon arm of {prescription_gy} Gy(RBE) in {fractions} has no room for its boost")
    _, boost = targets(gtv, mask, grid, wide.boost, wide.ptv)
    first = _ions("proton", ptv, prescription_gy - BOOST_GY, fractions - BOOST_FRACTIONS, delivery)
    second = _ions("carbon", boost, BOOST_GY, BOOST_FRACTIONS, delivery)
    return _whole((first, second), ctv, ptv)


@dataclass(frozen=True, eq=False)
class _Delivery:
    """What the parts of a course have in common: the head, the patient's grid, the errors of delivery, known parts."""

    head: Head
    spacing_mm: NDArray[np.float64]
    range_error: float
    shift_mm: Shift
    known: tuple[DosePart, ...]


def _photons(ptv: Mask, prescription_gy: float, fractions: int, delivery: _Delivery) -> DosePart:
    """One series of photon fractions."""
    given = photon.irradiate(delivery.head, ptv, delivery.spacing_mm, prescription_gy, shift_mm=delivery.shift_mm)
    letd, model = np.full(ptv.shape, PHOTON_LETD, np.float32), CLINICAL_RBE_MODEL["photon"]
    return DosePart("photon", prescription_gy, fractions, model, given.dose_gy, letd, given.dose_gy, ptv, given.beams)


def _ions(
    particle: Literal["proton", "carbon"], ptv: Mask, prescription_gy: float, fractions: int, delivery: _Delivery
) -> DosePart:
    """One series of ion fractions."""
    for part in delivery.known:
        same = (part.arm, part.prescription_gy, part.fractions) == (particle, prescription_gy, fractions)
        if same and np.array_equal(part.ptv, ptv):
            return part
    model = CLINICAL_RBE_MODEL[particle]

    def weighting(dose: Field, letd: Field) -> Field:
        return np.asarray(dose_rbe(dose, letd, fractions, model), np.float32)

    given = ions.irradiate(
        delivery.head,
        ptv,
        delivery.spacing_mm,
        PROTON if particle == "proton" else CARBON,
        prescription_gy,
        weighting,
        heeds_letd=particle == "carbon",  # the clinic's protons are 1.1 throughout
        range_error=delivery.range_error,
        shift_mm=delivery.shift_mm,
    )
    weighted = weighting(given.dose_gy, given.letd)
    return DosePart(particle, prescription_gy, fractions, model, given.dose_gy, given.letd, weighted, ptv, given.beams)


def _whole(parts: tuple[DosePart, ...], ctv: Mask, ptv: Mask) -> DosePlan:
    """The sum of the parts."""
    if len(parts) == 1:
        part = parts[0]
        return DosePlan(part.dose_gy, part.letd, part.dose_rbe_gy, part.rbe_model, ctv, ptv, part.beams, parts)
    dose = np.sum([part.dose_gy for part in parts], axis=0)
    letd = np.sum([part.dose_gy * part.letd for part in parts], axis=0) / np.maximum(dose, np.float32(1e-3))
    weighted = np.sum([part.dose_rbe_gy for part in parts], axis=0)
    beams = tuple(angles for part in parts for angles in part.beams)
    return DosePlan(dose, letd, weighted, "+".join(part.rbe_model for part in parts), ctv, ptv, beams, parts)


def _check(brain: Mask, gtv: Mask, grid: Grid) -> None:
    if brain.shape != grid.shape or gtv.shape != grid.shape:
        raise ValueError(f"brain {brain.shape}, GTV {gtv.shape} and grid {grid.shape} must have one shape")
    if not brain.any():
        raise DataError("the brain mask is empty, so no plan can be made", "Make the brain mask again.")
    if not gtv.any():
        raise DataError("the gross tumour volume is empty, so no plan can be made", "Check the label map's values.")
    if not (gtv & brain).any():
        raise DataError("the gross tumour volume lies outside the brain mask", "Check that both are on one grid.")
