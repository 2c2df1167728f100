"""RT treatment records: on which day which fraction of which plan was delivered."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from pydicom import Dataset
from pydicom.uid import RTBeamsTreatmentRecordStorage, RTIonBeamsTreatmentRecordStorage

from flame.dicom.therapy.objects import Source, decimal, items, opened, text, whole
from flame.errors import DataError

__all__ = ["Delivered", "day_of", "delivered_by", "read_treatment_record"]

_TREATING = ("TREATMENT", "CONTINUATION", "")
"""Deliveries that treat; the others take a picture of the set-up."""


@dataclass(frozen=True)
class Delivered:
    """What one record tells: fractions of a plan that were given on a day.

    Attributes:
        plan: UID of the plan.
        day: the calendar day, shifted as all dates of the patient.
        fractions: (fraction group, fraction number) of what was given, in order.
        partial: whether a beam was stopped before its end and not taken up again in this record.
    """

    plan: str
    day: date
    fractions: tuple[tuple[int, int], ...]
    partial: bool = False


def read_treatment_record(source: Source) -> Delivered | None:
    """Read an RT Beams or RT Ion Beams Treatment Record.

    Returns: what it says was given; None if nothing was, as when only the set-up was imaged.
    Raises: DataError: another kind of object; no day; no plan.
    """
    kinds = (RTBeamsTreatmentRecordStorage, RTIonBeamsTreatmentRecordStorage)
    dataset = opened(source, kinds, "an RT treatment record")
    plans = [text(plan, "ReferencedSOPInstanceUID") for plan in items(dataset, "ReferencedRTPlanSequence")]
    day = day_of(dataset, "TreatmentDate")
    if day is None or len(plans) != 1 or not plans[0]:
        lacks = "its day" if day is None else "its plan"
        raise DataError(f"A treatment record does not tell {lacks}", "Export the record again, or leave it out.")
    group = whole(dataset, "ReferencedFractionGroupNumber") or 1
    beams = [*items(dataset, "TreatmentSessionBeamSequence"), *items(dataset, "TreatmentSessionIonBeamSequence")]
    given = [beam for beam in beams if _given(beam)]
    numbers = {whole(beam, "CurrentFractionNumber") or 0 for beam in given}
    if not given:
        return None
    stopped = {whole(beam, "ReferencedBeamNumber") for beam in given if _stopped(beam)}
    finished = {whole(beam, "ReferencedBeamNumber") for beam in given if not _stopped(beam)}
    return Delivered(plans[0], day, tuple((group, number) for number in sorted(numbers)), bool(stopped - finished))


def delivered_by(records: Iterable[Delivered], plan: str) -> tuple[Delivered, ...]:
    """Records of one plan in order of day."""
    return tuple(sorted((one for one in records if one.plan == plan), key=lambda one: (one.day, one.fractions)))


def day_of(dataset: Dataset, keyword: str) -> date | None:
    """A day from an attribute of type DA; None if it is absent or no day."""
    try:
        return datetime.strptime(text(dataset, keyword), "%Y%m%d").date()
    except ValueError:
        return None


def _given(beam: Dataset) -> bool:
    """Whether a beam reached the patient to treat."""
    metersets = [decimal(beam, name) for name in ("DeliveredPrimaryMeterset", "DeliveredMeterset")]
    known = [meterset for meterset in metersets if meterset is not None]
    return text(beam, "TreatmentDeliveryType").upper() in _TREATING and (not known or max(known) > 0)


def _stopped(beam: Dataset) -> bool:
    return text(beam, "TreatmentTerminationStatus").upper() in ("OPERATOR", "MACHINE")
