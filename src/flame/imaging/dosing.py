"""The dose grids of a patient's courses, brought to the prepared grid."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.imaging.align import settle
from flame.imaging.itk import Matrix, onto
from flame.imaging.placing import PlacedPatient
from flame.imaging.quality import Quality, judge
from flame.records.finding import Finding
from flame.records.intake import IntakeCourse, IntakeImage
from flame.records.layout import Grids
from flame.records.volume import Grid, Volume, read_native

__all__ = ["PlacedDose", "place_dose"]

_CT_WINDOW = (-200.0, 1200.0)
"""Hounsfield units that matter for alignment; the table's metal and air do not."""


@dataclass(frozen=True, eq=False)
class PlacedDose:
    """The grids of one course on the prepared grid, float32, how their frame was found, and the CT there if aligned."""

    grids: dict[Grids, NDArray[np.float32]]
    matrix: Matrix | None
    how: str
    ct: NDArray[np.float32] | None
    quality: tuple[Quality, ...]
    findings: tuple[Finding, ...]

    def content(self) -> dict[str, Any]:
        """As JSON: how the frame was found, the map, and the figures."""
        return {
            "placed": self.how,
            "matrix": None if self.matrix is None else self.matrix.tolist(),
            "quality": [one.content() for one in self.quality],
        }


def place_dose(
    patient: str, number: int, course: IntakeCourse, folder: Path, placed: PlacedPatient, grid: Grid
) -> PlacedDose:
    """Bring dose, RBE-weighted dose and LETd to the grid, linearly and once.

    Their frame is that of an image, or leads to one over registrations of the hospital; else the planning CT is
    aligned to the reference image. Without any of these the grids are left out with a finding.

    Args:
        number: of the course, from 1.
        folder: the patient's folder in the intake.
    """
    known: tuple[tuple[Grids, IntakeImage | None], ...] = (
        ("dose", course.dose),
        ("dose_rbe", course.dose_rbe),
        ("letd", course.letd),
    )
    given = {kind: one for kind, one in known if one is not None}
    if not given:
        return PlacedDose({}, None, "no dose", None, (), ())
    frames = {one.frame for one in given.values()}
    matrix = placed.frames.to_reference(next(iter(frames))) if len(frames) == 1 else None
    how, ct = "frame of reference", None
    quality: tuple[Quality, ...] = ()
    if matrix is None and course.ct is not None and frames == {course.ct.frame}:
        volume = read_native(folder / course.ct.file)
        matrix, quality = _by_ct(number, volume, placed)
        how, ct = "alignment of the planning CT", onto(volume, grid, matrix, how="linear", outside=-1000.0)
    if matrix is None or any(one.light == "red" for one in quality):
        what = f"course {number} ({course.arm}): nothing tells where its dose lies, and it is left out"
        hint = "Bring the planning CT or a registration object in with the dose."
        if matrix is not None:
            what = f"course {number} ({course.arm}): its planning CT could not be aligned; its dose is left out"
            hint = "Bring a registration object in, made and checked by the hospital."
        return PlacedDose({}, matrix, how, ct, quality, (Finding("warning", patient, what, hint),))
    grids: dict[Grids, NDArray[np.float32]] = {
        kind: np.asarray(onto(read_native(folder / one.file), grid, matrix, how="linear"), np.float32)
        for kind, one in given.items()
    }
    return PlacedDose(grids, matrix, how, ct, quality, ())


def _by_ct(number: int, ct: Volume, placed: PlacedPatient) -> tuple[Matrix, tuple[Quality, ...]]:
    low, high = _CT_WINDOW
    image = Volume(np.clip(ct.array, low, high).astype(np.float32), ct.grid)
    mask = Volume(placed.brain.on(placed.reference.grid).astype(np.uint8), placed.reference.grid)
    found = settle(image, placed.reference, mask, None)
    about = f"course {number} CT"
    return found.matrix, (
        judge(about, "inverse_mm", found.aligned.inverse_mm),
        judge(about, "information", found.aligned.information),
        judge(about, "information_gain", found.aligned.information - found.aligned.information_before),
    )
