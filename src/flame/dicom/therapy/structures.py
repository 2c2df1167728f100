"""RTSTRUCT: outlines as masks on a grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.uid import RTStructureSetStorage

from flame.dicom.geometry import lps_to_ras
from flame.dicom.therapy.contours import draw
from flame.dicom.therapy.objects import Source, decimals, items, opened, text, whole
from flame.dicom.therapy.outline_names import distinct
from flame.errors import DataError
from flame.records.volume import Grid, Volume

__all__ = ["Structure", "Structures", "draw_structures", "read_outlines", "read_structures"]

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")
_FARTHEST_MM = 1e5
_SMALLEST_AREA_MM2 = 1e-3


@dataclass(frozen=True, eq=False)
class Structure:
    """A region of interest: its closed contours, (n, 3) each, RAS [mm], in the frame of reference `frame`."""

    name: str
    frame: str | None
    contours: tuple[NDArray[np.float64], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Structures:
    """Masks (x, y, z) by name, the frame that each was drawn in, and what was left out and why."""

    masks: Mapping[str, NDArray[np.bool_]]
    frames: Mapping[str, str | None]
    notes: tuple[str, ...] = ()


def read_structures(
    source: Source, reference: Volume | Grid, to_reference: NDArray[np.float64] | None = None
) -> dict[str, NDArray[np.bool_]]:
    """Masks of all structures of an RTSTRUCT on a grid.

    Args:
        source: a file or its content.
        reference: where the masks are wanted; any orientation and spacing.
        to_reference: (4, 4), from the frame of the structures to that of the reference, RAS [mm]; None if they are one.

    Returns: masks (x, y, z) by name; a name that comes twice gets a number. Structures without a closed contour are
        left out; `draw_structures` says which and why.
    Raises: DataError: another kind of object; a damaged one; no structure with a closed contour.
    """
    return dict(draw_structures(source, reference, to_reference).masks)


def draw_structures(
    source: Source, reference: Volume | Grid, to_reference: NDArray[np.float64] | None = None
) -> Structures:
    """As `read_structures`, with the frame of each structure, and notes on what was left out or looks odd."""
    grid = reference.grid if isinstance(reference, Volume) else reference
    masks: dict[str, NDArray[np.bool_]] = {}
    frames: dict[str, str | None] = {}
    notes: list[str] = []
    for structure in read_outlines(source):
        contours = [_moved(contour, to_reference) for contour in structure.contours]
        seen = list(structure.notes)
        if contours:
            drawn = draw(contours, grid)
            seen += drawn.notes
            if drawn.mask is not None:
                masks[structure.name], frames[structure.name] = drawn.mask, structure.frame
        notes += [f"{structure.name}: {note}" for note in seen]
    if not masks:
        raise DataError(
            "No structure of the RTSTRUCT has a closed contour that can be drawn",
            "Export the structure set again, with its contours.",
        )
    return Structures(masks, frames, tuple(notes))


def read_outlines(source: Source) -> tuple[Structure, ...]:
    """The structures of an RTSTRUCT with their contours, in the order of the structure set.

    Points, open contours and contours without area are left out, with a note.

    Raises: DataError: another kind of object; a contour whose points are not finite positions.
    """
    dataset = opened(source, (RTStructureSetStorage,), "an RTSTRUCT object")
    drawn: dict[int | None, list[Dataset]] = {}
    for roi in items(dataset, "ROIContourSequence"):
        drawn.setdefault(whole(roi, "ReferencedROINumber"), []).extend(items(roi, "ContourSequence"))
    rois = items(dataset, "StructureSetROISequence")
    names = distinct(text(roi, "ROIName") or f"structure {place}" for place, roi in enumerate(rois, start=1))
    return tuple(
        Structure(name, _frame(dataset, roi), *_closed(drawn.get(whole(roi, "ROINumber"), [])))
        for name, roi in zip(names, rois)
    )


def _frame(dataset: Dataset, roi: Dataset) -> str | None:
    """Frame of reference of a structure: its own word, else that of the structure set."""
    own = text(roi, "ReferencedFrameOfReferenceUID")
    named = [text(one, "FrameOfReferenceUID") for one in items(dataset, "ReferencedFrameOfReferenceSequence")]
    return own or text(dataset, "FrameOfReferenceUID") or (named[0] if len(named) == 1 and named[0] else None)


def _closed(contours: Sequence[Dataset]) -> tuple[tuple[NDArray[np.float64], ...], tuple[str, ...]]:
    """Points of the closed contours, and notes on the others."""
    kept, open_ones, flat, twice = [], 0, 0, 0
    seen: set[bytes] = set()
    for contour in contours:
        if text(contour, "ContourGeometricType").upper() not in _CLOSED:
            open_ones += 1
            continue
        points = _points(contour)
        if len(points) < 3 or _area_mm2(points) < _SMALLEST_AREA_MM2:
            flat += 1
        elif points.tobytes() in seen:
            # By the even-odd rule a contour and its copy would be nothing.
            twice += 1
        else:
            seen.add(points.tobytes())
            kept.append(points)
    notes = [f"{open_ones} points or open contours are left out"] if open_ones else []
    notes += [f"{flat} contours without area are left out"] if flat else []
    notes += [f"{twice} contours that come twice count once"] if twice else []
    notes += [] if kept else ["it has no closed contour"]
    return tuple(kept), tuple(notes)


def _points(contour: Dataset) -> NDArray[np.float64]:
    """Points (n, 3) of a contour, RAS [mm]."""
    numbers = _numbers(contour)
    if len(numbers) % 3 or not np.abs(numbers).max() <= _FARTHEST_MM:
        raise DataError(
            "A contour of the RTSTRUCT does not consist of positions in millimetres",
            "Export the structure set again.",
        )
    offset = np.zeros(3)
    if contour.get("ContourOffsetVector") not in (None, ""):
        offset = np.array(decimals(contour, "ContourOffsetVector", 3))
    return lps_to_ras(numbers.reshape(-1, 3) + offset)


def _numbers(contour: Dataset) -> NDArray[np.float64]:
    """ContourData; straight from the bytes where nobody has looked at them, for there may be a million numbers."""
    raw: object = contour.get_item("ContourData") if "ContourData" in contour else None
    if not isinstance(raw, RawDataElement) or not raw.value:
        return np.array(decimals(contour, "ContourData"))
    try:
        return np.array(raw.value.rstrip(b"\0 ").split(b"\\")).astype(np.float64)
    except ValueError:
        raise DataError(
            "ContourData of the RTSTRUCT is not a list of numbers", "Export the structure set again."
        ) from None


def _area_mm2(points: NDArray[np.float64]) -> float:
    """Area of the triangles from the first point, none negative: 0 for points on a line, not for a figure of eight."""
    sides = points - points[0]
    return float(np.linalg.norm(np.cross(sides[1:-1], sides[2:]), axis=1).sum() / 2)


def _moved(points: NDArray[np.float64], matrix: NDArray[np.float64] | None) -> NDArray[np.float64]:
    return points if matrix is None else points @ matrix[:3, :3].T + matrix[:3, 3]
