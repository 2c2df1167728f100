"""What FLAME knows about a patient: exams, radiotherapy courses, outcome. Unknown is `None`, never a default.

All days count from the start of the first radiotherapy course (day 0); a baseline exam lies before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

__all__ = [
    "ARMS",
    "LABELS",
    "REGIONS",
    "SEQUENCES",
    "Arm",
    "ClinicalStatus",
    "Course",
    "Exam",
    "Outcome",
    "Patient",
    "Region",
    "Resection",
    "Sequence",
    "Sex",
]

Arm = Literal["photon", "proton", "carbon"]
Sequence = Literal["T1w", "T1ce", "T2w", "FLAIR"]
Region = Literal["ET", "TC", "WT"]
Sex = Literal["F", "M"]
ClinicalStatus = Literal["improved", "stable", "worse"]
Resection = Literal["biopsy", "partial", "gross_total"]

ARMS: tuple[Arm, ...] = ("photon", "proton", "carbon")
SEQUENCES: tuple[Sequence, ...] = ("T1w", "T1ce", "T2w", "FLAIR")

LABELS: Mapping[str, int] = MappingProxyType({"NETC": 1, "SNFH": 2, "ET": 3, "RC": 4})
"""Values of a label map (BraTS 2024): necrosis, oedema, enhancing tumour, resection cavity; 0 is background."""

REGIONS: Mapping[Region, tuple[int, ...]] = MappingProxyType({"ET": (3,), "TC": (1, 3), "WT": (1, 2, 3)})
"""Nested regions as sets of label values: enhancing tumour, tumour core, whole tumour."""


@dataclass(frozen=True)
class Exam:
    """One imaging visit.

    `sequences` maps the sequences that were acquired to their NIfTI files; a missing one is absent.
    `steroid_mg` is the dexamethasone-equivalent dose [mg/day]; `surgery` tells whether the tumour was operated on since
    the exam before. `regions` are those that the label map tells apart; None means all. The day is known to within
    `day_tolerance` days.
    """

    day: int
    sequences: Mapping[Sequence, Path] = field(default_factory=dict)
    label_map: Path | None = None
    brain_mask: Path | None = None
    steroid_mg: float | None = None
    clinical_status: ClinicalStatus | None = None
    surgery: bool | None = None
    regions: tuple[Region, ...] | None = None
    day_tolerance: float = 0.0

    @property
    def unknown_regions(self) -> tuple[Region, ...]:
        """Regions that the exam's label map does not tell apart."""
        return () if self.regions is None else tuple(region for region in REGIONS if region not in self.regions)


@dataclass(frozen=True)
class Course:
    """One radiotherapy treatment.

    `prescription_gy` is in Gy for photons and Gy(RBE) for ions. `dose` is the physical dose grid [Gy], `dose_rbe` the
    RBE-weighted one [Gy(RBE)] under `rbe_model`, `letd` the dose-averaged LET grid [keV/um]; all for the whole course.
    """

    arm: Arm
    prescription_gy: float
    fractions: int
    start_day: int
    end_day: int
    dose: Path | None = None
    dose_rbe: Path | None = None
    letd: Path | None = None
    rbe_model: str | None = None

    @property
    def prescribed_dose(self) -> Path | None:
        """The dose grid in the prescription's unit: RBE-weighted, or physical for photons; None if there is none."""
        return self.dose_rbe or (self.dose if self.arm == "photon" else None)

    def __post_init__(self) -> None:
        if not self.prescription_gy > 0:
            raise ValueError(f"prescription must be > 0 Gy, got {self.prescription_gy}")
        if self.fractions < 1:
            raise ValueError(f"a course has at least one fraction, got {self.fractions}")
        if self.end_day < self.start_day:
            raise ValueError(f"a course cannot end (day {self.end_day}) before it starts (day {self.start_day})")


@dataclass(frozen=True)
class Outcome:
    """How follow-up ended: `death_day` if the patient died, else `last_contact_day`, when last known alive."""

    death_day: int | None = None
    last_contact_day: int | None = None


@dataclass(frozen=True)
class Patient:
    """One person at one site, under the site's own pseudonymous id; exams and courses are in order of day.

    `also_known_as` are the patient's names in public sets, so that nobody is at two sites of one study.
    """

    id: str
    age: float | None = None
    sex: Sex | None = None
    performance_status: int | None = None
    mgmt_methylated: bool | None = None
    idh_mutant: bool | None = None
    resection: Resection | None = None
    diagnosis_day: int | None = None
    exams: tuple[Exam, ...] = ()
    courses: tuple[Course, ...] = ()
    outcome: Outcome = Outcome()
    also_known_as: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, days in (
            ("exams", [exam.day for exam in self.exams]),
            ("courses", [course.start_day for course in self.courses]),
        ):
            if days != sorted(days):
                raise ValueError(f"{name} of patient {self.id} are not in order of day: {days}")
