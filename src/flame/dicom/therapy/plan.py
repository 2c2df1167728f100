"""RTPLAN and RT Ion Plan: with which particle, how much, in how many fractions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import cast

from pydicom import Dataset
from pydicom.uid import RTIonPlanStorage, RTPlanStorage

from flame.dicom.therapy.objects import Source, decimal, items, opened, text, whole
from flame.dicom.therapy.treatment_records import day_of
from flame.errors import DataError
from flame.records.images import HIGHEST_DOSE_GY
from flame.records.patient import Arm

__all__ = ["Plan", "last_day", "read_planned"]

_NOT_FOR_PATIENTS = ("VERIFICATION", "MACHINE_QA", "SERVICE")
_TREATING = ("TREATMENT", "CONTINUATION", "")
_ELEMENTS = {2: "helium", 8: "oxygen"}
_DISAGREEMENT = 0.1
_EXPORT = "Export the plan again from the planning system."


@dataclass(frozen=True)
class Plan:
    """What a plan says.

    Attributes:
        uid: of the plan.
        particle: what treats.
        prescription_gy: of all fractions [Gy; Gy(RBE) for ions].
        fractions: planned, over all fraction groups.
        groups: (number, planned fractions) of each fraction group.
        beams: numbers of the beams that treat.
        day: of the plan, shifted as all dates of the patient; None if unknown.
        frame: UID of its frame of reference; None if unknown.
        approved: None if the plan does not say.
        notes: what was seen and assumed, in words that tell of nobody.
    """

    uid: str
    particle: Arm
    prescription_gy: float
    fractions: int
    groups: tuple[tuple[int, int], ...]
    beams: tuple[int, ...]
    day: date | None
    frame: str | None
    approved: bool | None
    notes: tuple[str, ...] = ()


def last_day(fractions: int) -> int:
    """Day of the last fraction when the first is on day 0, a Monday, with five a week: 39 for 30 fractions.

    Which day of the week it really was is not known: all dates of a patient are shifted.
    """
    return 7 * ((fractions - 1) // 5) + (fractions - 1) % 5


def read_planned(source: Source) -> Plan:
    """Read an RTPLAN or RT Ion Plan.

    The prescription is the highest one of a target; without one, the dose of all beams times the fractions, which for
    ions must be RBE-weighted.

    Raises: DataError: another kind of object; electrons, brachytherapy or another ion; particles mixed in one plan; a
        rejected plan, or one made to test a machine; no fractions; no prescription, or one that looks like cGy.
    """
    dataset = opened(source, (RTPlanStorage, RTIonPlanStorage), "an RTPLAN or RT Ion Plan")
    _for_a_patient(dataset)
    treating = _treating(dataset)
    particle = _particle(treating)
    groups = items(dataset, "FractionGroupSequence")
    counts = tuple(
        (whole(one, "FractionGroupNumber") or 1, whole(one, "NumberOfFractionsPlanned") or 0) for one in groups
    )
    fractions = sum(count for _, count in counts)
    if fractions < 1 or min(count for _, count in counts) < 0:
        raise DataError("The plan does not say how many fractions it has", _EXPORT)
    beams = tuple(number for number in (whole(beam, "BeamNumber") for beam in treating) if number is not None)
    prescription, notes = _prescription(dataset, groups, particle)
    if prescription > HIGHEST_DOSE_GY:
        raise DataError(f"The plan prescribes {prescription:.4g} Gy: the number looks like cGy", _EXPORT)
    notes += [f"{len(groups)} fraction groups were added up"] if len(groups) > 1 else []
    approval = text(dataset, "ApprovalStatus").upper()
    return Plan(
        text(dataset, "SOPInstanceUID"),
        particle,
        prescription,
        fractions,
        counts,
        beams,
        day_of(dataset, "RTPlanDate"),
        text(dataset, "FrameOfReferenceUID") or None,
        {"APPROVED": True, "UNAPPROVED": False}.get(approval),
        tuple(notes),
    )


def _for_a_patient(dataset: Dataset) -> None:
    if text(dataset, "ApprovalStatus").upper() == "REJECTED":
        raise DataError("The plan was rejected and not delivered", "Give the plan that was.")
    intent = text(dataset, "PlanIntent").upper()
    if intent in _NOT_FOR_PATIENTS:
        raise DataError(f"The plan is for {intent.lower().replace('_', ' ')}, not a treatment", "Leave it out.")
    if any(
        items(group, "ReferencedBrachyApplicationSetupSequence") for group in items(dataset, "FractionGroupSequence")
    ):
        raise DataError("The plan is for brachytherapy", "FLAME knows photons, protons and carbon ions; leave it out.")


def _treating(dataset: Dataset) -> list[Dataset]:
    beams = [*items(dataset, "BeamSequence"), *items(dataset, "IonBeamSequence")]
    return [beam for beam in beams if text(beam, "TreatmentDeliveryType").upper() in _TREATING]


def _particle(beams: Sequence[Dataset]) -> Arm:
    """The one particle of a plan's beams."""
    found = {_name(beam) for beam in beams}
    if not found:
        raise DataError("The plan has no beam that treats", _EXPORT)
    if len(found) > 1:
        raise DataError(f"The plan mixes {' and '.join(sorted(found))}", "Export one plan for each particle.")
    (particle,) = found
    if particle not in ("photon", "proton", "carbon"):
        raise DataError(
            f"The plan treats with {particle}", "FLAME knows photons, protons and carbon ions; leave it out."
        )
    return cast(Arm, particle)


