"""Definitions of responder and times to events, from calls of hand-made series. Horizons in days, volumes in ml."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame.rano.criteria import assess
from flame.rano.endpoints import (
    ENDPOINTS,
    Duration,
    FollowUp,
    best_response,
    disease_control,
    objective_response,
    outlives_median,
    overall_survival,
    progression_free_survival,
    status_at,
    time_to_progression,
)
from flame.rano.readings import Reading


def followed(
    *exams: tuple[int, float | None], death: int | None = None, contact: int | None = None, **also
) -> FollowUp:
    """Calls by volume for exams of which everything else is known and quiet."""
    quiet = {
        "measurable": True,
        "new_lesion": "none",
        "non_target_worse": False,
        "clinical_worse": False,
        "steroid_mg": 0.0,
        "surgery": False,
    }
    readings = [Reading(horizon, et_ml=volume, **(quiet | also)) for horizon, volume in exams]
    return FollowUp(assess(readings), death, contact)


def decided(name: str, follow_up: FollowUp) -> bool | str | None:
    return ENDPOINTS[name].decide(follow_up)


STABLE = followed((28, 10.0), (91, 10.0), (182, 11.0))
SHRUNK = followed((28, 10.0), (91, 3.0), (182, 3.0))
GROWN = followed((28, 10.0), (91, 10.0), (182, 14.0))
GONE = followed((28, 10.0), (91, 0.0), (182, 0.0))


@pytest.mark.parametrize(
    ("follow_up", "status", "control", "objective", "three"),
    [
        (STABLE, "SD", True, False, "stable"),
        (SHRUNK, "PR", True, True, "response"),
        (GONE, "CR", True, True, "response"),
        (GROWN, "PD", False, False, "progression"),
    ],
)
def test_classes_at_half_a_year(follow_up, status, control, objective, three) -> None:
    assert status_at(follow_up) == decided("four_classes", follow_up) == status
    assert disease_control(follow_up) == decided("disease_control", follow_up) is control
    assert objective_response(follow_up) == decided("objective_response", follow_up) is objective
    assert decided("three_classes", follow_up) == three


def test_death_up_to_the_day_is_progression_and_later_death_is_not() -> None:
    assert status_at(followed((28, 10.0), (91, 5.0), death=182)) == "PD"
    assert status_at(followed((28, 10.0), (182, 5.0), (260, 5.0), death=300)) == "SD"


def test_progression_counts_for_good() -> None:
    assert status_at(followed((28, 10.0), (91, 20.0), (182, 5.0))) == "PD"
    assert status_at(followed((28, 10.0), (91, 20.0))) == "PD"  # what came after does not matter


def test_later_progression_is_none_yet() -> None:
    assert disease_control(followed((28, 10.0), (182, 10.0), (220, 30.0))) is True


def test_early_growth_waits_for_the_exam_that_decides() -> None:
    assert disease_control(followed((28, 10.0), (80, 20.0), (182, 30.0))) is False
    assert disease_control(followed((28, 10.0), (80, 20.0), (182, 10.0))) is True
    assert disease_control(followed((28, 10.0), (80, 20.0)), at_day=80) is None
    assert disease_control(followed((28, 10.0), (80, 20.0), (182, 30.0)), at_day=80) is False  # dated back


@pytest.mark.parametrize("exams", [((28, 10.0),), ((28, 10.0), (91, 10.0)), ((182, 10.0),), ((28, 10.0), (182, None))])
def test_without_an_answer_at_the_day_nothing_is_known(exams) -> None:
    for name in ("disease_control", "objective_response", "three_classes", "four_classes"):
        assert decided(name, followed(*exams)) is None


def test_the_nearest_exam_within_thirty_days_answers() -> None:
    assert status_at(followed((28, 10.0), (152, 10.0))) == "SD"
    assert status_at(followed((28, 10.0), (151, 10.0))) is None
    assert status_at(followed((28, 10.0), (174, 10.0), (190, 20.0))) == "SD"  # of equally near ones the earlier
    assert status_at(followed((28, 10.0), (174, 10.0), (190, 20.0)), at_day=183) == "PD"


def test_a_response_at_the_day_needs_a_later_exam_to_hold() -> None:
    short = ((28, 10.0), (182, 3.0))
    assert objective_response(followed(*short)) is None
    assert disease_control(followed(*short)) is True  # whatever comes of it
    assert objective_response(followed(*short, (260, 3.0))) is True
    assert objective_response(followed(*short, (260, 8.0))) is False
    assert status_at(followed((28, 10.0), (182, 0.0), (260, 3.0))) == "SD"  # gone and back: it did not hold


def test_more_steroids_leave_control_open() -> None:
    exams = [(28, 10.0), (182, 10.0)]
    readings = [
        Reading(horizon, et_ml=ml, measurable=True, new_lesion="none", steroid_mg=dose, surgery=False)
        for (horizon, ml), dose in zip(exams, (0.0, 8.0))
    ]
    assert disease_control(FollowUp(assess(readings))) is None


def test_progression_free_survival_is_dated_back_and_ends_with_death() -> None:
    assert progression_free_survival(followed((28, 10.0), (80, 20.0), (120, 25.0))) == Duration(80, event=True)
    assert progression_free_survival(followed((28, 10.0), (91, 10.0), death=140)) == Duration(140, event=True)
    assert progression_free_survival(followed(death=40)) == Duration(40, event=True)


def test_without_an_event_time_ends_at_the_last_exam_that_was_free() -> None:
    assert progression_free_survival(STABLE) == Duration(182, event=False)
    assert progression_free_survival(followed((28, 10.0), (60, 10.0), (80, 20.0))) == Duration(60, event=False)
    assert progression_free_survival(followed((28, 10.0), (91, 10.0), (182, None))) == Duration(91, event=False)
    assert progression_free_survival(followed((-60, 10.0))) is None


def test_time_to_progression_is_censored_by_death() -> None:
    assert time_to_progression(followed((28, 10.0), (91, 10.0), death=140)) == Duration(91, event=False)
    assert time_to_progression(GROWN) == Duration(182, event=True)


def test_pfs_6_needs_exams_up_to_half_a_year() -> None:
    assert decided("pfs_6", STABLE) is True
    assert decided("pfs_6", followed((28, 10.0), (181, 10.0))) is None
    assert decided("pfs_6", followed((28, 10.0), (200, 20.0))) is True
    assert decided("pfs_6", GROWN) is False
    assert decided("pfs_6", followed((28, 10.0), death=100)) is False


def test_days_may_count_from_the_baseline_exam() -> None:
    for days, answer in ((120, True), (180, False)):
        later = followed((28, 10.0), (91, 10.0), (170, 20.0), (400, 20.0))
        assert decided(f"progression_free_{days}", later) is answer
    assert decided("progression_free_180", followed((28, 10.0), (207, 10.0))) is None
    assert decided("progression_free_180", followed((28, 10.0), (208, 10.0))) is True
    assert decided("progression_free_120", followed((-50, 10.0))) is None


def test_surgery_leaves_early_growth_open_for_good() -> None:
    exams = ((28, 10.0), (70, 20.0), (120, 4.0), (182, 4.0))
    quiet = {"measurable": True, "new_lesion": "none", "non_target_worse": False, "clinical_worse": False}
    readings = [Reading(day, et_ml=ml, steroid_mg=0.0, surgery=day == 120, **quiet) for day, ml in exams]
    operated = FollowUp(assess(readings))
    assert disease_control(operated) is decided("pfs_6", operated) is None
    assert progression_free_survival(operated) == Duration(28, event=False)
    waiting = followed((28, 10.0), (80, 20.0), death=300)
    assert decided("pfs_6", waiting) is None


def test_a_response_that_unknown_steroids_stand_against_is_not_denied() -> None:
    unknown = followed((28, 10.0), (91, 0.0), (182, 0.0), steroid_mg=None)
    assert objective_response(unknown) is decided("four_classes", unknown) is None
    assert disease_control(unknown) is True


def test_what_comes_after_progression_is_no_best_response() -> None:
    assert best_response(followed((28, 10.0), (120, 20.0), (240, 1.0), (300, 1.0))) == "PD"


def test_survival() -> None:
    assert overall_survival(followed((28, 10.0), contact=400)) == Duration(400, event=False)
    assert overall_survival(followed((28, 10.0))) == Duration(28, event=False)
    assert overall_survival(followed()) is None
    assert decided("alive_6_months", followed((28, 10.0), contact=182)) is True
    assert decided("alive_6_months", followed((28, 10.0), contact=181)) is None
    assert decided("alive_6_months", followed((28, 10.0), death=182)) is False


def test_the_median_of_a_cohort_counts_censored_patients_while_they_are_seen() -> None:
    # At risk 5, 4, 3 (one censored between), 2: surviving 0.8, 0.6, 0.6 * 1/2 = 0.3 at day 300.
    cohort = [
        followed(death=100),
        followed(death=200),
        followed(contact=250),
        followed(death=300),
        followed(contact=500),
    ]
    assert outlives_median(cohort) == (False, False, None, False, True)
    assert outlives_median([followed(contact=100), followed(death=200)]) == (None, False)
    assert outlives_median([followed(contact=100)]) == (None,)


def test_pseudoprogression_is_told_from_progression() -> None:
    assert decided("true_progression", followed((28, 10.0), (80, 20.0), (120, 25.0))) is True
    assert decided("true_progression", followed((28, 10.0), (80, 20.0), (120, 9.0))) is False
    assert decided("true_progression", followed((28, 10.0), (80, 20.0))) is None
    assert decided("true_progression", GROWN) is None


def test_the_best_response_is_a_confirmed_one() -> None:
    assert best_response(GONE) == "CR"
    assert best_response(SHRUNK) == "PR"
    assert best_response(followed((28, 10.0), (91, 3.0), (182, 20.0))) == "SD"
    assert best_response(followed((28, 10.0), (91, 20.0))) == "PD"
    assert best_response(followed((28, 10.0), (80, 20.0))) is None
    assert best_response(followed((28, 10.0))) is None


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.integers(-60, 500), st.one_of(st.none(), st.floats(0.0, 60.0)), max_size=8),
    st.one_of(st.none(), st.integers(1, 600)),
)
def test_endpoints_agree_with_each_other(exams: dict[int, float | None], death: int | None) -> None:
    exams = {horizon: ml for horizon, ml in exams.items() if death is None or horizon < death}
    follow_up = followed(*sorted(exams.items()), death=death)
    status, free = status_at(follow_up), progression_free_survival(follow_up)
    assert disease_control(follow_up) in ((status != "PD",) if status else (True, None))
    assert objective_response(follow_up) == (None if status is None else status in ("CR", "PR"))
    if status in ("CR", "PR", "SD"):
        assert free is None or not free.event or free.days > 182 - 30
    if free is not None and free.event and free.days <= 182 - 30:
        assert status == "PD"
    if decided("pfs_6", follow_up) is True and status == "PD":
        assert free is not None
        assert free.event
        assert free.days > 182
