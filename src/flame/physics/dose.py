"""Plans and delivered dose of the three arms on a patient's own grid: photons, protons, protons with a carbon boost."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, distance_transform_edt, zoom

from flame.physics.ion import ion_dose, rbe_weighted
from flame.physics.photon import photon_dose
from flame.physics.radiobiology import CLINICAL_RBE_MODEL
from flame.records.patient import Arm
from flame.records.volume import Grid

__all__ = ["CARBON_BOOST", "DosePlan", "Part", "plan", "stopping_power", "targets"]

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
Shift = tuple[float, float, float]

CALCULATION_MM = 3.0
CTV_MARGIN_MM, PTV_MARGIN_MM, BOOST_MARGIN_MM = 15.0, 3.0, 3.0
CARBON_BOOST = (15.0, 3)
"""Carbon part of the carbon arm: Gy(RBE) and fractions, after protons (trial NCT04536649)."""
_HEAD_MM = 18.0
_PHOTON_LETD = 0.3


@dataclass(frozen=True, eq=False)
class Part:
    """One series of fractions with one particle: physical `dose_gy` [Gy], `letd` [keV/um], `dose_rbe_gy` [Gy(RBE)]."""

    arm: Arm
    dose_gy: Field
    letd: Field
    dose_rbe_gy: Field
    fractions: int


@dataclass(frozen=True, eq=False)
class DosePlan:
    """A delivered course on the patient's grid, all (x, y, z).

    `dose_gy` physical sum [Gy], `letd` dose-averaged over all parts [keV/um], `dose_rbe_gy` sum of RBE-weighted doses
    [Gy(RBE)] under `rbe_model`; `ctv` and `ptv` bool; `parts` in the order of delivery.
    """

    dose_gy: Field
    letd: Field
    dose_rbe_gy: Field
    rbe_model: str
    ctv: Mask
    ptv: Mask
    parts: tuple[Part, ...]


def targets(gtv: Mask, brain: Mask, spacing_mm: float, margin_mm: float = CTV_MARGIN_MM) -> tuple[Mask, Mask]:
    """Clinical and planning target volume: the GTV and a margin within the brain (ESTRO-EANO 2023), and 3 mm more.

    Args:
        gtv: gross tumour volume, bool (x, y, z).
        brain: same shape.
        spacing_mm: of the isotropic grid.
        margin_mm: from GTV to CTV.
    """
    ctv = (distance_transform_edt(~gtv) * spacing_mm <= margin_mm) & brain
    return ctv, distance_transform_edt(~ctv) * spacing_mm <= PTV_MARGIN_MM


def stopping_power(brain: Mask, spacing_mm: float) -> Field:
    """A head around a brain mask, relative to water: 2 mm of fluid, 6 mm of skull (1.55), 5 mm of scalp (1.04), air."""
    outside = distance_transform_edt(~brain) * spacing_mm
    layers = [outside <= 2, outside <= 8, outside <= 13]
    return np.select(layers, [np.float32(1.0), np.float32(1.55), np.float32(1.04)], np.float32(0.0))


def plan(
    brain: Mask,
    gtv: Mask,
    grid: Grid,
    arm: Arm,
    prescription_gy: float,
    fractions: int,
    *,
    range_error: float = 0.0,
    shift_mm: Shift = (0.0, 0.0, 0.0),
) -> DosePlan:
    """Plan an arm and deliver it.

    The dose is computed on a 3 mm grid of a head built around the brain, and normalised so that the median of the CTV
    gets the prescription. The carbon arm is protons followed by a carbon boost of 15 Gy(RBE) in 3 fractions to the GTV
    and 3 mm around it.

    Args:
        brain: bool (x, y, z).
        gtv: gross tumour volume, same shape, not empty.
        grid: of both, isotropic.
        arm: type of radiotherapy.
        prescription_gy: Gy, or Gy(RBE) for ions, of the whole course.
        fractions: of the whole course.
        range_error: share by which ions' real depth differs from the planned one.
        shift_mm: set-up error (x, y, z) by which the delivered dose is displaced.

    Raises: ValueError: if the GTV is empty, the grid is not isotropic, or the prescription leaves nothing to protons.
    """
    spacing = grid.spacing_mm[0]
    if not gtv.any():
        raise ValueError("the gross tumour volume is empty: there is nothing to plan for")
    if max(grid.spacing_mm) - min(grid.spacing_mm) > 1e-3:
        raise ValueError(f"the grid must be isotropic, its spacing is {grid.spacing_mm} mm")
    ctv, ptv = targets(gtv, brain, spacing)
    head = _Head(brain, spacing, shift_mm)
    if arm == "photon":
        parts: tuple[Part, ...] = (_photon_part(head, ctv, ptv, prescription_gy, fractions),)
    elif arm == "proton":
        parts = (_ion_part(head, "proton", ctv, ptv, prescription_gy, fractions, range_error),)
    else:
        boost_gy, boost_fractions = CARBON_BOOST
        if prescription_gy <= boost_gy or fractions <= boost_fractions:
            raise ValueError(f"{prescription_gy} Gy(RBE) in {fractions} fractions leaves nothing beside the boost")
        boost_ctv, boost_ptv = targets(gtv, brain, spacing, BOOST_MARGIN_MM)
        parts = (
            _ion_part(head, "proton", ctv, ptv, prescription_gy - boost_gy, fractions - boost_fractions, range_error),
            _ion_part(head, "carbon", boost_ctv, boost_ptv, boost_gy, boost_fractions, range_error),
        )
    return _summed(parts, ctv, ptv)


@dataclass(frozen=True, eq=False)
class _Head:
    """The head on the calculation grid, and the way there and back."""

    brain: Mask
    spacing_mm: float
    shift_mm: Shift

    @property
    def scale(self) -> float:
        return self.spacing_mm / CALCULATION_MM

    @property
    def margin(self) -> int:
        return int(np.ceil(_HEAD_MM / self.spacing_mm))

    def coarse(self, array: NDArray[np.generic]) -> Field:
        padded = array.astype(np.float32)
        found: Field = zoom(padded, self.scale, order=1, grid_mode=True, mode="grid-constant")
        return found

    def padded(self, mask: Mask) -> Mask:
        return np.pad(mask, self.margin)

    def fine(self, array: Field) -> Field:
        """Back onto the patient's grid, displaced by the set-up error."""
        shape = tuple(size + 2 * self.margin for size in self.brain.shape)
        offset = 0.5 * self.scale - 0.5 + np.array(self.shift_mm) / CALCULATION_MM
        full = affine_transform(array, np.full(3, self.scale), offset, shape, order=1)
        inner = tuple(slice(self.margin, self.margin + size) for size in self.brain.shape)
        return np.ascontiguousarray(full[inner])

    def power(self) -> Field:
        return self.coarse(stopping_power(self.padded(self.brain), self.spacing_mm))

    def mask(self, mask: Mask) -> Mask:
        found: Mask = self.coarse(self.padded(mask)) > 0.5
        return found


