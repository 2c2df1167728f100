"""Structure sets and segmentations drawn on the images that they name, as outlines of an intake folder."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flame.dicom.radiotherapy import common_frame, draw_structures, shows
from flame.dicom.reading import read_instance
from flame.dicom.series import Series
from flame.dicom.therapy.objects import items, text
from flame.dicom.therapy.segmentation import read_segmentation
from flame.errors import DataError
from flame.records.finding import Finding
from flame.records.intake import Alignment, Outline, Shows
from flame.records.patient import LABELS
from flame.records.volume import Grid, Volume, write_volume

__all__ = ["Drawn", "draw_outlines"]

_UNPLACED = "Bring in the images that it was drawn on."


@dataclass(frozen=True, eq=False)
class Drawn:
    """Outlines of one object (`what` in words, as `structure set 1`), and the series that they lie on."""

    what: str
    on: Series
    outlines: tuple[Outline, ...]


@dataclass(frozen=True, eq=False)
class _Mask:
    name: str
    shows: Shows
    mask: NDArray[np.bool_]


def draw_outlines(
    patient: str,
    folder: Path,
    objects: Mapping[str, Sequence[Path]],
    series: Sequence[Series],
    alignments: Sequence[Alignment],
    volume_of: Callable[[Series], Volume],
) -> tuple[list[Drawn], list[Finding]]:
    """Draw all structure sets (RTSTRUCT) and segmentations (SEG) of a patient, and write their masks.

    An object lies on the series that it names, else on one of its frame of reference, MR before CT.

    Args:
        patient: the site's id.
        folder: the patient's; masks go to `outlines/` in it.
        objects: files by modality.
        series: all of the patient.
        alignments: between frames of reference, made by the hospital.
        volume_of: converts a series; a DataError becomes a finding.
    """
    drawn: list[Drawn] = []
    findings: list[Finding] = []
    images = [one for one in series if one.kind in ("MR", "CT") and one.trouble is None]
    for kind in ("RTSTRUCT", "SEG"):
        for number, path in enumerate(objects.get(kind, ()), 1):
            what = f"{'structure set' if kind == 'RTSTRUCT' else 'segmentation'} {number}"
            try:
                on, frame, to_image = _target(path, images, alignments)
                masks, notes, elsewhere = _masks(kind, path, volume_of(on).grid, frame, to_image)
            except DataError as error:
                findings.append(Finding("warning", patient, f"{what} was left out: {error.message}", error.hint))
                continue
            findings += [Finding("note", patient, f"{what}: {note}", "Nothing.") for note in notes]
            if elsewhere:
                told = f"{what}: {', '.join(elsewhere)} left out: drawn in another frame of reference than its images"
                findings.append(Finding("warning", patient, told, "Export it as a structure set of its own."))
            outlines = tuple(_written(folder, f"{kind.lower()}-{number}", on, volume_of(on).grid, masks))
            drawn.append(Drawn(what, on, outlines))
    return drawn, findings


def _target(
    path: Path, images: Sequence[Series], alignments: Sequence[Alignment]
) -> tuple[Series, str | None, NDArray[np.float64] | None]:
    """The series that an object is drawn on, the frame that it is drawn in, and the map from that to the series'."""
    dataset = read_instance(path)
    named = {text(one, "SeriesInstanceUID") for one in items(dataset, "ReferencedSeriesSequence")}
    frames = [text(dataset, "FrameOfReferenceUID")]
    for frame in items(dataset, "ReferencedFrameOfReferenceSequence"):
        frames.append(text(frame, "FrameOfReferenceUID"))
        for study in items(frame, "RTReferencedStudySequence"):
            named |= {text(one, "SeriesInstanceUID") for one in items(study, "RTReferencedSeriesSequence")}
    frames += [text(roi, "ReferencedFrameOfReferenceUID") for roi in items(dataset, "StructureSetROISequence")]
    own = [frame for frame in dict.fromkeys(frames) if frame]
    by_preference = sorted(images, key=lambda one: (one.uid not in named, one.kind != "MR", -one.slices, one.uid))
    fitting = [one for one in by_preference if one.uid in named or (one.frame is not None and one.frame in own)]
    if not fitting:
        raise DataError("the images that it was drawn on are not there", _UNPLACED)
    on = fitting[0]
    if on.frame is None or not own or on.frame in own:
        return on, on.frame, None
    matrix = common_frame(own[0], on.frame, alignments)
    if matrix is None:
        raise DataError("nothing says how its frame of reference lies to that of its images", _UNPLACED)
    return on, own[0], matrix


def _masks(
    kind: str, path: Path, grid: Grid, frame: str | None, to_image: NDArray[np.float64] | None
) -> tuple[list[_Mask], tuple[str, ...], tuple[str, ...]]:
    """Masks that have a voxel inside; of a label map as a segmentation also the empty ones, whose label is absent."""
    if kind == "RTSTRUCT":
        structures = draw_structures(path, grid, to_image)
        elsewhere = tuple(name for name, own in structures.frames.items() if frame and own and own != frame)
        found = [_Mask(name, shows(name), mask) for name, mask in structures.masks.items() if name not in elsewhere]
        notes = structures.notes
    else:
        segments = read_segmentation(path, grid, to_image)
        found = [_Mask(name, one.shows, one.mask) for name, one in segments.items()]
        notes, elsewhere = (), ()
    told = LABELS if kind == "SEG" and any(one.mask.any() for one in found) else ()
    kept = [one for one in found if one.mask.any() or one.shows in told]
    empty = [one.name for one in found if one not in kept]
    return kept, (*notes, *(f"{name} has no voxel on its images" for name in empty)), elsewhere


def _written(folder: Path, stem: str, on: Series, grid: Grid, masks: Sequence[_Mask]) -> Iterator[Outline]:
    for place, one in enumerate(masks, 1):
        word = re.sub(r"[^a-z0-9]+", "-", one.name.lower()).strip("-")
        file = f"outlines/{stem}-{place:02d}-{word or 'structure'}.nii.gz"
        write_volume(folder / file, Volume(one.mask, grid))
        yield Outline(file=file, shows=one.shows, frame=on.frame, name=one.name)
