"""A small intake for tests: one patient with a whole, small head, two exams, a photon course with dose."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.imaging.heads import brain_volume, head, moved, rigid, stretched

from flame.imaging.itk import Matrix
from flame.records.intake import IntakeCourse, IntakeExam, IntakeImage, IntakePatient, Outline, write_intake
from flame.records.volume import Grid, Volume, write_volume

__all__ = ["LATER", "SPACING_MM", "TUMOUR", "make_patient", "small_head", "tumour_of"]

SPACING_MM = 4.0
SMALL = (0.75, 0.75, 0.75)
"""A head of less than half the volume: alignment and bias field cost by the voxel of 8 and 4 mm."""

LATER = rigid((4.0, -2.0, 5.0), (5.0, -4.0, 3.0))
"""How the head lay in the second exam, against the first."""

TUMOUR = (25.0, 10.0, 30.0)
"""Middle of the tumour [mm], a ball of 16 mm radius with enhancement in all of it."""


def tumour_of(grid: Grid, matrix: Matrix | None = None) -> NDArray[np.bool_]:
    """The ball on a grid, after a move."""
    middle = np.array([*TUMOUR, 1.0]) if matrix is None else matrix @ [*TUMOUR, 1.0]
    place = np.moveaxis(np.indices(grid.shape), 0, -1) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    ball: NDArray[np.bool_] = np.linalg.norm(place - middle[:3], axis=-1) < 16
    return ball


def make_patient(intake: Path, identity: str, seed: int = 1, small: bool = False, **change: Any) -> IntakePatient:
    """Write patient `identity`; a `small` one has one exam of T1ce. `change` replaces fields of the record."""
    folder = intake / identity
    days = ((0, None),) if small else ((0, None), (70, LATER))
    exams = tuple(_exam(folder, day, seed + day, matrix, small) for day, matrix in days)
    grid = exams_grid()
    dose = Volume(np.where(tumour_of(grid), 60.0, 20.0).astype(np.float32), grid)
    write_volume(folder / "dose.nii.gz", dose)
    course = IntakeCourse(
        arm="photon",
        prescription_gy=60,
        fractions=30,
        start_day=0,
        end_day=42,
        dose=IntakeImage(file="dose.nii.gz", frame="first"),
    )
    patient = IntakePatient(id=identity, source="nifti", age=61, exams=exams, courses=(course,))
    patient = patient.model_copy(update=change)
    write_intake(intake, patient)
    return patient


def exams_grid() -> Grid:
    """The grid of all images."""
    return small_head(brain_volume(SPACING_MM)).grid


def small_head(volume: Volume) -> Volume:
    """A head, or its brain, as small as those of the patients."""
    return stretched(volume, SMALL)


def _exam(folder: Path, day: int, seed: int, matrix: Matrix | None, small: bool) -> IntakeExam:
    images = {}
    frame = "first" if matrix is None else "second"
    for name, looks in (("T1ce", "T1w"), ("FLAIR", "FLAIR"))[: 1 if small else 2]:
        volume = small_head(head(looks, seed, SPACING_MM))
        ball = tumour_of(volume.grid)
        volume = Volume(np.where(ball, np.float32(700), volume.array), volume.grid)
        write_volume(folder / f"{day}-{name}.nii.gz", volume if matrix is None else moved(volume, matrix))
        images[name] = IntakeImage(file=f"{day}-{name}.nii.gz", frame=frame)
    labels = tumour_of(volume.grid, matrix).astype(np.uint8) * np.uint8(3)
    write_volume(folder / f"{day}-labels.nii.gz", Volume(labels, volume.grid))
    brain = small_head(brain_volume(SPACING_MM))
    write_volume(folder / f"{day}-brain.nii.gz", brain if matrix is None else moved(brain, matrix))
    outlines = (
        Outline(file=f"{day}-labels.nii.gz", shows="labels", frame=frame, known=(1, 3)),
        Outline(file=f"{day}-brain.nii.gz", shows="brain", frame=frame),
    )
    return IntakeExam(day=day, images=images, outlines=outlines, steroid_mg=2.0)
