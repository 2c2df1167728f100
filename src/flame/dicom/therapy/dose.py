"""RTDOSE: a dose grid in Gy, where it lies and what it is the dose of."""

from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import RTDoseStorage

from flame.dicom.geometry import affine_of, slice_normal
from flame.dicom.therapy.objects import Source, decimal, decimals, items, opened, stored, text, whole
from flame.errors import DataError
from flame.records.images import HIGHEST_DOSE_GY, HIGHEST_RATIO
from flame.records.volume import Grid, Volume

__all__ = [
    "PER_SESSION",
    "Dose",
    "DoseKind",
    "Summation",
    "from_centigray",
    "read_dose",
]

DoseKind = Literal["PHYSICAL", "EFFECTIVE"]
"""PHYSICAL: Gy. EFFECTIVE: weighted for the radiation's effect, Gy(RBE)."""

Summation = Literal[
    "PLAN", "MULTI_PLAN", "PLAN_OVERVIEW", "FRACTION", "BEAM", "FRACTION_SESSION", "BEAM_SESSION", "RECORD"
]
"""What a grid is the dose of (PS3.3 C.8.8.3).

PLAN: one plan. MULTI_PLAN: several. FRACTION: all sessions of one fraction group. BEAM: all sessions of the beams that
are named. FRACTION_SESSION and BEAM_SESSION: one session of them. RECORD: what a treatment record tells.
"""

PER_SESSION: tuple[Summation, ...] = ("FRACTION_SESSION", "BEAM_SESSION")
"""Doses of a single session, to be multiplied by the number of fractions."""

_SUMMATIONS: tuple[Summation, ...] = (
    "PLAN",
    "MULTI_PLAN",
    "PLAN_OVERVIEW",
    "FRACTION",
    "BEAM",
    "FRACTION_SESSION",
    "BEAM_SESSION",
    "RECORD",
)

_OFFSET_TOLERANCE_MM = 0.02
_AXIAL_TOLERANCE = 1e-4
_EXPORT = "Export the dose again from the planning system."


@dataclass(frozen=True, eq=False)
class Dose:
    """A dose grid.

    Attributes:
        volume: float32 [Gy; Gy(RBE) if `kind` is EFFECTIVE], on its own grid.
        summation: what it is the dose of.
        frame: UID of its frame of reference; None if unknown.
        plans: UIDs of the plans that it belongs to.
        beams: numbers of the beams, where it is the dose of beams.
        fraction_group: number of the fraction group, where it is named.
        notes: what was seen and done, in words that tell of nobody.
    """

    volume: Volume
    kind: DoseKind
    summation: Summation
    frame: str | None
    plans: tuple[str, ...] = ()
    beams: tuple[int, ...] = ()
    fraction_group: int | None = None
    notes: tuple[str, ...] = ()


def read_dose(source: Source, prescription_gy: float | None = None, centigray: bool = False) -> Dose:
    """Read an RTDOSE object.

    Args:
        source: a file or its content.
        prescription_gy: of the plan, if known; a grid far above it is not in Gy.
        centigray: the site's own word that the system that made the object writes cGy where DICOM says Gy. The values
            are then divided by 100, and a note says so.

    Returns: the grid. Voxels are where GridFrameOffsetVector puts them, in either of its conventions: counted from
        the first plane, or positions along the patient's axis.
    Raises: DataError: another kind of object; relative dose; an error map; uneven or repeated planes; a dose below 0;
        values that only cGy explains.
    """
    dataset = opened(source, (RTDoseStorage,), "an RTDOSE object")
    unit = text(dataset, "DoseUnits").upper()
    if unit not in ("GY", "CGY"):
        raise DataError(
            "The dose is not in Gy" + (" but relative to a reference" if unit == "RELATIVE" else ""),
            "Export the absolute dose from the planning system.",
        )
    dose = Dose(
        Volume(_values(dataset), _grid(dataset)),
        _kind(dataset),
        _summation(dataset),
        text(dataset, "FrameOfReferenceUID") or None,
        *_references(dataset),
    )
    if unit == "CGY" or centigray:
        dose = from_centigray(dose)
    highest = float(dose.volume.array.max())
    if highest > HIGHEST_DOSE_GY or (prescription_gy is not None and highest > HIGHEST_RATIO * prescription_gy):
        raise DataError(
            f"The dose reaches {highest:.4g} Gy: the values look like cGy, under the name of Gy",
            "Export the dose in Gy; FLAME never divides on its own.",
        )
    return dose


def from_centigray(dose: Dose) -> Dose:
    """The dose in Gy of a grid whose values are in cGy; a note says that it was divided."""
    volume = Volume((dose.volume.array / np.float32(100)).astype(np.float32), dose.volume.grid)
    return replace(dose, volume=volume, notes=(*dose.notes, "the dose was written in cGy and was divided by 100"))


