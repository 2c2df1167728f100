"""One exam on the patient's grid: images without bias field and face, brain mask, label map, figures, and its JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import flame
from flame.errors import DataError
from flame.files import write_json
from flame.imaging.bias import even
from flame.imaging.dosing import PlacedDose
from flame.imaging.intensity import zscore
from flame.imaging.itk import Matrix, onto
from flame.imaging.label_maps import label_map_of, labels_onto, masks_onto
from flame.imaging.nyul import PERCENTILES, Scale, landmarks, standardised
from flame.imaging.placing import Placed, PlacedExam, PlacedPatient
from flame.imaging.quality import Quality, judge
from flame.records.finding import Finding
from flame.records.intake import IntakePatient, Outline, Shows
from flame.records.layout import DERIVATIVES, brain_mask_path, label_map_path, sequence_path, ses_label
from flame.records.patient import LABELS, Region, Sequence
from flame.records.volume import Grid, Volume, read_native, write_volume

__all__ = ["Draw", "Prepared", "prepared_exam", "prepared_path"]

_STEPS = 32000


@dataclass(frozen=True, eq=False)
class Prepared:
    """An exam on the patient's grid.

    Attributes:
        day: of the exam.
        images: float32 (x, y, z) by sequence, 0 outside the brain, in the scanner's unit or on the scale.
        brain: bool; the same grid.
        label_map: uint8, or None if nothing was outlined.
        ct: the planning CT [HU] where it was aligned to find the dose, in the exam before that course; else None.
        quality: all figures.
        content: what was done, as JSON.
        findings: what deserves a look.
        grid: axis-aligned RAS.
    """

    day: int
    images: Mapping[Sequence, NDArray[np.float32]]
    brain: NDArray[np.bool_]
    label_map: NDArray[np.uint8] | None
    ct: NDArray[np.float32] | None
    quality: tuple[Quality, ...]
    content: dict[str, Any]
    findings: tuple[Finding, ...]
    grid: Grid

    def write(self, site: Path, patient: str) -> None:
        """Write all files of the exam; its JSON last."""
        for name, array in self.images.items():
            step = float(np.abs(array).max()) / _STEPS or 1.0
            write_volume(sequence_path(site, patient, self.day, name), Volume(array, self.grid), step)
        write_volume(brain_mask_path(site, patient, self.day), Volume(self.brain.astype(np.uint8), self.grid))
        if self.label_map is not None:
            write_volume(label_map_path(site, patient, self.day), Volume(self.label_map, self.grid))
        write_json(prepared_path(site, patient, self.day, "prepared.json"), self.content)


Draw = Callable[[Path, Prepared], None]
"""Makes the picture of an exam at a path."""


def prepared_path(site: Path, patient: str, day: int, what: str) -> Path:
    """Where an exam's `prepared.json` and `alignment.png` lie."""
    label = ses_label(day)
    return site / DERIVATIVES / f"sub-{patient}" / f"ses-{label}" / f"sub-{patient}_ses-{label}_desc-{what}"


def prepared_exam(
    patient: IntakePatient,
    exam: PlacedExam,
    placed: PlacedPatient,
    doses: list[PlacedDose],
    grid: Grid,
    folder: Path,
    scale: Scale | None = None,
) -> Prepared:
    """Bring an exam onto the patient's grid, and its intensities onto a scale if there is one.

    Raises: DataError: if an outline cannot be read, or its brain mask misses the grid.
    """
    brain = exam.brain.on(grid, exam.to_brain)
    if not brain.any():
        raise DataError(
            f"exam of day {exam.exam.day}: the brain mask lies outside the reference exam's brain",
            "Check the brain mask, or leave it out so that one is made.",
        )
    images, facts, quality = {}, {}, [*exam.quality, *_brain_figures(exam)]
    even_already = "zscored" in exam.exam.already_prepared
    for name, one in exam.images.items():
        images[name], facts[name], figures = _image(name, one, brain, grid, even_already)
        quality += figures
    labels, regions, findings = _labels(patient.id, exam, placed, grid, folder)
    if scale is not None:
        findings += _standardise(patient.id, exam.exam.day, scale, images, facts)
    if labels is not None:
        quality += _label_figures(labels, images, brain)
        quality += _dose_figures(patient, exam, labels, doses)
    quality += [figure for dose in doses for figure in dose.quality]
    content = {
        "flame": flame.__version__,
        "day": exam.exam.day,
        "brain": exam.brain.source,
        "images": facts,
        "label_map": labels is not None,
        "regions": None if regions is None else list(regions),
        "already_prepared": sorted(exam.exam.already_prepared),
        "quality": [one.content() for one in quality],
    }
    ct = next((one.ct for one in doses if one.ct is not None), None)
    return Prepared(exam.exam.day, images, brain, labels, ct, tuple(quality), content, tuple(findings), grid)


