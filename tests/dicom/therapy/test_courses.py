"""Plans into courses: boosts, plans made anew, irradiation anew; start and end from records."""

from datetime import date, timedelta

import pytest
from tests.dicom.department import OTHER_FRAME, carbon_plan, proton_plan, rtplan, treatment_record

from flame.dicom.therapy.courses import courses, read_plan
from flame.dicom.therapy.plan import last_day, read_planned
from flame.dicom.therapy.treatment_records import read_treatment_record
from flame.errors import DataError
from flame.records.patient import Course

MONDAY = date(2020, 1, 13)


def records(plan, start, fractions, first=1, ion=False):
    """One record a working day."""
    days = [start + timedelta(last_day(number)) for number in range(1, fractions + 1)]
    return [treatment_record(plan, f"{day:%Y%m%d}", number, ion=ion) for number, day in enumerate(days, start=first)]


def given(plans, records=()):
    return courses([read_planned(plan) for plan in plans], [read_treatment_record(one) for one in records])


class TestReadPlan:
    def test_starts_on_day_0_and_runs_five_fractions_a_week(self):
        assert read_plan(rtplan()) == Course("photon", 60.0, 30, 0, 39)
        assert read_plan(rtplan(date="")) == Course("photon", 60.0, 30, 0, 39)

    def test_days_count_from_the_origin(self):
        assert read_plan(rtplan(date="20200106"), date(2020, 1, 1)) == Course("photon", 60.0, 30, 5, 44)

    def test_records_tell_start_and_end(self):
        sessions = [*records("2.25.1", MONDAY, 29), treatment_record("2.25.1", "20200224", 30)]
        found = read_plan(rtplan(date="20200106"), date(2020, 1, 6), sessions)
        assert found == Course("photon", 60.0, 30, 7, 49), (
            "29 fractions to Thursday 20 February, one on the Monday after"
        )

    def test_records_of_another_plan_are_passed_by(self):
        assert read_plan(rtplan(), records=records("2.25.99", MONDAY, 3)) == Course("photon", 60.0, 30, 0, 39)

    def test_ions_come_without_an_rbe_model(self):
        assert read_plan(carbon_plan(prescription=18.0, fractions=6)) == Course("carbon", 18.0, 6, 0, 7)

    def test_from_a_file(self, tmp_path):
        rtplan().save_as(tmp_path / "plan.dcm", enforce_file_format=True)
        assert read_plan(tmp_path / "plan.dcm") == Course("photon", 60.0, 30, 0, 39)

    def test_no_day_where_one_is_needed(self):
        with pytest.raises(DataError, match="neither a treatment record nor a day"):
            read_plan(rtplan(date=""), date(2020, 1, 1))


class TestRecords:
    def test_a_full_record_leaves_no_note(self):
        (course,) = given([rtplan()], records("2.25.1", MONDAY, 30))
        assert (course.start, course.end) == (MONDAY, MONDAY + timedelta(39))
        assert course.notes == ()

    def test_ten_of_thirty_are_noted_and_the_end_is_from_the_schedule(self):
        (course,) = given([rtplan()], records("2.25.1", MONDAY, 10))
        assert (course.prescription_gy, course.fractions) == (60.0, 30)
        assert (course.start, course.end) == (MONDAY, MONDAY + timedelta(39))
        assert course.notes == ("10 of 30 fractions are on record; the end follows from five fractions a week",)

    def test_records_that_begin_late_or_are_too_many_are_noted(self):
        (late,) = given([rtplan()], records("2.25.1", MONDAY, 26, first=5))
        assert "the first fraction on record is number 5" in late.notes
        (many,) = given([rtplan()], records("2.25.1", MONDAY, 31))
        assert many.fractions == 30
        assert "31 fractions are on record, 30 were planned" in many.notes

    def test_a_session_recorded_beam_by_beam_is_one_fraction(self):
        session = [treatment_record("2.25.1", "20200113", 1, beams=(number,)) for number in (1, 2)]
        (course,) = given([rtplan(fractions=1, prescription=8.0)], session)
        assert course.notes == ()

    def test_a_plan_without_record_beside_one_with_records_was_not_given(self):
        first, second = rtplan(uid="2.25.1"), rtplan(uid="2.25.2", prescription=50.0, fractions=25)
        (course,) = given([first, second], records("2.25.2", MONDAY, 25))
        assert (course.prescription_gy, course.fractions) == (50.0, 25)
        assert course.doubts == ("1 plans without a treatment record are left out",)  # records may be missing
        draft = rtplan(uid="2.25.1", ApprovalStatus="UNAPPROVED")
        (course,) = given([draft, second], records("2.25.2", MONDAY, 25))
        assert course.notes == ("1 plans without a treatment record are left out",)
        assert course.doubts == ()


