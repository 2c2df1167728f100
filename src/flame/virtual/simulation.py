"""One virtual patient in memory: anatomy, tumour, what the planner sees, and the future under each arm. No files."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from flame.physics import anatomy, dose
from flame.physics.anatomy import Tissue
from flame.physics.dose import DosePart, DosePlan
from flame.physics.growth import State
from flame.records.patient import LABELS, Arm
from flame.seeds import stream
from flame.virtual.assignment import SiteProfile, assign_arm, prescription
from flame.virtual.course import BASELINE_DAY, HORIZONS, Future, Irradiation, follow
from flame.virtual.observation import Appearance, appearance, label_map, reader_errors
from flame.virtual.population import Person, draw_person
from flame.virtual.pseudoprogression import amplitude, enhancement_field, happens
from flame.virtual.tumour import Tumour, choose_origin, grow

__all__ = ["ArmFuture", "VirtualPatient", "make_patient", "patient_id", "read_labels", "simulate_arm"]

PLANNED = (LABELS["ET"], LABELS["NETC"], LABELS["RC"])
"""Gross tumour volume: residual tumour and cavity (ESTRO-EANO 2023)."""

RANGE_ERROR = 0.015
"""Standard deviation of the relative error of ions' range."""

SHIFT_MM = 1.0
"""Standard deviation of the set-up error along each axis [mm]."""

Field = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class VirtualPatient:
    """A patient before treatment.

    `labels` is the label map of the baseline exam as the site's reader drew it; `arm` is the assigned arm.
    """

    id: str
    seed: int
    site: SiteProfile
    spacing_mm: float
    person: Person
    tissue: Tissue
    tumour: Tumour
    seen: Appearance
    labels: NDArray[np.uint8]
    arm: Arm


@dataclass(frozen=True, eq=False)
class ArmFuture:
    """A patient under one arm. `seen` holds what could be seen at each horizon that the patient lives to see."""

    arm: Arm
    prescription_gy: float
    fractions: int
    plan: DosePlan
    future: Future
    pseudoprogression: bool
    seen: tuple[tuple[int, Appearance], ...]


def patient_id(site_index: int, number: int) -> str:
    """The pseudonymous id, e.g. s1p004: letters and digits only, as BIDS asks."""
    return f"s{site_index + 1}p{number + 1:03d}"


@lru_cache(maxsize=2)
def _template(spacing_mm: float) -> Tissue:
    return anatomy.template(spacing_mm)


def read_labels(patient_seed: int, name: str, seen: Appearance, day: int, spacing_mm: float) -> NDArray[np.uint8]:
    """The label map that the site's reader draws of one exam."""
    generator = stream(patient_seed, "reader", name, day)
    shape = (seen.viable.shape[0], seen.viable.shape[1], seen.viable.shape[2])
    return label_map(seen, reader_errors(generator, shape, spacing_mm))


def make_patient(seed: int, site: SiteProfile, name: str, spacing_mm: float, confounding: float) -> VirtualPatient:
    """A patient up to the baseline exam; every draw belongs to `seed` and `name`.

    Args:
        spacing_mm: voxel size of the patient's grid [mm].
        confounding: see `assignment.arm_probabilities`.
    """
    person = draw_person(stream(seed, "person", name), site.case_mix)
    template = _template(spacing_mm)
    origin = choose_origin(stream(seed, "origin", name), template, spacing_mm)
    radius_mm = (person.core_ml * 1000 * 3 / (4 * np.pi)) ** (1 / 3)
    tissue = anatomy.subject(stream(seed, "anatomy", name), template, origin, radius_mm)
    tumour = grow(stream(seed, "tumour", name), tissue, origin, person, spacing_mm)
    seen = appearance(tumour.state, tissue, spacing_mm, person.oedema, tumour.cavity)
    labels = read_labels(seed, name, seen, BASELINE_DAY, spacing_mm)
    arm = assign_arm(stream(seed, "arm", name), site.own_arm, confounding)
    return VirtualPatient(name, seed, site, spacing_mm, person, tissue, tumour, seen, labels, arm)


def simulate_arm(
    patient: VirtualPatient, arm: Arm, horizons: tuple[int, ...] = HORIZONS, known: Sequence[DosePart] = ()
) -> ArmFuture:
    """Plan and deliver one arm to a patient and follow the tumour.

    `known` are parts of the plans of this patient's other arms: what arms share is planned once.
    """
    person, tumour = patient.person, patient.tumour
    prescription_gy, fractions = prescription(arm, person.is_frail)
    gtv = np.isin(patient.labels, PLANNED)
    setup = stream(patient.seed, "setup", patient.id)
    range_error, shift_x, shift_y, shift_z = (float(x) for x in setup.normal(0, (RANGE_ERROR, *[SHIFT_MM] * 3)))
    plan = dose.plan(
        patient.tissue.brain,
        gtv,
        patient.tissue.grid,
        arm,
        prescription_gy,
        fractions,
        range_error=range_error,
        shift_mm=(shift_x, shift_y, shift_z),
        known=known,
    )
    parts = [Irradiation(part.arm, part.dose_gy, part.letd, part.fractions) for part in plan.parts]
    future = follow(tumour.state, tumour.medium, person, parts, tumour.mosaic, horizons)
    patch: Field | None = None
    if happens(person.proneness, arm, person.mgmt_methylated):
        draws = stream(patient.seed, "pseudoprogression", patient.id)
        patch = enhancement_field(draws, person.proneness, gtv, patient.tissue.wm, plan.dose_rbe_gy, patient.spacing_mm)
    seen = tuple((horizon, _seen_at(patient, state, patch, horizon)) for horizon, state in future.states)
    return ArmFuture(arm, prescription_gy, fractions, plan, future, patch is not None, seen)


def _seen_at(patient: VirtualPatient, state: State, patch: Field | None, horizon: int) -> Appearance:
    """What could be seen `horizon` days after the end of the course."""
    extra = None if patch is None else patch * np.float32(amplitude(patient.person.proneness, horizon))
    return appearance(state, patient.tissue, patient.spacing_mm, patient.person.oedema, patient.tumour.cavity, extra)