def _brain_figures(exam: PlacedExam) -> list[Quality]:
    figures = [judge("brain", "brain_ml", exam.brain.volume_ml)]
    if exam.brain.agreement is not None:
        figures.append(judge("brain", "brain_agreement", exam.brain.agreement))
    return figures


def _image(
    name: str, placed: Placed, brain: NDArray[np.bool_], grid: Grid, even_already: bool
) -> tuple[NDArray[np.float32], dict[str, Any], list[Quality]]:
    """The image without its bias field, what was done to it, and its figures."""
    ones = Volume(np.ones(placed.volume.grid.shape, np.float32), placed.volume.grid)
    seen = onto(ones, grid, placed.matrix, how="linear") > 0.5
    inside = brain & seen
    array = np.asarray(onto(placed.volume, grid, placed.matrix), np.float32)
    figures = [judge(name, "coverage", float(inside.sum() / brain.sum()))]
    spread = None
    if not even_already:
        evened = even(Volume(array, grid), inside)
        array, spread = evened.array, evened.spread
        figures.append(judge(name, "bias_spread", spread))
    array = np.where(inside, array, np.float32(0))
    facts = {
        "file": placed.image.file,
        "placed": placed.how,
        "matrix": placed.matrix.tolist(),
        "native_spacing_mm": [round(one, 4) for one in placed.volume.grid.spacing_mm],
        "resampled": "once, by cubic spline",
        "bias_corrected": not even_already,
        "notes": list(placed.image.notes),
    }
    if inside.any() and np.ptp(array[inside]) > 0:
        points = landmarks(array, inside)
        facts["landmarks"] = {"percentiles": list(PERCENTILES), "values": [float(f"{one:.6g}") for one in points]}
    return array, facts, figures


def _standardise(
    patient: str, day: int, scale: Scale, images: dict[Sequence, NDArray[np.float32]], facts: dict[Sequence, Any]
) -> list[Finding]:
    """Move images onto the scale and say of each whether it was; the landmarks kept stay those of the scanner."""
    findings = []
    for name, array in images.items():
        own, wanted = facts[name].get("landmarks"), scale.landmarks.get(name)
        facts[name]["standardised"] = own is not None and wanted is not None
        if own is None or wanted is None:
            what = f"exam of day {day}: {name} stays in the scanner's unit, because the scale says nothing of it"
            findings.append(Finding("warning", patient, what, "Make the scale of sites that have the sequence."))
            continue
        moved = standardised(array, np.array(own["values"]), np.array(wanted))
        images[name] = np.where(array != 0, moved, np.float32(0))
    return findings


