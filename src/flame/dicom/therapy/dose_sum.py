"""The dose of a whole course from the doses of its plans, fraction groups and beams."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from flame.dicom.therapy.alignments import common_frame
from flame.dicom.therapy.courses import DatedCourse, Part
from flame.dicom.therapy.dose import Dose, DoseKind, Summation
from flame.errors import DataError
from flame.records.intake import Alignment
from flame.records.volume import Grid, Volume

__all__ = ["CourseDoses", "added", "course_doses"]

_MOST_VOXELS = 2**28
_DIGITS = 6
_ONE_FRACTION = (0.9, 1.3)
"""Highest dose over the prescription of one fraction, if a dose is that of one fraction."""


@dataclass(frozen=True, eq=False)
class CourseDoses:
    """Doses of a whole course: `dose` physical [Gy], `dose_rbe` RBE-weighted [Gy(RBE)]; None where one is not known.

    `doubts` are what a person has to look at, for if it is as it looks the dose is wrong.
    """

    dose: Dose | None
    dose_rbe: Dose | None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def course_doses(doses: Sequence[Dose], course: DatedCourse, alignments: Sequence[Alignment] = ()) -> CourseDoses:
    """What a course gave, voxel by voxel.

    Of each plan its own dose counts, else the sum of all its fraction groups, else of all its beams; doses of one
    session are multiplied by the fractions. A sum that lacks a part is not made. Photons count in an RBE-weighted sum
    with ions as they are, with an RBE of 1.

    Args:
        doses: of the patient; those of other courses are passed by.
        alignments: between frames of reference, where plans lie in different ones.

    Raises: DataError: if doses lie in frames that nothing links.
    """
    physical, notes, doubts = _total(doses, course, "PHYSICAL", alignments)
    weighted = None
    if _weighted(doses, course):
        weighted, more, doubted = _total(doses, course, "EFFECTIVE", alignments)
        notes, doubts = [*notes, *more], [*doubts, *doubted]
    return CourseDoses(physical, weighted, tuple(dict.fromkeys(notes)), tuple(dict.fromkeys(doubts)))


def added(doses: Sequence[Dose], alignments: Sequence[Alignment] = ()) -> Dose:
    """The sum of doses of one kind.

    Doses on other grids are brought linearly onto the lattice of the finest, which is made large enough for all of
    them; beyond its own grid a dose is 0. A note says so.

    Raises: DataError: if they are of different kinds, or lie in frames of reference that no alignment links.
    """
    if len({dose.kind for dose in doses}) != 1:
        raise DataError("Physical and RBE-weighted doses cannot be added", "Give doses of one kind.")
    first = min(doses, key=lambda one: abs(float(np.linalg.det(one.volume.grid.affine[:3, :3]))))
    notes = [note for dose in doses for note in dose.notes]
    placed = [_in_frame(dose, first, alignments) for dose in doses]
    if all(one.grid.matches(first.volume.grid) for one in placed):
        total = np.sum([one.array for one in placed], axis=0, dtype=np.float32)
        grid = first.volume.grid
    else:
        grid = _around(first.volume.grid, [one.grid for one in placed])
        total = np.sum([_sampled(one, grid) for one in placed], axis=0, dtype=np.float32)
        notes.append("doses on different grids were brought linearly onto the finest")
    plans = tuple(dict.fromkeys(plan for dose in doses for plan in dose.plans))
    summation: Summation = "PLAN" if len(plans) < 2 else "MULTI_PLAN"
    return Dose(
        Volume(np.asarray(total), grid), first.kind, summation, first.frame, plans, notes=tuple(dict.fromkeys(notes))
    )


def _weighted(doses: Sequence[Dose], course: DatedCourse) -> bool:
    """Whether any dose of the course is RBE-weighted."""
    uids = {part.plan.uid for part in course.parts}
    return any(dose.kind == "EFFECTIVE" and uids & set(dose.plans) for dose in doses)


def _total(
    doses: Sequence[Dose], course: DatedCourse, kind: DoseKind, alignments: Sequence[Alignment]
) -> tuple[Dose | None, list[str], list[str]]:
    """The sum of one kind, notes, and doubts."""
    uids = {part.plan.uid for part in course.parts}
    whole = [dose for dose in doses if dose.kind == kind and set(dose.plans) == uids]
    several = [dose for dose in whole if dose.summation == "MULTI_PLAN"]
    if len(uids) > 1 and len(several) == 1 and all(part.share == 1 for part in course.parts):
        return several[0], list(several[0].notes), _one_fraction(several[0], course.fractions, course.prescription_gy)
    found, notes, doubts = [], [], []
    for part in course.parts:
        own = [dose for dose in doses if dose.plans == (part.plan.uid,)]
        dose, seen = _of_part(part, [one for one in own if one.kind == kind], alignments)
        if dose is None and kind == "EFFECTIVE" and part.plan.particle == "photon":
            dose, seen = _of_part(part, [one for one in own if one.kind == "PHYSICAL"], alignments)
            dose = None if dose is None else replace(dose, kind="EFFECTIVE")
            seen = [*seen, "photons count in the RBE-weighted dose with an RBE of 1"]
        notes += seen
        if dose is not None:
            found.append(dose)
            doubts += _one_fraction(dose, part.plan.fractions, part.plan.prescription_gy * part.share)
    if len(found) < len(course.parts):
        if found or notes:
            notes.append(f"no {_WORDS[kind]} dose of the course: {len(found)} of {len(course.parts)} plans have one")
        return None, notes, []
    total = added(found, alignments)
    return total, [*notes, *total.notes], doubts


_WORDS: dict[DoseKind, str] = {"PHYSICAL": "physical", "EFFECTIVE": "RBE-weighted"}


def _of_part(part: Part, doses: Sequence[Dose], alignments: Sequence[Alignment]) -> tuple[Dose | None, list[str]]:
    """Dose of the fractions of a plan that were given; None if it is not there as a whole."""
    notes: list[str] = []
    for parts in (
        [dose for dose in doses if dose.summation == "PLAN"],
        _groups(part, [dose for dose in doses if dose.summation == "FRACTION"]),
        _beams(part, [dose for dose in doses if dose.summation == "BEAM"]),
        _sessions(part, doses),
    ):
        whole_plan = bool(parts) and parts[0].summation == "PLAN"
        if whole_plan and len(parts) > 1:
            if not all(_same(parts[0], one) for one in parts[1:]):
                return None, ["a plan has several doses that differ"]
            parts = parts[:1]
        if parts:
            dose = parts[0] if len(parts) == 1 else added(parts, alignments)
            if not whole_plan:
                notes.append(f"the dose of a plan is the sum of {len(parts)} of its {parts[0].summation} doses")
            if part.share < 1:
                notes.append(f"a plan's dose counts for {part.fractions} of {part.plan.fractions} fractions")
                dose = _times(dose, part.share)
            return dose, notes
    if any(dose.summation in ("BEAM", "BEAM_SESSION", "FRACTION", "FRACTION_SESSION") for dose in doses):
        notes.append("doses of some beams or fraction groups of a plan are missing, or come twice")
    return None, notes


def _groups(part: Part, doses: Sequence[Dose]) -> list[Dose]:
    """One dose for each fraction group, or none."""
    planned = [number for number, _ in part.plan.groups]
    named = [planned[0] if dose.fraction_group is None and len(planned) == 1 else dose.fraction_group for dose in doses]
    return list(doses) if sorted(map(str, named)) == sorted(map(str, planned)) else []


def _beams(part: Part, doses: Sequence[Dose]) -> list[Dose]:
    """Doses that together hold each beam of the plan once, or none."""
    held = sorted(number for dose in doses for number in dose.beams)
    return list(doses) if held and held == sorted(part.plan.beams) else []


def _sessions(part: Part, doses: Sequence[Dose]) -> list[Dose]:
    """Doses of one session times the fractions of their group."""
    counts = dict(part.plan.groups)
    only = next(iter(counts)) if len(counts) == 1 else None
    groups = _groups(part, [dose for dose in doses if dose.summation == "FRACTION_SESSION"])
    beams = _beams(part, [dose for dose in doses if dose.summation == "BEAM_SESSION"])
    scaled = []
    for dose in groups or beams:
        group = dose.fraction_group if dose.fraction_group in counts else only
        if group is None:
            return []
        scaled.append(_times(dose, counts[group]))
    return scaled


def _times(dose: Dose, factor: float) -> Dose:
    array = np.asarray(dose.volume.array * np.float32(factor), np.float32)
    return replace(dose, volume=Volume(array, dose.volume.grid))


def _same(one: Dose, other: Dose) -> bool:
    return one.volume.grid.matches(other.volume.grid) and bool(np.array_equal(one.volume.array, other.volume.array))


def _one_fraction(dose: Dose, fractions: int, prescription_gy: float) -> list[str]:
    """A doubt if a dose looks like that of one of several fractions."""
    highest = float(dose.volume.array.max())
    if fractions == 1 or not _ONE_FRACTION[0] <= highest * fractions / prescription_gy <= _ONE_FRACTION[1]:
        return []
    return [
        f"the dose reaches {highest:.3g} of {prescription_gy:.4g} Gy: it looks like that of one fraction, under the "
        "name of all"
    ]


def _in_frame(dose: Dose, first: Dose, alignments: Sequence[Alignment]) -> Volume:
    """The dose where it lies in the frame of reference of another."""
    if dose.frame == first.frame:
        return dose.volume
    known = dose.frame is not None and first.frame is not None
    matrix = common_frame(dose.frame or "", first.frame or "", alignments) if known else None
    if matrix is None:
        raise DataError(
            "Doses of one course lie in frames of reference that nothing links",
            "Export the registration of the planning images, or the dose of the plan sum.",
        )
    return Volume(dose.volume.array, Grid(dose.volume.grid.shape, np.asarray(matrix @ dose.volume.grid.affine)))


def _around(lattice: Grid, grids: Sequence[Grid]) -> Grid:
    """A grid on the lattice of one that holds all of them."""
    inverse = np.linalg.inv(lattice.affine)
    corners = []
    for grid in grids:
        ends = np.stack(np.meshgrid(*[(0, size - 1) for size in grid.shape], indexing="ij"), axis=-1).reshape(-1, 3)
        matrix = inverse @ grid.affine
        corners.append(np.round(ends @ matrix[:3, :3].T + matrix[:3, 3], 3))
    low = np.floor(np.min(corners, axis=(0, 1))).astype(np.int64)
    high = np.ceil(np.max(corners, axis=(0, 1))).astype(np.int64)
    x, y, z = (int(size) for size in high - low + 1)
    if x * y * z > _MOST_VOXELS:
        raise DataError("Doses of one course lie too far apart to be added", "Check that they belong together.")
    affine = lattice.affine.copy()
    affine[:3, 3] = lattice.affine[:3, :3] @ low + lattice.affine[:3, 3]
    return Grid((x, y, z), affine)


def _sampled(volume: Volume, grid: Grid) -> NDArray[np.float32]:
    """A volume on another grid, linearly; 0 beyond its own."""
    matrix = np.linalg.inv(volume.grid.affine) @ grid.affine
    result = np.empty(grid.shape, np.float32)
    for x in range(grid.shape[0]):
        lattice = np.stack(np.meshgrid([x], range(grid.shape[1]), range(grid.shape[2]), indexing="ij"))
        where = np.tensordot(matrix[:3, :3], lattice, axes=1) + matrix[:3, 3, None, None, None]
        # Rounded, so that a voxel on the edge does not fall off it by the last digit.
        result[x : x + 1] = map_coordinates(volume.array, np.round(where, _DIGITS), order=1, mode="constant")
    return result
