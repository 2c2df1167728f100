"""Lesions over exams: which lesion of an exam is which of those before, and where new ones lie.

A track is one lesion followed through a patient's exams, which lie on one grid. Lesions go on the tracks that they
overlap, so that as many voxels as possible stay on their track; what overlaps nothing goes on a near track, so that the
sum of distances is least. Splitting and merging make no new lesion.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

__all__ = ["Event", "ExamLesions", "MatchingRule", "Side", "Sighting", "follow", "high_dose_region"]

Event = Literal["first", "continues", "split", "merged", "returns", "new"]
Side = Literal["in_field", "out_field"]
LesionMap = NDArray[np.integer[Any]]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MatchingRule:
    """When two outlines are one lesion. The numbers are conventions of FLAME; no criteria state any.

    Args:
        overlap: share of the smaller of two outlines that lies in the other, from which on they are one lesion.
        reach_mm: largest distance between the centres of two outlines that do not overlap and are one lesion.
    """

    overlap: float = 0.1
    reach_mm: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.overlap <= 1 or not self.reach_mm >= 0:
            raise ValueError(f"overlap must be in (0, 1] and reach_mm >= 0, got {self.overlap} and {self.reach_mm}")


@dataclass(frozen=True)
class Sighting:
    """A lesion of an exam on its track.

    `former` are the tracks that it comes from: those that merged into it, or the one that it split from. `side` tells
    where a new lesion lies; None if there is no dose, or it is not new.
    """

    track: int
    event: Event
    former: tuple[int, ...] = ()
    side: Side | None = None


@dataclass(frozen=True)
class ExamLesions:
    """Sightings of an exam's lesions, in their order, and the tracks that were seen at the exam before and are gone."""

    sightings: tuple[Sighting, ...]
    vanished: tuple[int, ...]

    @property
    def new(self) -> tuple[int, ...]:
        """Places of the lesions that are new, in the exam's order."""
        return tuple(place for place, sighting in enumerate(self.sightings) if sighting.event == "new")


def follow(
    lesion_maps: Sequence[LesionMap | None],
    spacing_mm: Sequence[float],
    *,
    high_dose: Mask | None = None,
    rule: MatchingRule | None = None,
) -> tuple[ExamLesions | None, ...]:
    """Follow lesions through exams.

    Args:
        lesion_maps: one per exam, in order of time and on one grid: 0 for none, 1 for the exam's first lesion, and so
            on, as `Measurement.lesion_map`; None where an exam was not outlined, which says nothing about lesions.
        spacing_mm: edges of a voxel [mm].
        high_dose: the high-dose region, see `high_dose_region`; None if no dose is known.
        rule: when two outlines are one lesion.

    Returns: one for each exam; None where there was no map.
    Raises: ValueError: if maps differ in shape.
    """
    shapes = {one.shape for one in (*lesion_maps, high_dose) if one is not None}
    if len(shapes) > 1:
        raise ValueError(f"all maps must lie on one grid, got shapes {sorted(shapes)}")
    tracks = _Tracks(np.asarray(spacing_mm, np.float64), rule or MatchingRule(), high_dose)
    return tuple(None if one is None else tracks.see(one) for one in lesion_maps)


def high_dose_region(dose_gy: NDArray[np.floating[Any]], prescription_gy: float, share: float = 0.8) -> Mask:
    """Inside of the isodose of a share of the prescription: RANO's radiation field (Wen et al. 2010: 80 %).

    Args:
        dose_gy: of the whole course, weighted as the prescription is [Gy or Gy(RBE)].
        prescription_gy: prescribed dose [Gy or Gy(RBE)], > 0.
        share: of the prescription.
    """
    if not prescription_gy > 0:
        raise ValueError(f"a prescription is > 0 Gy, got {prescription_gy}")
    region: Mask = np.asarray(dose_gy >= share * prescription_gy)
    return region


@dataclass(frozen=True, eq=False)
class _Outline:
    """Voxels of a lesion, as places in the flattened grid, and its centre [mm]."""

    voxels: NDArray[np.int64]
    centre: NDArray[np.float64]


