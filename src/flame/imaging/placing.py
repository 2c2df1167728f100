"""All images of a patient placed in the frame of one reference image: who lies where, and how well that is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from flame.errors import DataError
from flame.imaging.align import Settled, settle
from flame.imaging.brain import Brain, BrainMethod, brain_of_head, brain_of_mask, brain_of_stripped
from flame.imaging.frames import Frames
from flame.imaging.itk import Matrix
from flame.imaging.quality import Quality, judge, worst
from flame.records.finding import Finding
from flame.records.intake import IntakeExam, IntakeImage, IntakePatient
from flame.records.patient import Sequence
from flame.records.volume import Grid, Volume, read_native

__all__ = ["Placed", "PlacedExam", "PlacedPatient", "place"]

_PREFERRED: tuple[Sequence, ...] = ("T1ce", "T1w", "FLAIR", "T2w")

How = Literal["reference", "kept", "aligned"]


@dataclass(frozen=True, eq=False)
class Placed:
    """An image as it was acquired, and the map from its positions to those of the patient's reference image."""

    image: IntakeImage
    volume: Volume
    matrix: Matrix
    how: How
    quality: tuple[Quality, ...] = ()


@dataclass(frozen=True, eq=False)
class PlacedExam:
    """An exam's images that could be placed; `to_brain` maps positions of `brain` to those of the reference."""

    exam: IntakeExam
    images: Mapping[Sequence, Placed]
    brain: Brain
    to_brain: Matrix
    quality: tuple[Quality, ...]


@dataclass(frozen=True, eq=False)
class PlacedPatient:
    """All exams that could be placed, in order of day, the frames that are known by now, and what went wrong."""

    reference: Volume
    brain: Brain
    exams: tuple[PlacedExam, ...]
    frames: Frames
    findings: tuple[Finding, ...]


def place(patient: IntakePatient, folder: Path, brain: BrainMethod) -> PlacedPatient:
    """Read and place all images of a patient.

    The reference exam is the last before the first course, else the first; in each exam T1ce leads, else T1w, FLAIR,
    T2w. Leading images are aligned to the reference, the others to the leading one of their exam. An image that cannot
    be aligned is left out with a finding.

    Args:
        folder: the patient's folder in the intake.

    Raises: DataError: if the patient has no image, a file cannot be read, or no brain is found.
    """
    exams = [exam for exam in patient.exams if exam.images]
    if not exams:
        raise DataError(f"Patient {patient.id} has no image", "Bring at least one exam in.")
    volumes = [{name: read_native(folder / one.file) for name, one in exam.images.items()} for exam in exams]
    lead = _reference_exam(patient, exams)
    reference = volumes[lead][_leading(exams[lead])]
    frames = Frames(patient.alignments)
    frames.learn(exams[lead].images[_leading(exams[lead])].frame, np.eye(4))
    found = _own_brain(exams[lead], volumes[lead], folder, reference, brain)
    findings: list[Finding] = []
    placed: dict[int, PlacedExam] = {}
    for at in sorted(range(len(exams)), key=lambda one: one != lead):
        known = _Known(found, frames)
        done = _place_exam(patient.id, exams[at], volumes[at], reference, known, at == lead, findings)
        if done is not None:
            placed[at] = _with_own_brain(done, folder) if at != lead else done
    return PlacedPatient(reference, found, tuple(placed[at] for at in sorted(placed)), frames, tuple(findings))


@dataclass(frozen=True, eq=False)
class _Known:
    """The brain of the reference image, and the frames."""

    brain: Brain
    frames: Frames

    def mask(self, reference: Volume) -> Volume:
        return Volume(self.brain.on(reference.grid).astype(np.uint8), reference.grid)


def _reference_exam(patient: IntakePatient, exams: list[IntakeExam]) -> int:
    start = patient.courses[0].start_day if patient.courses else None
    before = [at for at, exam in enumerate(exams) if start is not None and exam.day <= start]
    return before[-1] if before else 0


def _leading(exam: IntakeExam) -> Sequence:
    return next(name for name in _PREFERRED if name in exam.images)