def _photon_part(head: _Head, ctv: Mask, ptv: Mask, prescription_gy: float, fractions: int) -> Part:
    dose, _ = photon_dose(head.power(), head.mask(ptv), prescription_gy, CALCULATION_MM)
    dose *= np.float32(prescription_gy / np.median(dose[head.mask(ctv)]))
    delivered = head.fine(dose)
    return Part("photon", delivered, np.full_like(delivered, _PHOTON_LETD), delivered, fractions)


def _ion_part(
    head: _Head, ion: Arm, ctv: Mask, ptv: Mask, prescription_gy: float, fractions: int, range_error: float
) -> Part:
    kind = "carbon" if ion == "carbon" else "proton"
    dose, letd, _ = ion_dose(
        head.power(), head.mask(ptv), prescription_gy, fractions, kind, CALCULATION_MM, range_error
    )
    inside = head.mask(ctv)
    for _ in range(3):  # carbon's RBE falls with dose, so one step does not reach the prescription
        dose *= np.float32(prescription_gy / np.median(rbe_weighted(dose[inside], letd[inside], fractions, kind)))
    delivered, delivered_letd = head.fine(dose), head.fine(letd)
    return Part(ion, delivered, delivered_letd, rbe_weighted(delivered, delivered_letd, fractions, kind), fractions)


def _summed(parts: tuple[Part, ...], ctv: Mask, ptv: Mask) -> DosePlan:
    dose = np.sum([part.dose_gy for part in parts], axis=0, dtype=np.float32)
    weighted = np.sum([part.dose_gy * part.letd for part in parts], axis=0, dtype=np.float32)
    letd = np.where(dose > 0.5, weighted / np.maximum(dose, np.float32(1e-3)), np.float32(0))
    rbe_model = "+".join(CLINICAL_RBE_MODEL[part.arm] for part in parts)
    dose_rbe = np.sum([part.dose_rbe_gy for part in parts], axis=0, dtype=np.float32)
    return DosePlan(dose, letd, dose_rbe, rbe_model, ctv, ptv, parts)
