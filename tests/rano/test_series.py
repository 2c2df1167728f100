"""From label maps to readings: targets, new lesions, what is no target, what is borderline."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from flame.rano.criteria import assess
from flame.rano.presets import RANO_2, RANO_2010
from flame.rano.readings import Reading
from flame.rano.series import NON_TARGET_FLOOR_ML, Findings, Scan, read
from flame.records.patient import LABELS

SPACING = (1.0, 1.0, 1.0)
SHAPE = (70, 40, 14)
BY_DIAMETERS = replace(RANO_2010, baseline="post_rt", max_targets=1)

LARGE = (2, 22, 2, 22)
SMALL = (40, 54, 2, 16)
AWAY = (40, 54, 22, 36)


def labels(*boxes: tuple[int, int, int, int], label: str = "ET", depth: int = 8) -> NDArray[np.uint8]:
    """A label map of boxes (x from, x to, y from, y to) on slices from 3 on."""
    found = np.zeros(SHAPE, np.uint8)
    for left, right, front, back in boxes:
        found[left:right, front:back, 3 : 3 + depth] = LABELS[label]
    return found


def findings(*maps: NDArray[np.uint8] | None, criteria=RANO_2, first: int = 28, **options) -> tuple[Findings, ...]:
    return read([Scan(first + 60 * place, one) for place, one in enumerate(maps)], SPACING, criteria, **options)


def readings(*maps: NDArray[np.uint8] | None, **options) -> list[Reading]:
    return [one.reading for one in findings(*maps, **options)]


def test_volumes_are_of_enhancing_tumour_and_of_the_core_and_specks_are_none() -> None:
    one = labels(LARGE)
    one[30:34, 2:6, 3:7] = LABELS["NETC"]
    one[60:62, 30:32, 3] = LABELS["ET"]  # 4 mm3
    (reading,) = readings(one)
    assert reading.et_ml == pytest.approx(20 * 20 * 8 / 1000)
    assert reading.tc_ml == pytest.approx(20 * 20 * 8 / 1000 + 0.064 + 0.004)
    (gone,) = readings(np.where(labels((60, 62, 30, 32), depth=1), 3, 0).astype(np.uint8))
    assert gone.et_ml == 0.0
    assert gone.measurable is False


def test_an_exam_without_a_label_map_shows_nothing() -> None:
    reading = readings(labels(LARGE), None)[1]
    assert (reading.et_ml, reading.spd_mm2, reading.measurable, reading.new_lesion) == (None, None, None, None)


def test_targets_are_chosen_at_the_baseline_and_stay_the_same_lesions() -> None:
    shrunk = (2, 12, 2, 12)
    before, after = findings(labels(LARGE, SMALL), labels(shrunk, SMALL), criteria=BY_DIAMETERS)
    assert before.targets == (0,)
    assert before.reading.spd_mm2 == pytest.approx(before.measurement.lesions[0].product_mm2)
    assert after.targets == (1,)  # the other lesion is the larger one now
    assert after.reading.spd_mm2 == pytest.approx(after.measurement.lesions[1].product_mm2)
    assert after.reading.spd_mm2 < after.measurement.lesions[0].product_mm2


def test_an_exam_before_the_baseline_chooses_no_targets() -> None:
    found = findings(labels(SMALL), labels(LARGE, SMALL), labels(LARGE, SMALL), first=-32, criteria=BY_DIAMETERS)
    assert [one.reading.horizon for one in found] == [-32, 28, 88]
    assert [len(one.targets) for one in found] == [1, 1, 1]
    assert found[2].measurement.lesions[found[2].targets[0]].volume_ml == pytest.approx(3.2)  # the large one


def test_parts_of_a_target_and_what_it_merges_with_are_the_target() -> None:
    parts = labels((2, 10, 2, 22), (13, 22, 2, 22))
    split = findings(labels(LARGE), parts, criteria=BY_DIAMETERS)[1]
    assert split.targets == (0, 1)
    assert split.reading.new_lesion == "none"
    merged = findings(labels((2, 12, 2, 22), (14, 30, 2, 22)), labels((2, 30, 2, 22)), criteria=BY_DIAMETERS)[1]
    assert merged.targets == (0,)
    again = findings(
        labels((2, 12, 2, 22), (14, 30, 2, 22)), labels((2, 30, 2, 22)), labels(LARGE), criteria=BY_DIAMETERS
    )[2]
    assert again.targets == (0,)


def test_a_new_lesion_counts_from_when_it_is_measurable() -> None:
    speck = (40, 46, 22, 28)
    found = readings(labels(LARGE), labels(LARGE, speck), labels(LARGE, AWAY))
    assert [one.new_lesion for one in found] == ["none", "none", "side_unknown"]


@pytest.mark.parametrize(("edge", "side"), [(60, "in_field"), (44, "out_field")])
def test_the_side_of_a_new_lesion_is_that_of_the_high_dose(edge: int, side: str) -> None:
    field = np.zeros(SHAPE, bool)
    field[:edge] = True
    assert readings(labels(LARGE), labels(LARGE, AWAY), high_dose=field)[1].new_lesion == side


def test_a_lesion_that_was_there_before_the_baseline_is_not_new_when_it_returns() -> None:
    found = readings(labels(LARGE, AWAY), labels(LARGE), labels(LARGE, AWAY), first=-32)
    assert [one.new_lesion for one in found] == ["none", "none", "none"]


def test_a_lesion_that_was_removed_is_new_when_it_returns() -> None:
    both, left = labels(LARGE, AWAY), labels(LARGE)
    scans = [Scan(28, both), Scan(90, left, surgery=True), Scan(160, both)]
    assert [one.reading.new_lesion for one in read(scans, SPACING)] == ["none", "none", "side_unknown"]


def test_growth_of_what_is_no_target_is_told_where_diameters_count() -> None:
    grown = (40, 54, 2, 23)  # 1.6 to 2.4 ml, + 50 %
    by_diameters = readings(labels(LARGE, SMALL), labels(LARGE, grown), criteria=BY_DIAMETERS)
    assert [one.non_target_worse for one in by_diameters] == [False, True]
    by_volume = readings(labels(LARGE, SMALL), labels(LARGE, grown))
    assert [one.non_target_worse for one in by_volume] == [False, False]  # the volume holds it already
    little = readings(labels(LARGE, (40, 45, 2, 8)), labels(LARGE, (40, 46, 2, 12)), criteria=BY_DIAMETERS)
    assert 0.24 * 1.4 < 0.48 < 0.24 + NON_TARGET_FLOOR_ML  # doubled, but too little to measure
    assert little[1].non_target_worse is False


def test_diameters_near_ten_millimetres_may_be_otherwise() -> None:
    clear, near = (2, 22, 2, 22), (40, 54, 2, 11)  # 10.7 mm across
    assert readings(labels(clear), labels(clear))[1].otherwise is None
    assert readings(labels(clear), labels(clear, near))[1].otherwise == (True, "none")
    assert readings(labels(near))[0].otherwise == (False, "none")
    short = readings(labels((40, 54, 2, 10)))[0]
    assert short.measurable is False
    assert short.otherwise == (True, "none")


def test_a_borderline_baseline_makes_a_response_indeterminate() -> None:
    shrunk, rules = labels((40, 44, 2, 8)), replace(RANO_2, clinical=False, steroids=False)
    found = findings(labels((40, 54, 2, 11)), shrunk)
    call = assess([one.reading for one in found], rules)[1]
    assert (call.status, call.indeterminate) == ("PR", True)
    found = findings(labels((40, 60, 2, 17)), shrunk)
    call = assess([one.reading for one in found], rules)[1]
    assert (call.status, call.indeterminate) == ("PR", False)


def test_what_the_chart_says_goes_through() -> None:
    scans = [
        Scan(28, labels(LARGE), clinical_worse=False, steroid_mg=4.0, surgery=False),
        Scan(90, None, True, None, True),
    ]
    first, second = (one.reading for one in read(scans, SPACING))
    assert (first.clinical_worse, first.steroid_mg, first.surgery) == (False, 4.0, False)
    assert (second.clinical_worse, second.steroid_mg, second.surgery) == (True, None, True)
    assert (first.t2_worse, second.t2_worse) == (None, None)  # needs a reader


def test_label_maps_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="0 to 4"):
        readings(np.full(SHAPE, 5, np.uint8))
    with pytest.raises(ValueError, match="one grid"):
        readings(labels(LARGE), np.zeros((4, 4, 4), np.uint8))
    with pytest.raises(ValueError, match="order of time"):
        read([Scan(30, None), Scan(28, None)], SPACING)
