"""Which file of a site's BIDS folder holds what; pure functions of names."""

from pathlib import Path
from typing import Literal

from flame.records.patient import Sequence

__all__ = [
    "DERIVATIVES",
    "Grids",
    "brain_mask_path",
    "courses_path",
    "dose_path",
    "exams_path",
    "label_map_path",
    "sequence_path",
    "ses_day",
    "ses_label",
]

Grids = Literal["dose", "dose_rbe", "letd"]
DERIVATIVES = Path("derivatives") / "flame"

_SUFFIXES: dict[Sequence, str] = {"T1w": "T1w", "T1ce": "ce-gadolinium_T1w", "T2w": "T2w", "FLAIR": "FLAIR"}
_GRIDS: dict[Grids, str] = {"dose": "desc-physical_dose", "dose_rbe": "desc-rbe_dose", "letd": "desc-letd_dose"}


def ses_label(day: int) -> str:
    """BIDS label of the exam on `day`: `pre0014` for day -14, `0070` for day 70."""
    return f"pre{-day:04d}" if day < 0 else f"{day:04d}"


def ses_day(label: str) -> int:
    """Day of an exam from its BIDS label. Raises ValueError for a label that `ses_label` does not make."""
    digits = label.removeprefix("pre")
    day = int(digits) if digits == label else -int(digits)
    if ses_label(day) != label:
        raise ValueError(f"{label!r} is not the label of day {day}, which is {ses_label(day)!r}")
    return day


def sequence_path(folder: Path, patient_id: str, day: int, sequence: Sequence) -> Path:
    """The image of one sequence of an exam."""
    stem, name = _exam(patient_id, day)
    return folder / stem / "anat" / f"{name}_{_SUFFIXES[sequence]}.nii.gz"


def label_map_path(folder: Path, patient_id: str, day: int) -> Path:
    """The label map of an exam."""
    stem, name = _exam(patient_id, day)
    return folder / DERIVATIVES / stem / "anat" / f"{name}_desc-tumour_dseg.nii.gz"


def brain_mask_path(folder: Path, patient_id: str, day: int) -> Path:
    """The brain mask of an exam."""
    stem, name = _exam(patient_id, day)
    return folder / DERIVATIVES / stem / "anat" / f"{name}_desc-brain_mask.nii.gz"


def dose_path(folder: Path, patient_id: str, course_number: int, kind: Grids) -> Path:
    """A dose or LETd grid of the patient's course `course_number` (from 1)."""
    name = f"sub-{patient_id}_acq-course{course_number}_{_GRIDS[kind]}.nii.gz"
    return folder / DERIVATIVES / f"sub-{patient_id}" / "dose" / name


def exams_path(folder: Path, patient_id: str) -> Path:
    """The table of a patient's exams."""
    return folder / f"sub-{patient_id}" / f"sub-{patient_id}_sessions.tsv"


def courses_path(folder: Path, patient_id: str) -> Path:
    """The table of a patient's radiotherapy courses."""
    return folder / DERIVATIVES / f"sub-{patient_id}" / f"sub-{patient_id}_desc-courses_rt.tsv"


def _exam(patient_id: str, day: int) -> tuple[Path, str]:
    label = ses_label(day)
    return Path(f"sub-{patient_id}") / f"ses-{label}", f"sub-{patient_id}_ses-{label}"
