"""Response criteria: every rule by a series of exams made by hand, and what holds for any series."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame.rano.criteria import assess
from flame.rano.presets import CFB_V2, MRANO_2017, PRESETS, RANO_2, RANO_2010, Criteria
from flame.rano.readings import Call, Reading

QUIET: dict[str, Any] = {
    "measurable": True,
    "new_lesion": "none",
    "non_target_worse": False,
    "t2_worse": False,
    "clinical_worse": False,
    "steroid_mg": 0.0,
    "surgery": False,
}


def exam(horizon: int, ml: float | None, **changes: Any) -> Reading:
    """A reading with everything known and nothing worse; all three quantities follow from one volume."""
    quantities = {} if ml is None else {"et_ml": ml, "tc_ml": ml, "spd_mm2": 100 * ml}
    return Reading(horizon, **(quantities | QUIET | changes))


def codes(*exams: Reading, criteria: Criteria = RANO_2) -> list[str]:
    return [call.code for call in assess(exams, criteria)]


def last(*exams: Reading, criteria: Criteria = RANO_2) -> Call:
    return assess(exams, criteria)[-1]


def rules(call: Call) -> list[str]:
    return [reason.rule for reason in call.reasons]


BASELINE = exam(28, 10.0)


def test_the_baseline_is_the_first_exam_three_to_five_weeks_after_radiotherapy() -> None:
    """RANO 2.0 (Wen 2023): the post-radiotherapy MRI, not the one before it."""
    found = assess([exam(-50, 20.0), BASELINE, exam(182, 10.0)])
    assert [call.code for call in found] == ["NE", "BL", "SD"]
    assert rules(found[0]) == ["before_baseline"]
    assert found[2].baseline == found[2].nadir == 28


def test_without_an_exam_in_the_window_the_first_after_radiotherapy_is_the_baseline_and_says_so() -> None:
    found = assess([exam(14, 10.0), exam(91, 10.0)])
    assert [call.code for call in found] == ["BL", "SD"]
    assert rules(found[0]) == ["baseline_outside_window"]


def test_an_exam_in_the_window_takes_the_place_of_an_earlier_baseline() -> None:
    found = assess([exam(14, 10.0), exam(28, 12.0), exam(182, 12.0)])
    assert [call.code for call in found] == ["BL", "BL", "SD"]
    assert found[2].baseline == 28


@pytest.mark.parametrize(("ml", "code"), [(13.9, "SD"), (14.0, "PD"), (3.6, "SD"), (3.5, "P-PR"), (0.0, "P-CR")])
def test_thresholds_by_volume_are_40_and_65_percent_bounds_included(ml: float, code: str) -> None:
    """1.25^1.5 = 1.40 and 0.5^1.5 = 0.35 (Ellingson 2017)."""
    assert codes(BASELINE, exam(182, ml, measurable=ml > 0))[-1] == code


@pytest.mark.parametrize(("ml", "code"), [(12.4, "SD"), (12.5, "PD"), (5.1, "SD"), (5.0, "P-PR"), (0.0, "P-CR")])
def test_thresholds_by_diameters_are_25_and_50_percent_bounds_included(ml: float, code: str) -> None:
    """Sum of products of perpendicular diameters (Macdonald 1990, Wen 2010)."""
    assert codes(BASELINE, exam(182, ml, measurable=ml > 0), criteria=RANO_2010)[-1] == code


def test_growth_is_measured_from_the_nadir_which_leaves_the_judged_exam_out() -> None:
    """Wen 2010: from the smallest measurement since baseline."""
    found = last(BASELINE, exam(100, 6.0), exam(182, 9.0))
    assert (found.code, found.nadir) == ("PD", 100)
    assert found.from_nadir == pytest.approx(0.5)
    assert found.from_baseline == pytest.approx(-0.1)


def test_growth_that_no_reader_could_measure_is_no_progression() -> None:
    small = exam(28, 0.5)
    assert codes(small, exam(182, 1.0))[-1] == "SD"  # twice as much, but less than a sphere of 10 mm more
    assert codes(small, exam(182, 1.02))[-1] == "PD"


def test_what_was_gone_comes_back_as_a_measurable_lesion_and_not_as_a_percentage() -> None:
    """Wen 2023: re-emergence has to be measurable."""
    gone = exam(100, 0.0, measurable=False)
    assert codes(BASELINE, gone, exam(182, 3.0, measurable=False))[-1] != "PD"
    found = last(BASELINE, gone, exam(182, 0.6))
    assert (found.code, rules(found)) == ("PD", ["reappeared"])
    assert found.from_nadir is None
    unknown = last(BASELINE, gone, exam(182, 3.0, measurable=None))
    assert "measurable" in unknown.unknowns


@pytest.mark.parametrize("where", ["in_field", "out_field", "side_unknown"])
def test_a_new_measurable_lesion_is_progression(where: Any) -> None:
    """Wen 2010 and 2023, whatever the old ones do."""
    assert codes(BASELINE, exam(182, 5.0, new_lesion=where))[-1] == "PD"


@pytest.mark.parametrize("name", ["non_target_worse", "clinical_worse"])
def test_non_target_growth_and_clinical_decline_are_progression(name: str) -> None:
    """Wen 2010 and 2023."""
    found = last(BASELINE, exam(182, 10.0, **{name: True}))
    assert (found.code, rules(found)) == ("PD", [name])


def test_t2_counts_in_2010_and_no_more_in_2_0() -> None:
    """Wen 2023: not required for enhancing tumours."""
    series = (BASELINE, exam(182, 10.0, t2_worse=True))
    assert codes(*series, criteria=RANO_2010)[-1] == "PD"
    assert codes(*series)[-1] == "SD"


def test_early_growth_is_preliminary_and_dated_back_when_a_later_exam_confirms_it() -> None:
    """Wen 2023: within 12 weeks, confirmed by an exam at least 4 weeks later."""
    found = assess([BASELINE, exam(70, 15.0), exam(98, 15.0), exam(182, 5.0)])
    assert [call.code for call in found] == ["BL", "P-PD", "C-PD", "PD"]
    assert [call.since for call in found[1:]] == [70, 70, 70]
    assert rules(found[2])[0] == "progression_confirmed"


def test_an_exam_too_soon_confirms_nothing() -> None:
    assert codes(BASELINE, exam(56, 15.0), exam(83, 15.0), exam(84, 15.0)) == ["BL", "P-PD", "P-PD", "C-PD"]


def test_early_growth_that_goes_back_was_pseudoprogression_and_is_no_nadir() -> None:
    found = assess([BASELINE, exam(70, 15.0), exam(98, 11.0), exam(182, 11.5)])
    assert [call.code for call in found] == ["BL", "P-PD", "SD", "SD"]
    assert rules(found[2]) == ["pseudoprogression", "stable"]
    assert found[3].nadir == 28


def test_after_twelve_weeks_progression_needs_no_confirmation() -> None:
    assert codes(BASELINE, exam(84, 15.0))[-1] == "P-PD"
    assert codes(BASELINE, exam(85, 15.0))[-1] == "PD"


def test_a_new_lesion_outside_the_field_is_progression_at_once() -> None:
    """Wen 2010: beyond the 80 % isodose it is no pseudoprogression."""
    assert codes(BASELINE, exam(70, 10.0, new_lesion="out_field"))[-1] == "PD"
    assert codes(BASELINE, exam(70, 10.0, new_lesion="side_unknown"))[-1] == "P-PD"


def test_in_2010_early_growth_within_the_field_does_not_count() -> None:
    """Wen 2010: in the first 12 weeks only outside the field, or by pathology."""
    early = assess([BASELINE, exam(70, 15.0)], RANO_2010)[-1]
    assert (early.code, rules(early)) == ("SD", ["early_growth", "growth"])
    assert codes(BASELINE, exam(70, 15.0, new_lesion="out_field"), criteria=RANO_2010)[-1] == "PD"


def test_the_other_confirmation_asks_for_a_further_increase() -> None:
    """Ellingson 2017: over the preliminary exam, by the same share."""
    plateau = (BASELINE, exam(70, 15.0), exam(98, 16.0))
    assert codes(*plateau, criteria=MRANO_2017)[-1] == "SD"
    assert codes(*plateau, criteria=replace(MRANO_2017, confirmation="still_above"))[-1] == "C-PD"
    assert codes(BASELINE, exam(70, 15.0), exam(98, 21.0), criteria=MRANO_2017)[-1] == "C-PD"


def test_a_confirmation_that_cannot_be_read_leaves_the_question_open() -> None:
    found = assess([BASELINE, exam(70, 15.0), exam(98, None), exam(130, 15.0)])
    assert [call.code for call in found] == ["BL", "P-PD", "NE", "C-PD"]
    assert found[3].since == 70


def test_a_response_has_to_hold_for_four_weeks() -> None:
    """Wen 2010: until then it is stable disease that may become a response."""
    found = assess([BASELINE, exam(91, 3.0), exam(118, 3.0), exam(119, 3.0)])
    assert [call.code for call in found] == ["BL", "P-PR", "P-PR", "C-PR"]
    assert found[3].since == 91
    assert codes(BASELINE, exam(91, 3.0), exam(105, 4.0), exam(125, 3.0))[-1] == "P-PR"  # it was broken


def test_a_partial_response_is_held_through_a_complete_one_but_not_the_other_way_round() -> None:
    gone = {"measurable": False}
    assert codes(BASELINE, exam(91, 3.0), exam(130, 0.0, **gone))[-1] == "P-CR"
    assert codes(BASELINE, exam(91, 0.0, **gone), exam(130, 0.4, **gone))[-1] == "C-PR"


def test_an_exam_that_cannot_be_read_does_not_break_a_response() -> None:
    assert codes(BASELINE, exam(91, 3.0), exam(105, None), exam(125, 3.0))[1:] == ["P-PR", "NE", "C-PR"]


def test_a_complete_response_takes_no_steroids_and_a_partial_one_no_more_than_at_baseline() -> None:
    """Wen 2010; doses that the body makes itself are allowed."""
    treated = exam(28, 10.0, steroid_mg=4.0)
    gone = exam(182, 0.0, measurable=False, steroid_mg=4.0)
    found = last(treated, gone)
    assert (found.code, "no_cr_steroid_mg" in rules(found)) == ("P-PR", True)
    assert codes(treated, replace(gone, steroid_mg=1.5))[-1] == "P-CR"
    more = last(treated, exam(182, 3.0, steroid_mg=6.0))
    assert (more.code, rules(more)[0]) == ("NE", "no_pr_steroid_mg")


@pytest.mark.parametrize("name", ["steroid_mg", "clinical_worse"])
def test_unknown_is_never_no(name: str) -> None:
    """A response needs to know; stable disease says what was not known."""
    found = last(BASELINE, exam(182, 3.0, **{name: None}))
    assert found.code == "SD"
    assert name in found.unknowns


def test_a_response_needs_a_measurable_baseline() -> None:
    """Wen 2010: without one the best call is stable disease."""
    assert codes(exam(28, 10.0, measurable=False), exam(182, 0.0, measurable=False))[-1] == "SD"
    unknown = last(exam(28, 10.0, measurable=None), exam(182, 1.0))
    assert (unknown.code, unknown.unknowns) == ("SD", ("baseline_measurable",))


def test_more_steroids_alone_are_neither_stable_nor_progressive() -> None:
    """Wen 2010; progression that follows is dated to when the increase was needed."""
    series = (BASELINE, exam(100, 10.0, steroid_mg=8.0), exam(140, 10.0, steroid_mg=8.0))
    found = last(*series)
    assert (found.code, rules(found)) == ("NE", ["steroids_increased"])
    worse = last(*series, exam(182, 10.0, steroid_mg=8.0, clinical_worse=True))
    assert (worse.code, worse.since) == ("PD", 100)
    grown = last(*series, exam(182, 15.0, steroid_mg=8.0))
    assert (grown.code, grown.since) == ("PD", 182)


def test_surgery_makes_the_next_exam_baseline_and_nadir() -> None:
    """Wen 2023: both are reset; what was progression before is past."""
    found = assess([BASELINE, exam(120, 20.0), exam(150, 4.0, surgery=True), exam(240, 5.0), exam(300, 6.0)])
    assert [call.code for call in found] == ["BL", "PD", "BL", "SD", "PD"]
    assert rules(found[2]) == ["baseline_after_surgery"]
    assert (found[4].baseline, found[4].nadir) == (150, 150)


def test_surgery_before_radiotherapy_leaves_the_baseline_where_it_is() -> None:
    found = assess([exam(-60, 30.0), exam(-40, 9.0, surgery=True), BASELINE, exam(182, 9.0)])
    assert [call.code for call in found] == ["NE", "NE", "BL", "SD"]


def test_an_exam_without_a_volume_is_not_evaluable_unless_something_else_is_worse() -> None:
    found = last(BASELINE, exam(182, None))
    assert (found.code, found.unknowns) == ("NE", ("et_ml",))
    assert codes(BASELINE, exam(182, None, new_lesion="in_field"))[-1] == "PD"


def test_the_volumetric_convention_of_cfb_compares_with_the_exam_before_radiotherapy_alone() -> None:
    """1 - GTVj / GTVi: PR from 0.65, PD from -0.40; no nadir, nothing held, nothing confirmed."""
    blank = dict.fromkeys(QUIET) | {"measurable": True}
    before = exam(-45, 10.0, **blank)
    for ml, code in ((14.0, "PD"), (13.9, "SD"), (3.5, "PR"), (0.0, "CR")):
        assert codes(before, exam(70, ml, **blank), criteria=CFB_V2)[-1] == code
    assert codes(before, exam(70, 5.0, **blank), exam(120, 9.0, **blank), criteria=CFB_V2)[-1] == "SD"


def test_the_convention_of_cfb_takes_the_last_exam_before_and_forgets_progression_and_surgery() -> None:
    blank = dict.fromkeys(QUIET) | {"measurable": True}

    def called(*exams: tuple[int, float], **also: Any) -> list[str]:
        return codes(*(exam(day, ml, **(blank | also)) for day, ml in exams), criteria=CFB_V2)

    assert called((-45, 10.0), (70, 15.0), (120, 3.0)) == ["BL", "PD", "PR"]
    assert called((-60, 10.0), (-49, 15.0), (70, 15.0)) == ["BL", "BL", "SD"]
    assert called((-45, 10.0), (70, 3.0), (120, 3.0), surgery=True) == ["BL", "PR", "PR"]
    assert called((70, 3.0)) == ["NE"]


def test_in_2010_growth_counts_from_the_first_exam_after_radiotherapy() -> None:
    """Wen 2010, table 2: an exam before radiotherapy is no reference."""
    assert codes(exam(-45, 5.0), exam(28, 10.0), exam(182, 10.0), criteria=RANO_2010) == ["NE", "BL", "SD"]


@pytest.mark.parametrize(("name", "bad"), [("clinical_worse", True), ("new_lesion", "in_field")])
def test_what_is_not_known_again_refutes_nothing(name: str, bad: Any) -> None:
    early, later = exam(70, 10.0, **{name: bad}), exam(100, 10.0, **{name: None})
    call = assess([BASELINE, early, later])[-1]
    assert (call.status, rules(call)) == ("NE", ["confirmation_unknown"])
    assert call.unknowns == (name,)


def test_early_growth_that_is_gone_before_it_could_be_confirmed_is_not_dated_back_to() -> None:
    found = assess([BASELINE, exam(70, 15.0), exam(90, 10.0), exam(200, 15.0)])
    assert [call.code for call in found] == ["BL", "P-PD", "SD", "PD"]
    assert found[-1].since == 200


def test_an_exam_in_the_window_undoes_no_progression() -> None:
    found = assess([exam(10, 10.0), exam(18, 10.0, new_lesion="out_field"), exam(28, 12.0), exam(182, 12.0)])
    assert [call.code for call in found] == ["BL", "PD", "PD", "PD"]


def test_an_exam_of_preliminary_progression_is_no_nadir() -> None:
    """Progression by the clinic alone, with the smallest volume of all."""
    found = assess([BASELINE, exam(70, 5.0, clinical_worse=True), exam(100, 9.0), exam(182, 9.0)])
    assert [call.code for call in found] == ["BL", "P-PD", "SD", "SD"]
    assert found[-1].nadir == 100


def test_pseudoprogression_is_where_growth_begins_again_if_it_has_to_grow_further() -> None:
    exams = (BASELINE, exam(70, 15.0), exam(98, 16.0), exam(182, 16.0), exam(240, 23.0))
    assert codes(*exams, criteria=MRANO_2017) == ["BL", "P-PD", "SD", "SD", "PD"]


def test_where_products_are_compared_a_target_that_was_gone_has_to_be_measurable_itself() -> None:
    gone, speck = exam(120, 0.0, target_measurable=False), exam(182, 0.3, target_measurable=False)
    assert last(BASELINE, gone, speck, criteria=RANO_2010).status != "PD"
    back = exam(182, 0.3, target_measurable=True)
    assert last(BASELINE, gone, back, criteria=RANO_2010).status == "PD"


def test_unknown_steroids_are_told_at_stable_disease_and_do_not_break_a_response() -> None:
    assert last(BASELINE, exam(182, 10.0, steroid_mg=None)).unknowns == ("steroid_mg",)
    assert last(exam(28, 10.0, steroid_mg=None), exam(182, 10.0, steroid_mg=16.0)).unknowns == ("steroid_mg",)
    held = assess([BASELINE, exam(150, 3.0), exam(165, 3.0, steroid_mg=None), exam(190, 3.0)])
    assert [call.code for call in held] == ["BL", "P-PR", "SD", "C-PR"]
    assert held[2].could_be == "PR"
    assert held[3].since == 150


def test_in_2010_an_early_exam_that_cannot_be_read_is_not_stable() -> None:
    call = last(BASELINE, exam(70, None, clinical_worse=True), criteria=RANO_2010)
    assert (call.status, rules(call)) == ("NE", ["early_growth", "quantity_unknown"])


def test_a_volume_near_a_threshold_is_indeterminate() -> None:
    """Between 5 and 20 ml volumes spread by 5.3 %: 40 % more than 10 ml may be 33 to 48 %."""
    assert not last(BASELINE, exam(182, 12.5)).indeterminate
    assert last(BASELINE, exam(182, 13.5)).indeterminate
    assert last(BASELINE, exam(182, 14.5)).indeterminate
    assert not last(BASELINE, exam(182, 16.0)).indeterminate
    assert last(BASELINE, exam(182, 3.6)).indeterminate


def test_a_readers_spread_makes_more_calls_indeterminate_and_changes_none() -> None:
    """With a spread of 0.4 beside 0.053, 12.5 ml may be 10 to 15 ml, and the baseline's 10 ml 8 to 12."""
    spread = replace(RANO_2, reader_spread=0.4)
    exams = (BASELINE, exam(182, 12.5))
    assert not last(*exams).indeterminate
    assert last(*exams, criteria=spread).indeterminate
    assert codes(*exams) == codes(*exams, criteria=spread)
    assert not last(BASELINE, exam(182, 30.0), criteria=spread).indeterminate


