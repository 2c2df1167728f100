"""Doses of a course: which parts are added, and where their voxels lie."""

from dataclasses import replace

import numpy as np
import pytest
from tests.dicom.department import OTHER_FRAME, carbon_plan, item, proton_plan, registration, rtdose, rtplan

from flame.dicom.therapy.alignments import read_alignments
from flame.dicom.therapy.courses import courses
from flame.dicom.therapy.dose import read_dose
from flame.dicom.therapy.dose_sum import added, course_doses
from flame.dicom.therapy.plan import read_planned
from flame.errors import DataError
from flame.records.volume import Volume


def course_of(*plans):
    (course,) = courses([read_planned(plan) for plan in plans])
    return course


def dose_of(gray, **values):
    """A uniform dose [Gy]."""
    return read_dose(rtdose(np.full((4, 3, 5), round(gray * 1000), np.uint32), **values))


def level(dose):
    """The dose of a uniform grid."""
    assert np.ptp(dose.volume.array) < 1e-4
    return float(dose.volume.array.mean())


class TestOnePlan:
    def test_its_plan_dose_counts_and_not_its_beams_again(self):
        doses = [
            dose_of(60.0),
            dose_of(30.0, summation="BEAM", beams=(1,)),
            dose_of(30.0, summation="BEAM", beams=(2,)),
        ]
        found = course_doses(doses, course_of(rtplan()))
        assert level(found.dose) == pytest.approx(60)
        assert found.dose_rbe is None
        assert found.notes == ()

    def test_without_it_the_beams_are_added(self):
        doses = [dose_of(gray, summation="BEAM", beams=(number,)) for number, gray in ((1, 25.0), (2, 36.0))]
        found = course_doses(doses, course_of(rtplan()))
        assert level(found.dose) == pytest.approx(61)
        assert found.dose.summation == "PLAN"
        assert found.notes == ("the dose of a plan is the sum of 2 of its BEAM doses",)

    @pytest.mark.parametrize("beams", [[(1,)], [(1,), (1,)], [(1,), (2,), (2,)], [(1,), (3,)]])
    def test_beams_that_are_missing_or_come_twice_make_no_sum(self, beams):
        doses = [dose_of(25.0, summation="BEAM", beams=each) for each in beams]
        found = course_doses(doses, course_of(rtplan()))
        assert found.dose is None
        assert "missing, or come twice" in found.notes[0]

    def test_one_session_counts_for_all_fractions(self):
        whole = course_doses([dose_of(2.0, summation="FRACTION_SESSION", group=1)], course_of(rtplan()))
        assert level(whole.dose) == pytest.approx(60)
        beams = [dose_of(1.1, summation="BEAM_SESSION", beams=(number,)) for number in (1, 2)]
        assert level(course_doses(beams, course_of(rtplan())).dose) == pytest.approx(66)

    def test_fraction_groups_are_added_when_all_are_there(self):
        plan = rtplan(fractions=25)
        plan.FractionGroupSequence.append(item(FractionGroupNumber=2, NumberOfFractionsPlanned=5))
        base, boost = (dose_of(gray, summation="FRACTION", group=group) for group, gray in ((1, 50.0), (2, 10.0)))
        assert level(course_doses([base, boost], course_of(plan)).dose) == pytest.approx(60)
        assert course_doses([base], course_of(plan)).dose is None

    def test_sessions_of_fraction_groups_count_by_their_own_fractions(self):
        plan = rtplan(fractions=25)
        plan.FractionGroupSequence.append(item(FractionGroupNumber=2, NumberOfFractionsPlanned=5))
        doses = [dose_of(gray, summation="FRACTION_SESSION", group=group) for group, gray in ((1, 2.0), (2, 3.0))]
        assert level(course_doses(doses, course_of(plan)).dose) == pytest.approx(25 * 2 + 5 * 3)

    def test_two_doses_of_a_plan_count_once_if_they_are_equal_and_not_at_all_if_not(self):
        assert level(course_doses([dose_of(60.0), dose_of(60.0)], course_of(rtplan())).dose) == pytest.approx(60)
        found = course_doses([dose_of(60.0), dose_of(58.0)], course_of(rtplan()))
        assert found.dose is None
        assert "several doses that differ" in found.notes[0]

    def test_a_dose_of_one_fraction_under_another_name_is_doubted(self):
        found = course_doses([dose_of(2.1)], course_of(rtplan()))
        (doubt,) = found.doubts
        assert "looks like that of one fraction" in doubt
        assert course_doses([dose_of(60.0)], course_of(rtplan())).doubts == ()

    def test_doses_of_other_plans_are_passed_by(self):
        found = course_doses([dose_of(60.0, plans=("2.25.99",))], course_of(rtplan()))
        assert (found.dose, found.dose_rbe, found.notes) == (None, None, ())

    def test_of_a_plan_that_was_left_its_share_counts(self):
        course = course_of(rtplan())
        cut = replace(course, parts=(replace(course.parts[0], fractions=12),))
        found = course_doses([dose_of(60.0)], cut)
        assert level(found.dose) == pytest.approx(24)
        assert "12 of 30 fractions" in found.notes[0]