def _kind(dataset: Dataset) -> DoseKind:
    kind = text(dataset, "DoseType").upper()
    if kind not in ("PHYSICAL", "EFFECTIVE"):
        raise DataError(
            "The dose is a map of errors" if kind == "ERROR" else "The object does not say what type its dose is",
            "Export the physical dose or the RBE-weighted dose of the plan.",
        )
    return cast(DoseKind, kind)


def _summation(dataset: Dataset) -> Summation:
    found = text(dataset, "DoseSummationType").upper()
    for one in _SUMMATIONS:
        if found == one:
            return one
    known = found in ("CONTROL_POINT", "BRACHY", "BRACHY_SESSION")
    what = f"is of type {found}" if known else "does not say what it is the sum of"
    raise DataError(f"The dose {what}", "Export the dose of the plan, or of all its beams.")


def _references(dataset: Dataset) -> tuple[tuple[str, ...], tuple[int, ...], int | None]:
    """Plans, beams and fraction group that the dose names, each once."""
    plans, beams, group = [], [], None
    for plan in items(dataset, "ReferencedRTPlanSequence"):
        plans.append(text(plan, "ReferencedSOPInstanceUID"))
        for fractions in items(plan, "ReferencedFractionGroupSequence"):
            group = whole(fractions, "ReferencedFractionGroupNumber")
            named = (whole(beam, "ReferencedBeamNumber") for beam in items(fractions, "ReferencedBeamSequence"))
            beams += [number for number in named if number is not None]
    return tuple(dict.fromkeys(filter(None, plans))), tuple(sorted(set(beams))), group


def _values(dataset: Dataset) -> NDArray[np.float32]:
    """Dose by (column, row, frame)."""
    scaling = decimals(dataset, "DoseGridScaling", 1)[0]
    if not scaling > 0:
        raise DataError("DoseGridScaling is not above 0", _EXPORT)
    if whole(dataset, "BitsAllocated") not in (16, 32):
        raise DataError("The dose is not stored in 16 or 32 bits", _EXPORT)
    numbers = stored(dataset)
    if numbers.min() < 0:
        raise DataError("The dose has values below 0; no dose is", _EXPORT)
    values = (numbers * scaling).astype(np.float32)
    if not np.isfinite(values).all():
        raise DataError("DoseGridScaling makes the dose infinite", _EXPORT)
    return np.ascontiguousarray(values.transpose(2, 1, 0))


def _grid(dataset: Dataset) -> Grid:
    position = decimals(dataset, "ImagePositionPatient", 3)
    orientation = decimals(dataset, "ImageOrientationPatient", 6)
    spacing = decimals(dataset, "PixelSpacing", 2)
    rows = np.array(orientation).reshape(2, 3)
    if min(spacing) <= 0 or np.abs(rows @ rows.T - np.eye(2)).max() > 1e-3:
        raise DataError("Spacing or orientation of the dose grid is impossible", _EXPORT)
    frames = whole(dataset, "NumberOfFrames") or 1
    if frames < 2:
        raise DataError("The dose is of one plane only", "Export the dose as one object of all planes.")
    first, step = _planes(decimals(dataset, "GridFrameOffsetVector", frames), position, np.array(orientation))
    shape = (int(decimal(dataset, "Columns") or 0), int(decimal(dataset, "Rows") or 0), frames)
    return Grid(shape, affine_of(tuple(first), orientation, spacing, step))


def _planes(
    offsets: tuple[float, ...], position: tuple[float, ...], orientation: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Position of the first voxel and the step from plane to plane, LPS [mm] (PS3.3 C.8.8.3.2).

    Offsets that start with 0 count from the first plane along the normal of the planes. Others are positions along the
    patient's axis, which exist for transverse planes alone.
    """
    steps = np.diff(offsets)
    step = float(steps.mean())
    if abs(step) < _OFFSET_TOLERANCE_MM:
        raise DataError("Planes of the dose grid lie on one another", _EXPORT)
    if np.abs(steps - step).max() > _OFFSET_TOLERANCE_MM:
        raise DataError(
            f"Planes of the dose grid are unevenly spaced: {np.abs(steps).min():.4g} to {np.abs(steps).max():.4g} mm",
            "Export the dose on an even grid; FLAME does not fill gaps.",
        )
    first = np.array(position)
    if offsets[0] == 0:
        return first, step * slice_normal(tuple(orientation))
    transverse = np.abs(np.abs(orientation) - np.array([1, 0, 0, 0, 1, 0])).max() < _AXIAL_TOLERANCE
    if not transverse or abs(offsets[0] - position[2]) > _OFFSET_TOLERANCE_MM:
        raise DataError(
            "The planes of the dose grid start neither at 0 nor at the position of the first plane",
            "Export the dose again; its GridFrameOffsetVector follows neither convention of DICOM.",
        )
    return first, np.array([0.0, 0.0, step])