class TestSeveralPlans:
    def test_protons_with_a_carbon_boost_are_one_carbon_course(self):
        base, boost = proton_plan(prescription=50.0, fractions=25), carbon_plan(prescription=18.0, fractions=6)
        given_records = records("2.25.2", MONDAY, 25, ion=True) + records("2.25.3", date(2020, 2, 17), 6, ion=True)
        (course,) = given([boost, base], given_records)
        assert (course.arm, course.prescription_gy, course.fractions) == ("carbon", 68.0, 31)
        assert course.since(MONDAY) == Course("carbon", 68.0, 31, 0, 42)
        assert (
            "one course of proton 50 Gy in 25 fractions then carbon 18 Gy in 6 fractions; its arm is carbon"
            in course.notes
        )

    def test_photons_with_a_proton_boost_are_a_proton_course(self):
        (course,) = given(
            [
                rtplan(prescription=50.0, fractions=25, date="20200106"),
                proton_plan(prescription=10.0, fractions=5, date="20200210"),
            ]
        )
        assert (course.arm, course.prescription_gy) == ("proton", 60.0)

    def test_a_base_and_its_boost_planned_on_one_day_follow_one_another(self):
        (course,) = given(
            [rtplan(prescription=46.0, fractions=23), rtplan(uid="2.25.2", prescription=14.0, fractions=7)]
        )
        assert (course.prescription_gy, course.fractions) == (60.0, 30)
        assert (course.end - course.start).days == 39
        assert course.doubts == (
            "no treatment record tells which of 2 plans were given; all are counted",
            "start is the day of the plan, end follows from five fractions a week: no treatment record is there",
        )
        assert "its plans overlap in time; their prescriptions were added" in course.notes

    @pytest.mark.parametrize(("gap", "count"), [(90, 1), (91, 2)])
    def test_irradiation_anew_is_a_course_of_its_own(self, gap, count):
        end = date(2020, 1, 6) + timedelta(39)
        again = rtplan(uid="2.25.2", prescription=35.0, fractions=10, date=f"{end + timedelta(gap):%Y%m%d}")
        found = given([again, rtplan()])
        assert len(found) == count
        assert found[0].start == date(2020, 1, 6)
        assert sum(course.prescription_gy for course in found) == 95

    def test_a_plan_made_anew_counts_for_what_was_given_of_the_old_one(self):
        old, new = rtplan(), rtplan(uid="2.25.2", prescription=36.0, fractions=18, frame=OTHER_FRAME)
        sessions = records("2.25.1", MONDAY, 12) + records("2.25.2", date(2020, 1, 29), 18)
        (course,) = given([old, new], sessions)
        assert (course.prescription_gy, course.fractions) == (pytest.approx(60), 30)
        assert [part.share for part in course.parts] == [0.4, 1.0]
        assert course.notes == (
            "its plans lie in different frames of reference",
            "a plan of 30 fractions was left for another after 12",
        )

    def test_a_base_with_missing_records_is_not_cut_short_by_a_boost_of_another_particle(self):
        sessions = records("2.25.2", MONDAY, 20, ion=True) + records("2.25.3", date(2020, 2, 24), 3, ion=True)
        (course,) = given([proton_plan(), carbon_plan(prescription=15.0, fractions=3)], sessions)
        assert (course.prescription_gy, course.fractions) == (75.0, 33)
        assert course.since(MONDAY).end_day == 44

    def test_approved_plans_go_first_where_nothing_is_recorded(self):
        draft, final = rtplan(ApprovalStatus="UNAPPROVED"), rtplan(uid="2.25.2", ApprovalStatus="APPROVED")
        (course,) = given([draft, final])
        assert (course.prescription_gy, [part.plan.uid for part in course.parts]) == (60.0, ["2.25.2"])
        assert "1 plans that are not approved are left out" in course.notes

    def test_a_plan_that_comes_twice_counts_once(self):
        (course,) = given([rtplan(), rtplan()])
        assert course.prescription_gy == 60

    def test_days_that_only_the_plan_tells_are_doubted(self):
        assert given([rtplan()], records("2.25.1", MONDAY, 30))[0].doubts == ()
        assert "start is the day of the plan" in given([rtplan()])[0].doubts[0]

    def test_no_plan_is_no_course(self):
        assert given([]) == ()