def test_what_rests_on_an_indeterminate_call_is_indeterminate() -> None:
    doubtful = assess([BASELINE, exam(100, 14.1), exam(182, 12.0)])
    assert [call.code for call in doubtful] == ["BL", "PD", "PD"]
    assert [call.indeterminate for call in doubtful] == [False, True, True]
    clear = assess([BASELINE, exam(100, 20.0), exam(182, 12.0)])
    assert [call.indeterminate for call in clear] == [False, False, False]


def test_readings_out_of_order_and_numbers_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="order of time"):
        assess([exam(182, 1.0), BASELINE])
    with pytest.raises(ValueError, match="et_ml is >= 0"):
        exam(28, -1.0)
    with pytest.raises(ValueError, match="odd: increase"):
        Criteria("odd", "et_ml", increase=0.0, decrease=0.5, floor=0.0)


volumes = st.one_of(st.none(), st.just(0.0), st.floats(0.01, 80.0))
maybe = st.sampled_from([None, True, False])


@st.composite
def series(draw: st.DrawFn) -> list[Reading]:
    horizons = sorted(draw(st.sets(st.integers(-60, 500), min_size=1, max_size=9)))
    return [
        Reading(
            horizon,
            et_ml=draw(volumes),
            tc_ml=draw(volumes),
            spd_mm2=draw(volumes),
            measurable=draw(maybe),
            target_measurable=draw(maybe),
            otherwise=draw(st.sampled_from([None, (True, "none"), (False, "in_field")])),
            new_lesion=draw(st.sampled_from([None, "none", "in_field", "out_field", "side_unknown"])),
            non_target_worse=draw(maybe),
            t2_worse=draw(maybe),
            clinical_worse=draw(maybe),
            steroid_mg=draw(st.one_of(st.none(), st.floats(0, 16))),
            surgery=draw(st.sampled_from([None, False, False, True])),
        )
        for horizon in horizons
    ]


@settings(max_examples=300, deadline=None)
@given(series(), st.sampled_from(sorted(PRESETS)))
def test_whatever_comes_each_exam_is_called_by_itself_and_those_before(readings: list[Reading], name: str) -> None:
    criteria = PRESETS[name]
    calls = assess(readings, criteria)
    by_horizon = {reading.horizon: reading for reading in readings}
    for number, (reading, call) in enumerate(zip(readings, calls, strict=True)):
        assert call == assess(readings[: number + 1], criteria)[-1]
        assert call.horizon == reading.horizon >= call.since
        if call.status != "BL":
            assert call.baseline is None or call.baseline < reading.horizon
            assert call.nadir is None or call.nadir < reading.horizon
        if call.status in ("CR", "PR"):
            assert call.baseline is not None
            assert by_horizon[call.baseline].measurable is True
        if call.status == "SD":
            assert getattr(reading, criteria.quantity) is not None
