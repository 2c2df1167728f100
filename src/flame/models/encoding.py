"""What a model sees of a patient: channels on the learning grid and scalars, with fixed scales.

The scales are round numbers from common knowledge and not statistics of any data, so that sites need share nothing to
agree on them. What is not known is zero, beside an indicator that says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from flame.imaging.prepare import Context, PreparedCourse, PreparedExam, PreparedPatient, observed
from flame.records.patient import ARMS, LABELS, REGIONS, SEQUENCES, Resection

__all__ = [
    "DISTANCE_LIMIT_MM",
    "DISTANCE_SCALE_MM",
    "Inputs",
    "encode",
    "halved",
    "is_clinical",
    "region_maps",
    "scalar_names",
    "signed_distance",
    "volume_names",
]

DISTANCE_LIMIT_MM = 20.0
DISTANCE_SCALE_MM = 10.0
IMAGE_LIMIT = 8.0

_RESECTIONS: tuple[Resection, ...] = get_args(Resection)
_STATUS = {"improved": -1.0, "stable": 0.0, "worse": 1.0}
_MEASURED = "volume_"
_EXAM_NAMES: dict[Context, tuple[str, ...]] = {"pre_rt": ("baseline",), "first_post_rt": ("baseline", "post")}


@dataclass(frozen=True, eq=False)
class Inputs:
    """A patient as a network sees it.

    Attributes:
        volumes: float16 (channels, x, y, z), channels as `volume_names`; half precision because it is what sample
            stores keep, so that training and prediction see the same bytes.
        scalars: float32 (values,), values as `scalar_names`.
    """

    volumes: NDArray[np.float16]
    scalars: NDArray[np.float32]

    @cached_property
    def halved(self) -> NDArray[np.float16]:
        """`volumes` at half the resolution, for networks that look at whole brains rather than at edges."""
        return halved(self.volumes)


def volume_names(context: Context) -> tuple[str, ...]:
    """Names of the channels of `Inputs.volumes`; the three distances come first, in the order of REGIONS."""
    names = [f"distance_{region}" for region in REGIONS] + ["brain", "dose_rbe", "dose", "letd"]
    for exam in _EXAM_NAMES[context]:
        names += [f"{exam}_{name}" for name in (*SEQUENCES, *LABELS)]
    return tuple(names)


def scalar_names(context: Context) -> tuple[str, ...]:
    """Names of the values of `Inputs.scalars`."""
    names = ["age", "age_unknown", "sex_male", "sex_unknown", "performance", "performance_unknown"]
    names += ["mgmt_methylated", "mgmt_unknown", "idh_mutant", "idh_unknown"]
    names += [*(f"resection_{kind}" for kind in _RESECTIONS), "resection_unknown"]
    names += [*(f"arm_{arm}" for arm in ARMS), "prescription", "fractions"]
    for exam in _EXAM_NAMES[context]:
        names += [f"{exam}_day", f"{exam}_steroid", f"{exam}_steroid_unknown"]
        names += [f"{exam}_status", f"{exam}_status_unknown"]
        names += [f"present_{exam}_{sequence}" for sequence in SEQUENCES]
        names += [f"{_MEASURED}{exam}_{label}" for label in LABELS]
    if context == "first_post_rt":
        names += [f"{_MEASURED}change_{label}" for label in LABELS]
    return tuple(names)


def is_clinical(name: str) -> bool:
    """Whether a scalar is known without looking at an image."""
    return not name.startswith((_MEASURED, "present_"))


def region_maps(label_map: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Regions of a label map (x, y, z) as bool (3, x, y, z) in the order of REGIONS."""
    return np.stack([np.isin(label_map, labels) for labels in REGIONS.values()])


def signed_distance(region: NDArray[np.bool_], spacing_mm: float) -> NDArray[np.float32]:
    """Distance of each voxel to the region's surface [mm], positive inside, negative outside, within +-20 mm.

    The surface lies half-way between voxel centres, so that the sign is never zero. An empty region is 20 mm away.
    """
    limit = DISTANCE_LIMIT_MM
    if not region.any():
        return np.full(region.shape, -limit, np.float32)
    if region.all():
        return np.full(region.shape, limit, np.float32)
    inside = distance_transform_edt(region) - 0.5
    outside = distance_transform_edt(~region) - 0.5
    distance = np.where(region, inside, -outside) * spacing_mm
    return np.clip(distance, -limit, limit).astype(np.float32)


