"""Lesions over exams: overlap, distance, splitting, merging, vanishing, returning, and the side of the field."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from flame.rano.lesions import ExamLesions, MatchingRule, follow, high_dose_region

SPACING = (1.0, 1.0, 1.0)
SHAPE = (60, 40, 12)


def exam(*boxes: tuple[int, int, int, int]) -> NDArray[np.int16]:
    """A lesion map of boxes (x from, x to, y from, y to), all on slices 3 to 8, numbered in order."""
    lesions = np.zeros(SHAPE, np.int16)
    for number, (left, right, front, back) in enumerate(boxes, start=1):
        lesions[left:right, front:back, 3:9] = number
    return lesions


def events(exams: tuple[ExamLesions | None, ...]) -> list[list[tuple[int, str]] | None]:
    return [None if one is None else [(s.track, s.event) for s in one.sightings] for one in exams]


def test_a_lesion_that_overlaps_itself_goes_on() -> None:
    found = follow([exam((5, 15, 5, 15)), exam((8, 20, 5, 17))], SPACING)
    assert events(found) == [[(0, "first")], [(0, "continues")]]


def test_neighbours_keep_their_tracks_whatever_their_order_in_the_exam() -> None:
    found = follow([exam((5, 15, 5, 15), (20, 30, 5, 15)), exam((20, 32, 5, 15), (4, 15, 5, 15))], SPACING)
    assert events(found)[1] == [(1, "continues"), (0, "continues")]


def test_what_overlaps_nothing_is_matched_by_distance_up_to_the_reach() -> None:
    first, moved = exam((5, 9, 5, 9)), exam((11, 15, 5, 9))  # centres are 6 mm apart
    assert events(follow([first, moved], SPACING))[1] == [(0, "continues")]
    assert events(follow([first, moved], SPACING, rule=MatchingRule(reach_mm=5.9)))[1] == [(1, "new")]
    assert events(follow([first, moved], (2.0, 1.0, 1.0)))[1] == [(1, "new")]  # 12 mm on this grid


def test_distances_are_shared_out_so_that_their_sum_is_least() -> None:
    # One by one, the lesion at 13 would take the track at 10 and leave the one at 4 without any: 9 mm in all is less
    # than 3 mm and a new lesion.
    first, second = exam((4, 6, 5, 7), (10, 12, 5, 7)), exam((13, 15, 5, 7), (7, 9, 5, 7))
    assert events(follow([first, second], SPACING))[1] == [(1, "continues"), (0, "continues")]


def test_a_lesion_that_splits_makes_no_new_one() -> None:
    found = follow([exam((5, 30, 5, 15)), exam((5, 10, 5, 15), (15, 30, 5, 15))], SPACING)
    assert found[1] is not None
    assert events(found)[1] == [(1, "split"), (0, "continues")]  # the larger part keeps the track
    assert found[1].sightings[0].former == (0,)
    assert found[1].new == ()


def test_merged_lesions_end_on_the_track_of_the_larger_and_do_not_vanish() -> None:
    found = follow([exam((5, 10, 5, 15), (15, 30, 5, 15)), exam((5, 30, 5, 15)), exam((5, 10, 5, 15))], SPACING)
    assert events(found)[1:] == [[(1, "merged")], [(1, "continues")]]
    assert found[1] is not None
    assert found[1].sightings[0].former == (0, 1)
    assert found[1].vanished == ()


def test_a_lesion_that_vanishes_is_named_once_and_may_return() -> None:
    one, none = exam((5, 15, 5, 15)), exam()
    found = follow([one, none, none, one], SPACING)
    assert [one.vanished for one in found if one is not None] == [(), (0,), (), ()]
    assert events(found)[3] == [(0, "returns")]


def test_growing_over_the_place_of_a_lesion_that_is_gone_is_no_merger() -> None:
    found = follow([exam((5, 10, 5, 15), (20, 30, 5, 15)), exam((20, 30, 5, 15)), exam((6, 30, 5, 15))], SPACING)
    assert events(found)[2] == [(1, "continues")]


def test_an_exam_without_outlines_says_nothing() -> None:
    one = exam((5, 15, 5, 15))
    found = follow([one, None, one], SPACING)
    assert events(found) == [[(0, "first")], None, [(0, "continues")]]


def test_a_new_lesion_lies_where_most_of_it_lies() -> None:
    # RANO 2010: the majority of new enhancement outside the field, e.g. beyond the 80 % isodose.
    dose = np.zeros(SHAPE)
    dose[:40] = 48.0
    field = high_dose_region(dose, 60.0)
    assert field[:40].all()
    assert not field[40:].any()
    old = (5, 15, 5, 15)
    for box, side in (((30, 38, 20, 30), "in_field"), ((34, 42, 20, 30), "in_field"), ((38, 46, 20, 30), "out_field")):
        found = follow([exam(old), exam(old, box)], SPACING, high_dose=field)[1]
        assert found is not None
        assert found.sightings[1].side == side
        assert found.sightings[0].side is None
    without_dose = follow([exam(old), exam(old, (30, 38, 20, 30))], SPACING)[1]
    assert without_dose is not None
    assert without_dose.sightings[1].side is None
    assert without_dose.new == (1,)


def test_grids_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="one grid"):
        follow([exam(), np.zeros((4, 4, 4), np.int16)], SPACING)
    with pytest.raises(ValueError, match="without gaps"):
        follow([exam((5, 9, 5, 9)) * 2], SPACING)
    with pytest.raises(ValueError, match="overlap"):
        MatchingRule(overlap=0.0)
    with pytest.raises(ValueError, match="prescription"):
        high_dose_region(np.zeros(SHAPE), 0.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5))
def test_every_lesion_has_one_track_and_later_exams_change_nothing(seeds: list[int]) -> None:
    maps = []
    for seed in seeds:
        mask = np.random.default_rng(seed).random((10, 10, 4)) < 0.08
        maps.append(ndimage.label(mask, np.ones((3, 3, 3)))[0])
    found = follow(maps, SPACING, rule=MatchingRule(reach_mm=3.0))
    for one, lesions in zip(found, maps, strict=True):
        assert one is not None
        tracks = [sighting.track for sighting in one.sightings]
        assert len(tracks) == len(set(tracks)) == lesions.max()
        assert not set(one.vanished) & set(tracks)
    assert follow(maps[:-1], SPACING, rule=MatchingRule(reach_mm=3.0)) == found[:-1]
