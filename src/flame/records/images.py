"""Findings in a patient's image files: unreadable, on different grids, wrong labels, doses that cannot be."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.records.finding import Finding
from flame.records.labels import unknown_labels
from flame.records.patient import REGIONS, Course, Exam, Patient
from flame.records.volume import Grid, Volume, read_volume

__all__ = ["Inspection", "inspect_images"]

HIGHEST_DOSE_GY = 200.0
HIGHEST_RATIO = 20.0
"""A dose grid above 200 Gy, or 20 times the prescription, is in cGy."""

PLAUSIBLE_RATIO = (0.9, 1.3)
"""Highest dose of a plan over its prescription."""

COVERED_SHARE = 0.5
COVERING_DOSE = 0.5
OUTSIDE_BRAIN_SHARE = 0.1


@dataclass(frozen=True)
class Inspection:
    """What was found in a patient's files; `digests` are of all readable images, with the day of the exam."""

    findings: tuple[Finding, ...]
    digests: tuple[tuple[str, int], ...]


def inspect_images(patient: Patient) -> Inspection:
    """Read each file of a patient once and say what is wrong with it."""
    findings: list[Finding] = []
    digests: list[tuple[str, int]] = []
    maps: dict[int, Volume] = {}
    first: Grid | None = None
    for exam in patient.exams:
        where = f"exam of day {exam.day}"
        volumes = _readable(patient, [*exam.sequences.values(), exam.label_map, exam.brain_mask], findings)
        grid = _common_grid(volumes)
        if grid is None:
            continue
        findings += _other_grids(patient, volumes, grid, where)
        first = first or grid
        if not grid.matches(first):
            what = f"{where} lies on another grid ({grid}) than the first exam ({first})"
            findings.append(Finding("error", patient.id, what, "Bring all exams of the patient onto one grid."))
        findings += _exam_findings(patient, exam, volumes)
        digests += [(digest, exam.day) for digest in _digests(exam, volumes)]
        if exam.label_map in volumes:
            maps[exam.day] = volumes[exam.label_map]
    for number, course in enumerate(patient.courses, start=1):
        where = f"course {number} ({course.arm})"
        volumes = _readable(patient, [course.dose, course.dose_rbe, course.letd], findings)
        findings += _other_grids(patient, volumes, first, where) if first else []
        baseline = max((day for day in maps if day <= course.start_day), default=None)
        findings += _dose_findings(patient, course, where, volumes, None if baseline is None else maps[baseline])
    return Inspection(tuple(findings), tuple(digests))


def _readable(patient: Patient, paths: list[Path | None], findings: list[Finding]) -> dict[Path | None, Volume]:
    """Volumes by path; what cannot be read is added to `findings`."""
    volumes: dict[Path | None, Volume] = {}
    for path in paths:
        if path is not None:
            try:
                volumes[path] = read_volume(path)
            except DataError as error:
                findings.append(Finding("error", patient.id, error.message, error.hint))
    return volumes


def _common_grid(volumes: Mapping[Path | None, Volume]) -> Grid | None:
    """The grid that most of the volumes lie on."""
    grids = [volume.grid for volume in volumes.values()]
    return max(grids, key=lambda grid: sum(map(grid.matches, grids)), default=None)


def _other_grids(patient: Patient, volumes: Mapping[Path | None, Volume], grid: Grid, where: str) -> Iterator[Finding]:
    for path, volume in volumes.items():
        if path is not None and not volume.grid.matches(grid):
            yield Finding(
                "error",
                patient.id,
                f"{where}: {path.name} lies on another grid ({volume.grid}) than the images ({grid})",
                "Resample it onto the grid of the images: linear for doses, nearest neighbour for masks.",
            )


def _exam_findings(patient: Patient, exam: Exam, volumes: Mapping[Path | None, Volume]) -> Iterator[Finding]:
    where = f"exam of day {exam.day}"
    for sequence, path in exam.sequences.items():
        if path in volumes and _constant(volumes[path].array):
            what = f"{where}: all voxels of {sequence} hold {volumes[path].array.flat[0]:g}"
            yield Finding("error", patient.id, what, "Export the image again, or remove it.")
    brain, labels = volumes.get(exam.brain_mask), volumes.get(exam.label_map)
    if brain is not None and not brain.array.any():
        yield Finding("error", patient.id, f"{where}: the brain mask is empty", "Make the brain mask again.")
    if labels is None:
        return
    yield from _label_findings(patient, exam, labels.array)
    if brain is not None and brain.array.any() and brain.grid.matches(labels.grid):
        outside = (labels.array > 0) & (brain.array == 0)
        share = outside.sum() / max(int((labels.array > 0).sum()), 1)
        if share > OUTSIDE_BRAIN_SHARE:
            what = f"{where}: {share:.0%} of the label map lies outside the brain mask"
            yield Finding("warning", patient.id, what, "Look at both: one of them may be shifted or flipped.")