@lru_cache(maxsize=2)
def encode(patient: PreparedPatient, course: PreparedCourse, context: Context) -> Inputs:
    """Encode what `context` allows a model to see of a patient under a course.

    The last two are kept, because many models look at one patient in turn; nobody may write into them.

    Raises: DataError: if an exam or a label map that the context needs is missing.
    """
    exams = observed(patient, course, context)
    volumes = np.stack(list(_channels(patient, course, exams))).astype(np.float16)
    scalars = np.array([*_record(patient, course), *_measurements(patient, course, exams)], np.float32)
    return Inputs(volumes, scalars)


def halved(volumes: NDArray[np.float16]) -> NDArray[np.float16]:
    """Volumes (channels, 2x, 2y, 2z) at half the resolution (channels, x, y, z): means of 2x2x2 voxels."""
    channels, x, y, z = volumes.shape
    cubes = volumes.astype(np.float32).reshape(channels, x // 2, 2, y // 2, 2, z // 2, 2)
    return np.asarray(cubes.mean((2, 4, 6)), np.float16)


def _channels(
    patient: PreparedPatient, course: PreparedCourse, exams: tuple[PreparedExam, ...]
) -> Iterator[NDArray[np.float32]]:
    spacing = patient.grid.spacing_mm[0]
    for region in region_maps(_labels(exams[-1])):
        yield signed_distance(region, spacing) / np.float32(DISTANCE_SCALE_MM)
    yield patient.brain.astype(np.float32)
    yield course.dose_rbe_gy / np.float32(60)
    yield course.dose_gy / np.float32(60)
    yield course.letd / np.float32(50)
    for exam in exams:
        yield from np.clip(exam.images, -IMAGE_LIMIT, IMAGE_LIMIT)
        for value in LABELS.values():
            yield (_labels(exam) == value).astype(np.float32)


def _labels(exam: PreparedExam) -> NDArray[np.uint8]:
    assert exam.label_map is not None
    return exam.label_map


def _record(patient: PreparedPatient, course: PreparedCourse) -> Iterator[float]:
    record = patient.patient
    yield from _scaled(record.age, 60, 15)
    yield from _scaled(None if record.sex is None else float(record.sex == "M"), 0.5, 0.5)
    yield from _scaled(record.performance_status, 1, 1)
    yield from _scaled(record.mgmt_methylated, 0.5, 0.5)
    yield from _scaled(record.idh_mutant, 0.5, 0.5)
    for kind in (*_RESECTIONS, None):
        yield float(record.resection == kind)
    for arm in ARMS:
        yield float(course.course.arm == arm)
    yield (course.course.prescription_gy - 60) / 15
    yield (course.course.fractions - 30) / 15


def _measurements(patient: PreparedPatient, course: PreparedCourse, exams: tuple[PreparedExam, ...]) -> Iterator[float]:
    voxel_ml = float(np.prod(patient.grid.spacing_mm)) / 1000
    logs = []
    for exam, origin in zip(exams, (course.course.start_day, course.course.end_day)):
        yield (exam.exam.day - origin) / 30
        yield from _scaled(exam.exam.steroid_mg, 2, 4)
        yield from _scaled(None if exam.exam.clinical_status is None else _STATUS[exam.exam.clinical_status], 0, 1)
        for sequence in SEQUENCES:
            yield float(sequence in exam.exam.sequences)
        counts = np.bincount(_labels(exam).ravel(), minlength=5)
        logs.append([float(np.log1p(counts[value] * voxel_ml)) for value in LABELS.values()])
        yield from ((log - 2) / 1.5 for log in logs[-1])
    if len(logs) == 2:
        yield from (after - before for before, after in zip(*logs))


def _scaled(value: float | None, centre: float, scale: float) -> tuple[float, float]:
    """The value on a fixed scale and whether it is unknown."""
    return (0.0, 1.0) if value is None else ((float(value) - centre) / scale, 0.0)