class TestSeveralPlans:
    BASE = proton_plan(prescription=50.0, fractions=25)
    BOOST = carbon_plan(prescription=15.0, fractions=3, date="20200210")

    def test_physical_and_weighted_doses_are_added_apart(self):
        doses = [
            dose_of(gray, kind=kind, plans=(plan,))
            for gray, kind, plan in (
                (45.5, "PHYSICAL", "2.25.2"),
                (50.0, "EFFECTIVE", "2.25.2"),
                (5.0, "PHYSICAL", "2.25.3"),
                (15.0, "EFFECTIVE", "2.25.3"),
            )
        ]
        found = course_doses(doses, course_of(self.BASE, self.BOOST))
        assert level(found.dose) == pytest.approx(50.5)
        assert level(found.dose_rbe) == pytest.approx(65)
        assert found.dose_rbe.kind == "EFFECTIVE"
        assert found.dose_rbe.plans == ("2.25.2", "2.25.3")

    def test_a_sum_that_lacks_a_plan_is_not_made(self):
        doses = [dose_of(50.0, kind="EFFECTIVE", plans=("2.25.2",))]
        found = course_doses(doses, course_of(self.BASE, self.BOOST))
        assert found.dose_rbe is None
        assert "no RBE-weighted dose of the course: 1 of 2 plans have one" in found.notes

    def test_the_planning_systems_own_sum_goes_first(self):
        doses = [
            dose_of(64.0, kind="EFFECTIVE", summation="MULTI_PLAN", plans=("2.25.2", "2.25.3")),
            dose_of(50.0, kind="EFFECTIVE", plans=("2.25.2",)),
        ]
        assert level(course_doses(doses, course_of(self.BASE, self.BOOST)).dose_rbe) == pytest.approx(64)

    def test_photons_count_with_an_rbe_of_1(self):
        base = rtplan(prescription=50.0, fractions=25)
        doses = [dose_of(50.0), dose_of(18.0, kind="EFFECTIVE", plans=("2.25.3",))]
        found = course_doses(doses, course_of(base, self.BOOST))
        assert level(found.dose_rbe) == pytest.approx(68)
        assert found.dose is None
        assert "photons count in the RBE-weighted dose with an RBE of 1" in found.notes


class TestGrids:
    def ramp(self, shape, position, spacing, step, gradient):
        """A dose that is linear in LPS: 20 Gy at the origin, `gradient` along each axis [Gy/mm]."""
        frame, row, column = np.meshgrid(*map(np.arange, shape), indexing="ij")
        x, y, z = (p + n * s for p, n, s in zip(position, (column, row, frame), (spacing, spacing, step)))
        values = np.rint((20 + gradient * (x + y + z)) * 1e6).astype(np.uint32)
        offsets = step * np.arange(shape[0])
        return read_dose(rtdose(values, scaling=1e-6, position=position, spacing=(spacing, spacing), offsets=offsets))

    def test_linear_doses_on_two_grids_add_to_a_linear_dose_where_both_are(self):
        coarse = self.ramp((9, 9, 9), (-16, -16, -16), 4.0, 4.0, 0.1)
        fine = self.ramp((5, 6, 7), (-5, -6, -7), 1.5, 2.5, 0.2)
        total = added([coarse, fine])
        assert total.notes == ("doses on different grids were brought linearly onto the finest",)
        np.testing.assert_allclose(np.diag(total.volume.grid.affine)[:3], (-1.5, -1.5, 2.5))
        at = np.linalg.inv(total.volume.grid.affine) @ fine.volume.grid.affine
        low = np.rint(at[:3, 3]).astype(int)
        both = total.volume.array[low[0] : low[0] + 7, low[1] : low[1] + 6, low[2] : low[2] + 5]
        np.testing.assert_allclose(both, fine.volume.array * 1.5 + 10, atol=1e-4)

    def test_what_lies_beyond_the_fine_grid_is_kept(self):
        coarse = self.ramp((9, 9, 9), (-16, -16, -16), 4.0, 4.0, 0.1)
        fine = self.ramp((5, 6, 7), (-5, -6, -7), 1.5, 2.5, 0.2)
        total = added([fine, coarse])
        assert total.volume.array.max() >= coarse.volume.array.max() - 0.5
        mm3 = 1.5 * 1.5 * 2.5
        beyond = (total.volume.array > 0).sum() * mm3
        assert beyond == pytest.approx(33**3, rel=0.1), "the coarse grid spans 32 mm between outer voxel centres"

    def test_a_grid_that_is_shifted_by_whole_voxels_loses_no_edge(self):
        one = self.ramp((4, 4, 4), (0, 0, 0), 2.0, 2.0, 0.1)
        two = self.ramp((4, 4, 4), (2, 0, 0), 2.0, 2.0, 0.1)
        total = added([one, two])
        assert total.volume.grid.shape == (5, 4, 4)
        assert total.volume.array.sum() == pytest.approx(one.volume.array.sum() + two.volume.array.sum(), rel=1e-6)

    def test_doses_in_two_frames_need_a_link(self):
        one, two = dose_of(20.0), dose_of(10.0, frame=OTHER_FRAME, position=(-6.0, 0.0, 0.0))
        with pytest.raises(DataError, match="nothing links"):
            added([one, two])
        shift = np.eye(4)
        shift[0, 3] = 6.0
        total = added([one, two], read_alignments(registration([shift])))
        assert total.volume.grid.matches(one.volume.grid)
        assert level(total) == pytest.approx(30)

    def test_kinds_are_not_mixed(self):
        with pytest.raises(DataError, match="cannot be added"):
            added([dose_of(20.0), dose_of(10.0, kind="EFFECTIVE")])

    def test_grids_that_are_far_apart(self):
        far = dose_of(1.0)
        moved = far.volume.grid.affine.copy()
        moved[:3, 3] += 1e5
        with pytest.raises(DataError, match="too far apart"):
            added([far, replace(far, volume=Volume(far.volume.array, replace(far.volume.grid, affine=moved)))])
