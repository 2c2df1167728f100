"""The volumetric rule of disease control, one hand-made series a rule. Horizons in days, volumes in ml."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame.rano.endpoints import Assessment, VolumetricRule, assess, disease_control


def series(*exams: tuple[int, float | None]) -> list[Assessment]:
    return [Assessment(horizon, volume) for horizon, volume in exams]


def test_stable_to_the_day_is_control() -> None:
    assert disease_control(series((28, 10.0), (91, 10.0), (182, 13.9))) is True


def test_forty_percent_over_baseline_is_progression_bound_included() -> None:
    assert disease_control(series((28, 10.0), (182, 13.99))) is True
    assert disease_control(series((28, 10.0), (182, 14.0))) is False


def test_growth_counts_from_the_nadir_not_from_the_baseline() -> None:
    assert disease_control(series((28, 20.0), (91, 5.0), (182, 7.0))) is False


def test_the_nadir_never_includes_the_exam_that_is_judged() -> None:
    assert disease_control(series((28, 20.0), (182, 5.0))) is True  # an exam is no progression over itself
    assert disease_control(series((28, 5.0), (91, 7.0), (182, 7.0))) is False  # 7 at +91 is judged against 5


def test_exams_before_radiotherapy_and_before_the_baseline_are_no_nadir() -> None:
    assert disease_control(series((-60, 1.0), (7, 2.0), (28, 10.0), (182, 11.0))) is True


def test_a_baseline_between_three_and_five_weeks_is_preferred() -> None:
    assert disease_control(series((15, 5.0), (30, 10.0), (182, 12.0))) is True  # over 5 it would be progression
    assert disease_control(series((15, 10.0), (91, 10.0), (182, 12.0))) is True  # but a wider window will do


@pytest.mark.parametrize("horizon", [13, 61])
def test_without_a_baseline_nothing_is_known(horizon: int) -> None:
    assert disease_control(series((horizon, 10.0), (182, 10.0))) is None


def test_growth_too_small_to_measure_is_no_progression() -> None:
    assert disease_control(series((28, 0.3), (182, 0.8))) is True  # + 167 %, but half a millilitre
    assert disease_control(series((28, 0.3), (182, 0.82))) is False


def test_re_emergence_from_nothing_must_be_a_measurable_lesion() -> None:
    for measurable, control in ((True, False), (False, True)):
        after = Assessment(182, 0.6, measurable)
        assert disease_control([Assessment(28, 0.0, False), after]) is control
    assert disease_control(series((28, 0.0), (182, 0.6))) is False  # not known whether measurable: a 10 mm sphere's ml
    assert disease_control(series((28, 0.0), (182, 0.5))) is True


def test_early_progression_that_the_next_exam_confirms_is_progression() -> None:
    assert disease_control(series((28, 10.0), (70, 15.0), (182, 14.5))) is False


def test_early_progression_that_shrinks_again_is_pseudoprogression() -> None:
    assert disease_control(series((28, 10.0), (70, 15.0), (182, 12.0))) is True


def test_pseudoprogression_does_not_raise_the_nadir() -> None:
    assert disease_control(series((28, 10.0), (70, 20.0), (110, 12.0), (182, 14.0))) is False


def test_progression_after_twelve_weeks_needs_no_confirmation() -> None:
    assert disease_control(series((28, 10.0), (84, 15.0), (182, 10.0))) is True
    assert disease_control(series((28, 10.0), (85, 15.0), (182, 10.0))) is False


def test_an_exam_less_than_four_weeks_later_confirms_nothing() -> None:
    assert disease_control(series((28, 10.0), (40, 15.0), (60, 15.0), (120, 10.0), (182, 10.0))) is True
    assert disease_control(series((28, 10.0), (40, 15.0), (68, 15.0), (120, 10.0), (182, 10.0))) is False


def test_early_progression_without_a_later_exam_is_open() -> None:
    assert disease_control(series((28, 10.0), (70, 15.0))) is None


def test_early_progression_confirmed_after_the_day_is_dated_back() -> None:
    assert disease_control(series((28, 10.0), (70, 15.0), (240, 30.0))) is False


def test_progression_first_seen_after_the_window_says_nothing_about_the_day() -> None:
    assert disease_control(series((28, 10.0), (91, 10.0), (240, 30.0))) is None


@pytest.mark.parametrize(("horizon", "control"), [(151, None), (152, True), (212, True), (213, None)])
def test_an_exam_within_thirty_days_answers_for_the_day(horizon: int, control: bool | None) -> None:
    assert disease_control(series((28, 10.0), (horizon, 10.0))) is control


def test_the_nearest_exam_answers() -> None:
    assert disease_control(series((28, 10.0), (180, 10.0), (205, 30.0))) is True
    assert disease_control(series((28, 10.0), (160, 10.0), (190, 30.0))) is False


def test_progression_before_the_day_needs_no_exam_at_the_day() -> None:
    assert disease_control(series((28, 10.0), (120, 15.0))) is False


def test_death_up_to_the_day_is_no_control_whatever_the_exams_say() -> None:
    stable = series((28, 10.0), (160, 10.0))
    assert disease_control(stable, death_horizon=182) is False
    assert disease_control([], death_horizon=100) is False
    assert disease_control(stable, death_horizon=183) is True


def test_lost_to_follow_up_is_unknown() -> None:
    assert disease_control(series((28, 10.0), (91, 9.0))) is None
    assert disease_control([]) is None


def test_an_exam_without_a_volume_is_as_good_as_none() -> None:
    assert disease_control(series((28, 10.0), (91, None), (182, 10.0))) is True
    assert disease_control(series((28, 10.0), (182, None))) is None


def test_another_day_can_be_asked_for() -> None:
    exams = series((28, 10.0), (91, 10.0), (182, 10.0), (365, 20.0))
    assert [disease_control(exams, at_day=day) for day in (91, 182, 365, 730)] == [True, True, False, False]


def test_the_rule_s_numbers_can_be_changed() -> None:
    exams = series((28, 10.0), (182, 13.0))
    assert disease_control(exams, rule=VolumetricRule(increase=0.25)) is False


def test_a_volume_below_zero_cannot_exist() -> None:
    with pytest.raises(ValueError, match="-1"):
        Assessment(28, -1.0)


exams = st.lists(
    st.builds(Assessment, st.integers(-90, 400), st.none() | st.floats(0, 60), st.none() | st.booleans()),
    unique_by=lambda exam: exam.horizon,
)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(series=exams, death=st.none() | st.integers(1, 400), data=st.data())
def test_order_does_not_matter_and_an_answer_stands_without_later_exams(
    series: list[Assessment], death: int | None, data: st.DataObject
) -> None:
    found = disease_control(series, death_horizon=death)
    assert disease_control(data.draw(st.permutations(series)), death_horizon=death) is found
    until_window = [exam for exam in series if exam.horizon <= 212]
    before = disease_control(until_window, death_horizon=death)
    assert before is found or before is None  # later exams can only confirm or refute what was open


def test_label_maps_are_assessed_by_their_enhancing_part() -> None:
    empty = np.zeros((30, 30, 12), dtype=np.uint8)
    lesion, thin = empty.copy(), empty.copy()
    lesion[5:20, 5:20, 2:8] = 1
    lesion[8:18, 8:18, 3:6] = 3
    thin[4:24, 5:7, 3:6] = 3
    found = assess({91: lesion, 28: empty, 182: thin, 120: None}, (1.0, 1.0, 2.0))
    assert [exam.horizon for exam in found] == [28, 91, 120, 182]
    assert [exam.et_ml for exam in found] == [0.0, pytest.approx(0.6), None, pytest.approx(0.24)]
    assert [exam.measurable for exam in found] == [False, True, None, False]
