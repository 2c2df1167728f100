"""A patient's images on one grid around the tumour, ready for learning: float32, RAS, z-scored inside the brain."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.imaging.cube import Crop, cube_around, resample
from flame.imaging.intensity import zscore
from flame.records.patient import LABELS, SEQUENCES, Course, Exam, Patient
from flame.records.volume import Grid, Volume, read_volume

__all__ = ["Crop", "PreparedCourse", "PreparedExam", "PreparedPatient", "prepare_patient"]

_CORE = (LABELS["NETC"], LABELS["ET"])


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
    """Read a patient's files and bring them onto the learning grid.

    All images of a patient must lie on one grid (aligned and resampled before); z-scores are taken over the whole
    brain before the cube is cut out. A missing sequence is zero. A grid of a course that is missing is zero: photon
    courses have no LETd grid, and where only one dose grid is known it serves as both.

    Raises: DataError: if a file cannot be read, grids differ, no exam has a brain mask, or no label map holds a tumour.
    """
    maps = [None if exam.label_map is None else _labels(patient, exam.label_map) for exam in patient.exams]
    reference = next((volume for volume in maps if volume is not None and volume.array.any()), None)
    if reference is None:
        raise DataError(
            f"Patient {patient.id}: every label map is missing or empty",
            "Outline the tumour in at least one exam, or leave the patient out.",
        )
    brain = _brain(patient, reference.grid)
    grid = cube_around(_centre(reference), crop)
    exams = tuple(
        PreparedExam(
            exam,
            np.stack([_image(patient, exam.sequences.get(name), reference.grid, brain, grid) for name in SEQUENCES]),
            None if volume is None else _cut_labels(patient, volume, reference.grid, grid),
        )
        for exam, volume in zip(patient.exams, maps, strict=True)
    )
    courses = tuple(_course(patient, course, reference.grid, grid) for course in patient.courses)
    inside = resample(Volume(brain.astype(np.uint8), reference.grid), grid, nearest=True).astype(np.bool_)
    return PreparedPatient(patient, grid, inside, exams, courses)


def _labels(patient: Patient, path: Path) -> Volume:
    volume = read_volume(path)
    if volume.array.max(initial=0) > max(LABELS.values()) or (volume.array != np.rint(volume.array)).any():
        raise DataError(
            f"Patient {patient.id}: {path.name} holds values that are not labels 0 to 4",
            "Convert the label map to 1 NETC, 2 SNFH, 3 ET, 4 RC.",
        )
    return Volume(volume.array.astype(np.uint8), volume.grid)


def _centre(reference: Volume) -> NDArray[np.float64]:
    """Centroid [mm] of the tumour core, or of whatever is labelled where there is none."""
    core = np.isin(reference.array, _CORE)
    voxels = np.argwhere(core if core.any() else reference.array > 0)
    affine = reference.grid.affine
    position: NDArray[np.float64] = affine[:3, :3] @ voxels.mean(0) + affine[:3, 3]
    return position


def _brain(patient: Patient, expected: Grid) -> NDArray[np.bool_]:
    path = next((exam.brain_mask for exam in patient.exams if exam.brain_mask is not None), None)
    if path is None:
        raise DataError(f"Patient {patient.id} has no brain mask", "Add a brain mask to one of the exams.")
    array: NDArray[np.bool_] = _on(patient, path, expected).array > 0
    return array


def _on(patient: Patient, path: Path, expected: Grid) -> Volume:
    volume = read_volume(path)
    if not volume.grid.matches(expected):
        raise DataError(
            f"Patient {patient.id}: {path.name} lies on another grid ({volume.grid.shape}, "
            f"{tuple(round(mm, 3) for mm in volume.grid.spacing_mm)} mm) than the label map ({expected.shape})",
            "Bring all images of the patient onto one grid first.",
        )
    return volume


def _image(
    patient: Patient, path: Path | None, expected: Grid, brain: NDArray[np.bool_], grid: Grid
) -> NDArray[np.float32]:
    if path is None:
        return np.zeros(grid.shape, np.float32)
    volume = _on(patient, path, expected)
    return _float(resample(Volume(zscore(volume.array.astype(np.float32), brain), expected), grid))


def _cut_labels(patient: Patient, volume: Volume, expected: Grid, grid: Grid) -> NDArray[np.uint8]:
    if not volume.grid.matches(expected):
        raise DataError(
            f"Patient {patient.id}: label maps lie on different grids ({volume.grid.shape} and {expected.shape})",
            "Bring all images of the patient onto one grid first.",
        )
    labels: NDArray[np.uint8] = resample(volume, grid, nearest=True).astype(np.uint8)
    return labels


def _course(patient: Patient, course: Course, expected: Grid, grid: Grid) -> PreparedCourse:
    def cut(path: Path | None) -> NDArray[np.float32] | None:
        return None if path is None else _float(resample(_on(patient, path, expected), grid))

    dose, dose_rbe, letd = cut(course.dose), cut(course.dose_rbe), cut(course.letd)
    zero = np.zeros(grid.shape, np.float32)
    return PreparedCourse(
        course,
        dose_gy=_first(dose, dose_rbe, zero),
        dose_rbe_gy=_first(dose_rbe, dose, zero),
        letd=_first(letd, zero),
    )


def _first(*arrays: NDArray[np.float32] | None) -> NDArray[np.float32]:
    return next(array for array in arrays if array is not None)


def _float(array: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, dtype=np.float32)