def _own_brain(
    exam: IntakeExam, volumes: Mapping[Sequence, Volume], folder: Path, reference: Volume, method: BrainMethod
) -> Brain:
    """The brain of the reference exam."""
    own = next((one for one in exam.outlines if one.shows == "brain"), None)
    if own is not None:
        return brain_of_mask(read_native(folder / own.file))
    if "skull_stripped" in exam.already_prepared:
        same = [one for one in volumes.values() if one.grid.matches(reference.grid)]
        return brain_of_stripped(same)
    return brain_of_head(reference, method)


def _place_exam(
    patient: str,
    exam: IntakeExam,
    volumes: Mapping[Sequence, Volume],
    reference: Volume,
    known: _Known,
    is_reference: bool,
    findings: list[Finding],
) -> PlacedExam | None:
    leading = _leading(exam)
    image = exam.images[leading]
    mask = known.mask(reference)
    if is_reference:
        placed = {leading: Placed(image, volumes[leading], np.eye(4), "reference")}
    else:
        first = _settled(leading, image, volumes[leading], reference, mask, known.frames.to_reference(image.frame))
        if _refused(patient, exam, leading, first, findings):
            return None
        placed = {leading: first}
    to_exam = np.linalg.inv(placed[leading].matrix)
    known.frames.learn(image.frame, placed[leading].matrix)
    for name in (one for one in _PREFERRED if one in exam.images and one != leading):
        other = exam.images[name]
        straight = known.frames.to_reference(other.frame)
        vouched = None if straight is None else to_exam @ straight
        if "aligned" in exam.already_prepared:
            vouched = np.eye(4)
        local = Volume(mask.array, _moved(mask, to_exam))
        one = _settled(name, other, volumes[name], volumes[leading], local, vouched)
        if _refused(patient, exam, name, one, findings):
            continue
        placed[name] = Placed(other, one.volume, placed[leading].matrix @ one.matrix, one.how, one.quality)
        known.frames.learn(other.frame, placed[name].matrix)
    quality = tuple(figure for one in placed.values() for figure in one.quality)
    return PlacedExam(exam, placed, known.brain, np.eye(4), quality)


def _moved(mask: Volume, matrix: Matrix) -> Grid:
    return Grid(mask.grid.shape, matrix @ mask.grid.affine)


def _settled(
    name: Sequence, image: IntakeImage, volume: Volume, fixed: Volume, mask: Volume, vouched: Matrix | None
) -> Placed:
    found = settle(volume, fixed, mask, vouched)
    return Placed(image, volume, found.matrix, "kept" if found.kept else "aligned", _figures(name, found))


def _figures(about: str, settled: Settled) -> tuple[Quality, ...]:
    found = settled.aligned
    if settled.kept:
        return (judge(about, "vouched_mm", found.moved_mm),)
    return (
        judge(about, "inverse_mm", found.inverse_mm),
        judge(about, "information", found.information),
        judge(about, "information_gain", found.information - found.information_before),
    )


def _refused(patient: str, exam: IntakeExam, name: Sequence, placed: Placed, findings: list[Finding]) -> bool:
    """Whether an image is left out because it could not be aligned; one that its frame vouches for never is."""
    if placed.how == "kept" or worst(figure.light for figure in placed.quality) != "red":
        return False
    figures = ", ".join(f"{one.gauge} {one.value:.2g}" for one in placed.quality if one.light == "red")
    findings.append(
        Finding(
            "warning",
            patient,
            f"exam of day {exam.day}: {name} could not be aligned ({figures}) and is left out",
            "Look at the image: is it whole, and of this patient? Add a registration of your own, or leave it out.",
        )
    )
    return True


def _with_own_brain(placed: PlacedExam, folder: Path) -> PlacedExam:
    """The exam with the mask that was outlined in it or that its stripped images leave, where there is one."""
    exam = placed.exam
    leading = next(iter(placed.images.values()))
    own = next((one for one in exam.outlines if one.shows == "brain"), None)
    if own is not None:
        brain = brain_of_mask(read_native(folder / own.file))
    elif "skull_stripped" in exam.already_prepared:
        same = [one.volume for one in placed.images.values() if one.volume.grid.matches(leading.volume.grid)]
        brain = brain_of_stripped(same)
    else:
        return placed
    return PlacedExam(exam, placed.images, brain, leading.matrix, placed.quality)