def _constant(array: NDArray[Any]) -> bool:
    return bool(array.min() == array.max())


def _label_findings(patient: Patient, exam: Exam, array: NDArray[Any]) -> Iterator[Finding]:
    where = f"exam of day {exam.day}"
    if not array.any():
        starts = any(_is_baseline(patient, exam, course) for course in patient.courses)
        yield Finding(
            "error" if starts else "note",
            patient.id,
            f"{where}: the label map is empty" + (", and a course starts from it" if starts else ""),
            "Outline the tumour, or leave the patient out." if starts else "Make sure that no tumour is visible.",
        )
    wrong = unknown_labels(array)
    if wrong.size:
        shown = ", ".join(f"{value:g}" for value in wrong[:5]) + (", ..." if wrong.size > 5 else "")
        yield Finding(
            "error",
            patient.id,
            f"{where}: the label map holds {shown}; labels are 0 to 4",
            "Convert it to 1 NETC, 2 SNFH, 3 ET, 4 RC; resample label maps by nearest neighbour only.",
        )


def _is_baseline(patient: Patient, exam: Exam, course: Course) -> bool:
    return exam.day == max((one.day for one in patient.exams if one.day <= course.start_day), default=None)


def _digests(exam: Exam, volumes: Mapping[Path | None, Volume]) -> Iterator[str]:
    """Digests of the exam's images; every second voxel along each axis is enough to tell two images apart."""
    for path in exam.sequences.values():
        if path in volumes and not _constant(volumes[path].array):
            yield blake2b(volumes[path].array[::2, ::2, ::2].tobytes(), digest_size=16).hexdigest()


def _dose_findings(
    patient: Patient, course: Course, where: str, volumes: Mapping[Path | None, Volume], labels: Volume | None
) -> Iterator[Finding]:
    for path, volume in volumes.items():
        if path is not None and volume.array.min() < 0:
            what = f"{where}: {path.name} holds {volume.array.min():g}; no dose or LETd is below 0"
            yield Finding("error", patient.id, what, "Export the grid again.")
    doses = {path: volumes[path] for path in (course.dose, course.dose_rbe) if path in volumes}
    for path, volume in doses.items():
        highest = float(volume.array.max())
        if path is not None and (highest > HIGHEST_DOSE_GY or highest > HIGHEST_RATIO * course.prescription_gy):
            what = f"{where}: {path.name} reaches {highest:g}, the prescription is {course.prescription_gy:g} Gy"
            yield Finding("error", patient.id, what, "The grid looks like cGy; divide it by 100.")
            return
    physical = None if course.arm != "photon" else volumes.get(course.dose)
    weighted = volumes.get(course.dose_rbe, physical)
    if weighted is not None:
        yield from _ratio(patient, course, where, float(weighted.array.max()) / course.prescription_gy)
    dose = weighted or volumes.get(course.dose)
    if dose is not None and labels is not None and dose.grid.matches(labels.grid):
        yield from _coverage(patient, course, where, dose.array, labels.array)


def _ratio(patient: Patient, course: Course, where: str, ratio: float) -> Iterator[Finding]:
    low, high = PLAUSIBLE_RATIO
    if not low <= ratio <= high:
        fraction = "; is it the dose of one fraction?" if 0.9 <= ratio * course.fractions <= 1.3 else ""
        yield Finding(
            "warning",
            patient.id,
            f"{where}: the highest dose is {ratio:.0%} of the prescription of {course.prescription_gy:g} Gy{fraction}",
            "Check that the grid is the sum over the whole course and that the prescription is right.",
        )


def _coverage(
    patient: Patient, course: Course, where: str, dose: NDArray[Any], labels: NDArray[Any]
) -> Iterator[Finding]:
    """Whether the dose reaches the tumour core of the baseline, or whatever is labelled where there is no core."""
    core = np.isin(labels, REGIONS["TC"])
    target = core if core.any() else labels > 0
    if not target.any():
        return
    covered = float((dose[target] >= COVERING_DOSE * course.prescription_gy).mean())
    if covered < COVERED_SHARE:
        yield Finding(
            "error",
            patient.id,
            f"{where}: the dose grid misses the tumour: {covered:.0%} of it get half of the prescription",
            "Check that dose and images are aligned, and that the dose belongs to this patient.",
        )
