"""A patient's images on one grid around the tumour, ready for learning: float32, RAS, z-scored inside the brain."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flame.records.patient import Course, Exam, Patient
from flame.records.volume import Grid

__all__ = ["Crop", "PreparedCourse", "PreparedExam", "PreparedPatient", "prepare_patient"]


@dataclass(frozen=True)
class Crop:
    """The learning grid: a cube of `size` voxels of `spacing_mm`, centred on the first tumour seen; size is even."""

    spacing_mm: float = 2.0
    size: int = 64


@dataclass(frozen=True, eq=False)
class PreparedExam:
    """`images` float32 (4, x, y, z) in the order of SEQUENCES, zero where a sequence is missing; `label_map` uint8."""

    exam: Exam
    images: NDArray[np.float32]
    label_map: NDArray[np.uint8] | None


@dataclass(frozen=True, eq=False)
class PreparedCourse:
    """`dose_gy` physical [Gy], `dose_rbe_gy` [Gy(RBE)], `letd` [keV/um]; float32 (x, y, z) on the patient's grid."""

    course: Course
    dose_gy: NDArray[np.float32]
    dose_rbe_gy: NDArray[np.float32]
    letd: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PreparedPatient:
    """All that a model may look at. `brain` bool (x, y, z); exams and courses in order of day."""

    patient: Patient
    grid: Grid
    brain: NDArray[np.bool_]
    exams: tuple[PreparedExam, ...]
    courses: tuple[PreparedCourse, ...]


def prepare_patient(patient: Patient, crop: Crop) -> PreparedPatient:
    """Read a patient's files and bring them onto the learning grid. Raises DataError."""
    raise NotImplementedError
