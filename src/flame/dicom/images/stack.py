"""Whether frames are one regular stack of parallel slices, and if not, why."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flame.dicom.geometry import slice_normal
from flame.dicom.images.frames import SEND_AGAIN, Frame
from flame.errors import DataError

__all__ = ["Stack", "stacked"]

_SAME_DIRECTION = 1e-3
"""Cosines of one orientation differ by less; scanners round them to four or five decimals."""
_SAME_SPACING_MM = 1e-4
_SAME_PLACE_MM = 0.01
_EVEN = 0.01
_EVEN_MM = 0.02
"""Gaps of an even stack differ by less than 1 % or by less than positions are rounded."""
_TILT_DEGREES = 0.1


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames in order along the normal, and the vector from one to the next, LPS [mm]."""

    frames: tuple[Frame, ...]
    step: NDArray[np.float64]


def stacked(frames: Sequence[Frame]) -> Stack:
    """Put frames in order.

    Raises: DataError: see `convert.convert`; only what geometry tells.
    """
    _refuse_mixed(frames)
    normal = slice_normal(frames[0].orientation)
    positions = np.array([frame.position for frame in frames])
    depth = positions @ normal
    order = np.argsort(depth, kind="stable")
    ordered = [frames[int(i)] for i in order]
    if len(frames) == 1:
        raise DataError("The series holds a single slice: that is no volume", "Send the whole series.")
    gaps = np.diff(depth[order])
    _refuse_same_place(ordered, gaps)
    _refuse_uneven(gaps)
    _refuse_thinned(float(np.median(gaps)), frames)
    step = (positions[order[-1]] - positions[order[0]]) / (len(frames) - 1)
    _refuse_tilt(step, normal)
    return Stack(tuple(ordered), step)


def _refuse_mixed(frames: Sequence[Frame]) -> None:
    first = frames[0]
    stacks = {frame.marks.get("stack") for frame in frames}
    if len(stacks) > 1:
        raise DataError(f"The image holds {len(stacks)} stacks of slices", "Send them as series of their own.")
    sizes = sorted({(frame.rows, frame.columns) for frame in frames})
    if len(sizes) > 1:
        raise DataError(
            f"The slices have {len(sizes)} sizes, as {sizes[0]} and {sizes[1]} rows and columns", SEND_AGAIN
        )
    directions = np.array([frame.orientation for frame in frames])
    other = np.abs(directions - directions[0]).max(axis=1) > _SAME_DIRECTION
    if other.any():
        raise DataError(
            f"The slices have mixed orientations: {int(other.sum())} of {len(frames)} are not parallel to the first",
            "A localiser or a reformat may be among them: send the series without it.",
        )
    for frame in frames:
        if np.abs(np.subtract(frame.spacing, first.spacing)).max() > _SAME_SPACING_MM:
            raise DataError(f"The slices have mixed pixel sizes: {frame.spacing} mm and {first.spacing} mm", SEND_AGAIN)


def _refuse_same_place(frames: Sequence[Frame], gaps: NDArray[np.float64]) -> None:
    """Two frames at one place are named by what tells them apart."""
    at = np.flatnonzero(gaps < _SAME_PLACE_MM)
    if not at.size:
        return
    one, two = frames[int(at[0])].marks, frames[int(at[0]) + 1].marks
    causes = [name for name in one | two if one.get(name) != two.get(name)]
    seen = (
        sorted({frame.marks.get(causes[0], "") for frame in frames}, key=lambda one: (len(one), one)) if causes else []
    )
    values = f" ({', '.join(seen[:4])})" if len(seen) > 1 and all(map(_is_number, seen)) else ""
    why = f"they differ in {causes[0]}{values}" if causes else "nothing tells them apart"
    raise DataError(
        f"Several slices lie at one place ({at.size} times): {why}",
        "Send one echo, time point or weighting a series, and each image once.",
    )


def _is_number(mark: str) -> bool:
    return mark.replace(".", "", 1).isdigit()


def _refuse_uneven(gaps: NDArray[np.float64]) -> None:
    usual = float(np.median(gaps))
    wrong = np.flatnonzero(np.abs(gaps - usual) > max(_EVEN * usual, _EVEN_MM))
    if not wrong.size:
        return
    missing = 0
    for gap in gaps[wrong]:
        count = round(float(gap) / usual)
        if count < 2 or abs(float(gap) - count * usual) > max(_EVEN * usual, _EVEN_MM) * count:
            raise DataError(
                f"The slices are spaced unevenly: {gaps.min():.4g} to {gaps.max():.4g} mm",
                "FLAME does not interpolate: send the series as it was acquired.",
            )
        missing += count - 1
    place = int(wrong[0]) + 1
    raise DataError(
        f"{missing} slice{'s are' if missing > 1 else ' is'} missing, the first between slices {place} and {place + 1} "
        f"of {len(gaps) + 1}: {gaps[wrong[0]]:.4g} mm where others are {usual:.4g} mm apart",
        "Send the whole series again.",
    )


def _refuse_thinned(usual: float, frames: Sequence[Frame]) -> None:
    """Every second slice may be missing, as of an interleaved series that was sent in half."""
    stated = frames[0].stated_step
    times = round(usual / stated) if stated else 1
    if stated and times > 1 and abs(usual - times * stated) <= _EVEN * usual:
        raise DataError(
            f"Slices are {usual:.4g} mm apart where the header states {stated:.4g} mm: others between them are missing",
            "Send the whole series again.",
        )


def _refuse_tilt(step: NDArray[np.float64], normal: NDArray[np.float64]) -> None:
    along = float(step @ normal)
    tilt = math.degrees(math.atan2(float(np.linalg.norm(step - along * normal)), along))
    if tilt > _TILT_DEGREES:
        raise DataError(
            f"The stack is sheared by {tilt:.1f} degrees (a tilted gantry): its voxels are no boxes",
            "Send a series that was acquired or reformatted without tilt.",
        )