def _name(beam: Dataset) -> str:
    """Particle of a beam, by RadiationType, and by RadiationAtomicNumber where that says only that it is an ion."""
    kind = text(beam, "RadiationType").upper()
    if kind != "ION":
        return {"PHOTON": "photon", "PROTON": "proton", "ELECTRON": "electrons", "NEUTRON": "neutrons"}.get(
            kind, "a radiation that it does not name"
        )
    number = whole(beam, "RadiationAtomicNumber")
    if number is None:
        return "an ion that it does not name"
    return {1: "proton", 6: "carbon"}.get(number, _ELEMENTS.get(number, f"ions of atomic number {number}"))


def _prescription(dataset: Dataset, groups: Sequence[Dataset], particle: Arm) -> tuple[float, list[str]]:
    """Prescribed dose of all fractions [Gy, or Gy(RBE)], and notes on where it comes from."""
    targets = [
        dose
        for one in items(dataset, "DoseReferenceSequence")
        if text(one, "DoseReferenceType").upper() == "TARGET"
        and (dose := decimal(one, "TargetPrescriptionDose")) is not None
        and dose > 0
    ]
    summed = _beam_doses(groups, particle)
    if not targets:
        if summed is None or summed <= 0:
            weighted = "" if particle == "photon" else " RBE-weighted"
            raise DataError(
                f"The plan gives neither a prescription for a target nor the{weighted} doses of its beams",
                "Export the plan with its prescription.",
            )
        return summed, ["the prescription is the sum of the beams' doses at their reference point"]
    notes, highest = [], max(targets)
    if len(set(targets)) > 1:
        levels = ", ".join(f"{dose:g}" for dose in sorted(set(targets), reverse=True))
        notes.append(f"targets are prescribed {levels} Gy; the highest counts")
    if summed is not None and abs(summed - highest) > _DISAGREEMENT * highest:
        notes.append(f"the beams' doses add up to {summed:.4g} Gy, the prescription is {highest:.4g} Gy")
    if particle != "photon":
        notes.append("the prescription is taken as Gy(RBE), as is the practice for ions; the plan names no RBE model")
    return highest, notes


def _beam_doses(groups: Sequence[Dataset], particle: Arm) -> float | None:
    """Doses of all beams times fractions [Gy; Gy(RBE) for ions]; None if a beam does not give it."""
    total = 0.0
    for group in groups:
        beams = items(group, "ReferencedBeamSequence")
        doses = [_beam_dose(beam, particle) for beam in beams]
        known = [dose for dose in doses if dose is not None]
        if len(known) < len(doses) or not doses:
            return None
        total += sum(known) * (whole(group, "NumberOfFractionsPlanned") or 0)
    return total


def _beam_dose(beam: Dataset, particle: Arm) -> float | None:
    """Dose of a beam in one fraction; for ions only if it says that it is RBE-weighted."""
    if particle == "photon" and text(beam, "BeamDoseType").upper() != "EFFECTIVE":
        return decimal(beam, "BeamDose")
    for dose, kind in (("BeamDose", "BeamDoseType"), ("AlternateBeamDose", "AlternateBeamDoseType")):
        if text(beam, kind).upper() == "EFFECTIVE":
            return decimal(beam, dose)
    return None