@dataclass(eq=False)
class _Tracks:
    """What is known of all tracks after the exams so far: the last outline of each, and which are seen now."""

    spacing: NDArray[np.float64]
    rule: MatchingRule
    high_dose: Mask | None
    last: list[_Outline] = field(default_factory=list)
    present: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    begun: bool = False

    def see(self, lesion_map: LesionMap) -> ExamLesions:
        """Take up the next exam."""
        outlines = list(_outlines(lesion_map, self.spacing))
        shares = self._shares(outlines)
        own = self._own_tracks(outlines, shares)
        before = self.present
        sightings = [self._sighting(place, outlines, shares, own) for place in range(len(outlines))]
        for place, sighting in enumerate(sightings):
            self.last[sighting.track] = outlines[place]
            if sighting.event == "merged":
                self.ended |= set(sighting.former) - {sighting.track}
        self.present = {sighting.track for sighting in sightings}
        self.begun = True
        return ExamLesions(tuple(sightings), tuple(sorted(before - self.present - self.ended)))

    def _shares(self, outlines: Sequence[_Outline]) -> NDArray[np.float64]:
        """Overlap of each lesion with each track, relative to the smaller; 0 below the rule's bound."""
        shares = np.zeros((len(outlines), len(self.last)))
        for place, outline in enumerate(outlines):
            for track, known in enumerate(self.last):
                if track not in self.ended:
                    common = np.intersect1d(outline.voxels, known.voxels, assume_unique=True).size
                    shares[place, track] = common / min(outline.voxels.size, known.voxels.size)
        return np.where(shares >= self.rule.overlap, shares, 0.0)

    def _own_tracks(self, outlines: Sequence[_Outline], shares: NDArray[np.float64]) -> dict[int, int]:
        """The track that each lesion goes on, by overlap in voxels first, then by distance; some lesions have none."""
        sizes = np.array([[min(a.voxels.size, b.voxels.size) for b in self.last] for a in outlines])
        own = dict(_assigned(-shares * sizes.reshape(shares.shape), shares > 0, otherwise=0.0))
        free_lesions = [place for place in range(len(outlines)) if not shares[place].any()]
        free_tracks = [track for track in range(len(self.last)) if not shares[:, track].any()]
        free_tracks = [track for track in free_tracks if track not in self.ended]
        distance = np.array(
            [[np.linalg.norm(outlines[a].centre - self.last[b].centre) for b in free_tracks] for a in free_lesions]
        ).reshape(len(free_lesions), len(free_tracks))
        far = 1.0 + float(distance.sum())
        for place, track in _assigned(distance, distance <= self.rule.reach_mm, otherwise=far):
            own[free_lesions[place]] = free_tracks[track]
        return own

    def _sighting(
        self, place: int, outlines: Sequence[_Outline], shares: NDArray[np.float64], own: dict[int, int]
    ) -> Sighting:
        overlapped = [int(track) for track in np.flatnonzero(shares[place])]
        if place in own:
            track = own[place]
            absorbed = [other for other in overlapped if other in self.present and other not in own.values()]
            if absorbed:
                return Sighting(track, "merged", tuple(sorted((track, *absorbed))))
            return Sighting(track, "continues" if track in self.present else "returns")
        track = len(self.last)
        self.last.append(outlines[place])
        if overlapped:
            return Sighting(track, "split", (int(np.argmax(shares[place])),))
        return Sighting(track, "new" if self.begun else "first", side=self._side(outlines[place]))

    def _side(self, outline: _Outline) -> Side | None:
        """Where most of a lesion lies (Wen et al. 2010: the majority of new enhancement); only new ones are asked."""
        if self.high_dose is None or not self.begun:
            return None
        return "in_field" if self.high_dose.ravel()[outline.voxels].mean() > 0.5 else "out_field"


def _outlines(lesion_map: LesionMap, spacing: NDArray[np.float64]) -> Iterator[_Outline]:
    for number, box in enumerate(ndimage.find_objects(lesion_map), start=1):
        if box is None:
            raise ValueError(f"lesions are numbered from 1 without gaps; there is no {number}")
        places = np.argwhere(lesion_map[box] == number) + [part.start for part in box]
        yield _Outline(np.ravel_multi_index(tuple(places.T), lesion_map.shape), (places.mean(0) + 0.5) * spacing)


def _assigned(cost: NDArray[np.float64], allowed: Mask, otherwise: float) -> Iterator[tuple[int, int]]:
    """Pairs (row, column) of the assignment with the least cost, where a pair that is not allowed costs `otherwise`."""
    for row, column in zip(*linear_sum_assignment(np.where(allowed, cost, otherwise)), strict=True):
        if allowed[row, column]:
            yield int(row), int(column)