def _labels(
    patient: str, exam: PlacedExam, placed: PlacedPatient, grid: Grid, folder: Path
) -> tuple[NDArray[np.uint8] | None, tuple[Region, ...] | None, list[Finding]]:
    """The label map of all outlines of the exam, the regions that it tells apart, and what was guessed."""
    findings: list[Finding] = []
    labels: NDArray[np.uint8] | None = None
    known: tuple[int, ...] = ()
    groups: list[_Group] = []
    for outline in (one for one in exam.exam.outlines if one.shows not in ("brain", "other")):
        volume = read_native(folder / outline.file)
        matrix, vouched = _outline_matrix(outline, volume, exam, placed)
        findings += _outline_findings(patient, exam.exam.day, outline, vouched)
        if outline.shows == "labels":
            labels, known = labels_onto(volume, grid, matrix), outline.known
        else:
            _grouped(groups, outline.shows, volume, matrix)
    masks: dict[Shows, NDArray[np.bool_]] = {}
    for group in groups:
        for shows, mask in masks_onto(group.masks, group.grid, grid, group.matrix).items():
            masks[shows] = mask | masks[shows] if shows in masks else mask
    if labels is None and not masks:
        return None, None, findings
    found, regions = label_map_of(labels, known, masks)
    return found, regions, findings


@dataclass(frozen=True, eq=False)
class _Group:
    """Masks that lie on one grid, in one place: of one segmentation or structure set, as a rule."""

    grid: Grid
    matrix: Matrix
    masks: dict[Shows, NDArray[np.bool_]]


def _grouped(groups: list[_Group], shows: Shows, volume: Volume, matrix: Matrix) -> None:
    """Put a mask with those that it has to be carried with."""
    mask = volume.array > 0.5
    for group in groups:
        if group.grid.matches(volume.grid) and np.array_equal(group.matrix, matrix):
            group.masks[shows] = mask | group.masks[shows] if shows in group.masks else mask
            return
    groups.append(_Group(volume.grid, matrix, {shows: mask}))


def _outline_findings(patient: str, day: int, outline: Outline, vouched: bool) -> list[Finding]:
    findings = []
    if not vouched:
        what = f"exam of day {day}: no image shares the frame of the outline of {outline.shows}"
        hint = "It was taken to lie on the leading image; look at the picture."
        findings.append(Finding("warning", patient, what, hint))
    if outline.author == "rough":
        what = f"exam of day {day}: the outline of {outline.shows} is a rough one"
        findings.append(Finding("note", patient, what, "Do not take measures of it for more than that."))
    return findings


def _outline_matrix(outline: Outline, volume: Volume, exam: PlacedExam, placed: PlacedPatient) -> tuple[Matrix, bool]:
    """The map of an outline to the reference, and whether anything vouches for it: its frame, or an image's grid."""
    images = list(exam.images.values())
    same = [one for one in images if outline.frame is not None and one.image.frame == outline.frame]
    same = same or [one for one in images if one.volume.grid.matches(volume.grid)]
    if same:
        return same[0].matrix, True
    matrix = placed.frames.to_reference(outline.frame)
    return (images[0].matrix, False) if matrix is None else (matrix, True)


def _label_figures(
    labels: NDArray[np.uint8], images: Mapping[Sequence, NDArray[np.float32]], brain: NDArray[np.bool_]
) -> list[Quality]:
    some = labels > 0
    if not some.any():
        return []
    figures = [judge("label map", "labels_in_brain", float(brain[some].mean()))]
    enhancing = labels == LABELS["ET"]
    if {"T1w", "T1ce"} <= set(images) and (enhancing & brain).any():
        scores = [float(np.median(zscore(images[name], brain)[enhancing & brain])) for name in ("T1ce", "T1w")]
        figures.append(judge("label map", "enhancement", scores[0] - scores[1]))
    return figures


def _dose_figures(
    patient: IntakePatient, exam: PlacedExam, labels: NDArray[np.uint8], doses: list[PlacedDose]
) -> list[Quality]:
    """Of each course that starts from this exam."""
    figures = []
    for number, (course, dose) in enumerate(zip(patient.courses, doses, strict=True), start=1):
        before = [one.day for one in patient.exams if one.day <= course.start_day]
        array = dose.grids.get("dose_rbe", dose.grids.get("dose"))
        if array is None or not before or before[-1] != exam.exam.day:
            continue
        core = np.isin(labels, (LABELS["NETC"], LABELS["ET"]))
        target = core if core.any() else labels > 0
        if target.any():
            share = float((array[target] >= 0.5 * course.prescription_gy).mean())
            figures.append(judge(f"course {number} dose", "dose_in_target", share))
    return figures
