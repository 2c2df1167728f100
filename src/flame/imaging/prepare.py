"""A patient's images on one grid around the tumour, ready for learning: float32, RAS, z-scored inside the brain."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.imaging.cube import Crop, cube_around, resample
from flame.imaging.intensity import zscore
from flame.records.labels import unknown_labels
from flame.records.patient import REGIONS, SEQUENCES, Course, Exam, Patient
from flame.records.volume import Grid, Volume, read_volume

__all__ = [
    "CONTEXTS",
    "FIRST_POST_RT_DAYS",
    "Context",
    "Crop",
    "PreparedCourse",
    "PreparedExam",
    "PreparedPatient",
    "aligned_label_maps",
    "observed",
    "on_grid",
    "prepare_patient",
]

Context = Literal["pre_rt", "first_post_rt"]
CONTEXTS: tuple[Context, ...] = get_args(Context)

FIRST_POST_RT_DAYS = (14, 60)
"""First and last day after the end of a course on which an exam is its first after radiotherapy."""


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

    All images of a patient must lie on one grid (aligned and resampled before). Z-scores are taken over the whole
    brain of each exam before the cube is cut out; `brain` is that of the first exam. A missing sequence is zero. A
    grid of a course that is missing is zero too, as the LETd of photons is; where only one of the two dose grids is
    known it serves as both.

    Raises: DataError: if a file cannot be read, grids differ, no exam has a brain mask, one is empty, or no label map
        holds a tumour.
    """
    maps, native = aligned_label_maps(patient)
    outlined = next((array for array in maps if array is not None and array.any()), None)
    if outlined is None:
        raise DataError(
            f"Patient {patient.id}: every label map is empty",
            "Outline the tumour in at least one exam, or leave the patient out.",
        )
    brains = _brains(patient, native)
    grid = cube_around(_centre(Volume(outlined, native)), native, crop)
    exams = tuple(
        PreparedExam(
            exam,
            np.stack([_image(patient, exam.sequences.get(name), native, brain, grid) for name in SEQUENCES]),
            None if array is None else resample(Volume(array, native), grid, nearest=True),
        )
        for exam, array, brain in zip(patient.exams, maps, brains, strict=True)
    )
    courses = tuple(_course(patient, course, native, grid) for course in patient.courses)
    inside = resample(Volume(brains[0].astype(np.uint8), native), grid, nearest=True).astype(np.bool_)
    return PreparedPatient(patient, grid, inside, exams, courses)


def observed(patient: PreparedPatient, course: PreparedCourse, context: Context) -> tuple[PreparedExam, ...]:
    """The exams that a model of this context may look at, in order of day.

    `pre_rt`: the last exam that is not after the start of the course. `first_post_rt`: that one and the first exam 14
    to 60 days after its end.

    Raises: DataError: if one of them is missing or has no label map.
    """
    start, end = course.course.start_day, course.course.end_day
    low, high = FIRST_POST_RT_DAYS
    wanted = {"before radiotherapy": [exam for exam in patient.exams if exam.exam.day <= start][-1:]}
    if context == "first_post_rt":
        after = [exam for exam in patient.exams if low <= exam.exam.day - end <= high]
        wanted[f"{low} to {high} days after radiotherapy"] = after[:1]
    for when, exams in wanted.items():
        if not exams:
            raise DataError(
                f"Patient {patient.patient.id} has no exam {when}, which a model of context {context} needs",
                "Add the exam, or use a model of another context.",
            )
        if exams[0].label_map is None:
            raise DataError(
                f"Patient {patient.patient.id}, exam of day {exams[0].exam.day}: no label map",
                "Outline the tumour in this exam.",
            )
    return tuple(exam for exams in wanted.values() for exam in exams)


def aligned_label_maps(patient: Patient) -> tuple[list[NDArray[np.uint8] | None], Grid]:
    """Label maps of all exams, uint8 (x, y, z), None where an exam has none; and the one grid that they lie on.

    Raises: DataError: if there is none, one can't be read or holds other values than 0 to 4, or grids differ.
    """
    volumes = [None if exam.label_map is None else _labels(patient, exam.label_map) for exam in patient.exams]
    first = next((volume for volume in volumes if volume is not None), None)
    if first is None:
        raise DataError(
            f"Patient {patient.id}: every label map is missing",
            "Outline the tumour in at least one exam, or leave the patient out.",
        )
    for exam, volume in zip(patient.exams, volumes, strict=True):
        if exam.label_map is not None and volume is not None:
            _refuse_other_grid(patient, exam.label_map, volume.grid, first.grid)
    return [None if volume is None else volume.array.astype(np.uint8) for volume in volumes], first.grid


def on_grid(patient: Patient, path: Path, expected: Grid) -> Volume:
    """Read one of a patient's volumes. Raises DataError if it lies on another grid than `expected`."""
    volume = read_volume(path)
    _refuse_other_grid(patient, path, volume.grid, expected)
    return volume


def _labels(patient: Patient, path: Path) -> Volume:
    volume = read_volume(path)
    wrong = unknown_labels(volume.array)
    if wrong.size:
        raise DataError(
            f"Patient {patient.id}: {path.name} holds {wrong[0]:g}; labels are 0 to 4",
            "Convert the label map to 1 NETC, 2 SNFH, 3 ET, 4 RC.",
        )
    return Volume(volume.array.astype(np.uint8), volume.grid)


def _centre(reference: Volume) -> NDArray[np.float64]:
    """Centroid [mm] of the tumour core, or of whatever is labelled where there is none."""
    core = np.isin(reference.array, REGIONS["TC"])
    voxels = np.argwhere(core if core.any() else reference.array > 0)
    affine = reference.grid.affine
    position: NDArray[np.float64] = affine[:3, :3] @ voxels.mean(0) + affine[:3, 3]
    return position


def _brains(patient: Patient, expected: Grid) -> list[NDArray[np.bool_]]:
    """The brain in each exam: its own mask, or the patient's first where it has none."""
    known = {path: on_grid(patient, path, expected).array > 0 for exam in patient.exams if (path := exam.brain_mask)}
    if not known:
        raise DataError(f"Patient {patient.id} has no brain mask", "Add a brain mask to at least one exam.")
    empty = next((path for path, brain in known.items() if not brain.any()), None)
    if empty is not None:
        raise DataError(f"Patient {patient.id}: {empty.name} is empty", "Make the brain mask again.")
    first = next(iter(known.values()))
    return [known[exam.brain_mask] if exam.brain_mask else first for exam in patient.exams]


def _refuse_other_grid(patient: Patient, path: Path, grid: Grid, expected: Grid) -> None:
    if not grid.matches(expected):
        raise DataError(
            f"Patient {patient.id}: {path.name} lies on another grid ({grid}) than the first label map ({expected})",
            "Bring all images of the patient onto one grid first.",
        )


def _image(
    patient: Patient, path: Path | None, expected: Grid, brain: NDArray[np.bool_], grid: Grid
) -> NDArray[np.float32]:
    if path is None:
        return np.zeros(grid.shape, np.float32)
    volume = on_grid(patient, path, expected)
    return _float(resample(Volume(zscore(volume.array.astype(np.float32), brain), expected), grid))


def _course(patient: Patient, course: Course, expected: Grid, grid: Grid) -> PreparedCourse:
    def cut(path: Path | None) -> NDArray[np.float32] | None:
        return None if path is None else _float(resample(on_grid(patient, path, expected), grid))

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
