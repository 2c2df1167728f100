"""Plans: particle, prescription and fractions, and what is not taken for a treatment."""

import pytest
from tests.dicom.department import FRAME, beam, carbon_plan, item, proton_plan, rtdose, rtplan

from flame.dicom.therapy.plan import last_day, read_planned
from flame.errors import DataError


class TestParticle:
    def test_photons(self):
        plan = read_planned(rtplan(uid="2.25.9", ApprovalStatus="APPROVED"))
        assert (plan.uid, plan.particle, plan.beams, plan.groups) == ("2.25.9", "photon", (1, 2), ((1, 30),))
        assert (plan.prescription_gy, plan.fractions, plan.frame, plan.approved) == (60.0, 30, FRAME, True)
        assert str(plan.day) == "2020-01-06"
        assert plan.notes == ()

    @pytest.mark.parametrize(
        ("plan", "particle"),
        [
            (proton_plan(), "proton"),
            (rtplan(ion=True, beams=[beam(1, "ION", 1)]), "proton"),
            (rtplan(beams=[beam(1, "PROTON")]), "proton"),
            (carbon_plan(), "carbon"),
        ],
        ids=["PROTON", "ION of 1", "PROTON in an RTPLAN", "ION of 6"],
    )
    def test_ions(self, plan, particle):
        found = read_planned(plan)
        assert found.particle == particle
        assert "names no RBE model" in found.notes[0]

    @pytest.mark.parametrize(
        ("beams", "reason"),
        [
            ([beam(1, "ELECTRON")], "electrons"),
            ([beam(1, "NEUTRON")], "neutrons"),
            ([beam(1, "ION", 2)], "helium"),
            ([beam(1, "ION", 18)], "atomic number 18"),
            ([beam(1, "ION")], "does not name"),
            ([beam(1, "")], "does not name"),
            ([beam(1), beam(2, "ELECTRON")], "mixes electrons and photon"),
            ([beam(1, delivery="SETUP")], "no beam that treats"),
        ],
    )
    def test_others_are_refused_by_name(self, beams, reason):
        with pytest.raises(DataError, match=reason):
            read_planned(rtplan(beams=beams))

    def test_set_up_beams_do_not_count(self):
        plan = read_planned(rtplan(beams=[beam(1), beam(7, "ELECTRON", delivery="SETUP")]))
        assert (plan.particle, plan.beams) == ("photon", (1,))


class TestPrescription:
    def test_the_highest_target_counts(self):
        plan = read_planned(rtplan(targets=[50.0, 60.0]))
        assert plan.prescription_gy == 60
        assert plan.notes == ("targets are prescribed 60, 50 Gy; the highest counts",)

    def test_without_a_target_beam_doses_times_fractions(self):
        plan = read_planned(rtplan(prescription=None, beam_doses=(0.75, 1.25)))
        assert plan.prescription_gy == pytest.approx(60)
        assert "sum of the beams" in plan.notes[0]

    def test_fraction_groups_are_added(self):
        dataset = rtplan(prescription=None, beam_doses=(1.0, 1.0), fractions=25)
        boost = item(
            FractionGroupNumber=2,
            NumberOfFractionsPlanned=5,
            ReferencedBeamSequence=[item(ReferencedBeamNumber=1, BeamDose=1.8)],
        )
        dataset.FractionGroupSequence.append(boost)
        plan = read_planned(dataset)
        assert (plan.prescription_gy, plan.fractions) == (pytest.approx(59), 30)
        assert plan.groups == ((1, 25), (2, 5))
        assert "2 fraction groups were added up" in plan.notes

    def test_beams_that_disagree_are_noted(self):
        assert read_planned(rtplan(beam_doses=(1.0, 0.98))).notes == ()
        plan = read_planned(rtplan(beam_doses=(0.5, 0.5)))
        assert plan.prescription_gy == 60
        assert plan.notes == ("the beams' doses add up to 30 Gy, the prescription is 60 Gy",)

    def test_of_ions_only_rbe_weighted_beam_doses_count(self):
        weighted = proton_plan(prescription=None, beam_doses=(2.0,), beam_dose_type="EFFECTIVE")
        assert read_planned(weighted).prescription_gy == 60
        physical = proton_plan(prescription=None, beam_doses=(1.82,), beam_dose_type="PHYSICAL")
        with pytest.raises(DataError, match="RBE-weighted"):
            read_planned(physical)
        reference = physical.FractionGroupSequence[0].ReferencedBeamSequence[0]
        reference.AlternateBeamDose, reference.AlternateBeamDoseType = 2.0, "EFFECTIVE"
        assert read_planned(physical).prescription_gy == 60

    def test_none_at_all(self):
        with pytest.raises(DataError, match="neither a prescription"):
            read_planned(rtplan(prescription=None))

    def test_centigray_is_refused_by_name(self):
        with pytest.raises(DataError, match=r"6000 Gy.*cGy"):
            read_planned(rtplan(prescription=6000.0))


class TestWhatIsNoTreatment:
    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            ({"ApprovalStatus": "REJECTED"}, "rejected"),
            ({"PlanIntent": "VERIFICATION"}, "verification"),
            ({"PlanIntent": "MACHINE_QA"}, "machine qa"),
            ({"fractions": 0}, "how many fractions"),
            ({"fractions": None}, "how many fractions"),
        ],
    )
    def test_is_refused_by_name(self, values, reason):
        with pytest.raises(DataError, match=reason):
            read_planned(rtplan(**values))

    def test_brachytherapy(self):
        plan = rtplan()
        plan.FractionGroupSequence[0].ReferencedBrachyApplicationSetupSequence = [item(BrachyApplicationSetupDose=7)]
        with pytest.raises(DataError, match="brachytherapy"):
            read_planned(plan)

    def test_another_object(self):
        with pytest.raises(DataError, match="not an RTPLAN"):
            read_planned(rtdose([[[1]]]))

    def test_no_fraction_group(self):
        plan = rtplan()
        del plan.FractionGroupSequence
        with pytest.raises(DataError, match="how many fractions"):
            read_planned(plan)


def test_unknown_days_and_approval_are_none():
    plan = read_planned(rtplan(date=""))
    assert plan.day is None
    assert plan.approved is None


@pytest.mark.parametrize(("fractions", "day"), [(1, 0), (5, 4), (6, 7), (15, 18), (30, 39), (33, 44)])
def test_last_day_of_five_fractions_a_week(fractions, day):
    assert last_day(fractions) == day
