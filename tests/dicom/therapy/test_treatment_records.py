"""Treatment records: what was given on which day."""

from datetime import date

import pytest
from tests.dicom.department import item, rtplan, treatment_record

from flame.dicom.therapy.treatment_records import Delivered, day_of, delivered_by, read_treatment_record
from flame.errors import DataError


@pytest.mark.parametrize("ion", [False, True])
def test_a_session_tells_plan_day_and_fraction(ion):
    record = treatment_record("2.25.1", "20200107", 2, ion=ion)
    assert read_treatment_record(record) == Delivered("2.25.1", date(2020, 1, 7), ((1, 2),))


@pytest.mark.parametrize("changes", [{"delivery": "SETUP"}, {"meterset": 0.0}, {"beams": ()}])
def test_a_session_that_did_not_treat_is_none(changes):
    assert read_treatment_record(treatment_record("2.25.1", "20200107", 2, **changes)) is None


def test_a_beam_that_was_stopped_is_partial_unless_it_went_on():
    record = treatment_record("2.25.1", "20200107", 2, status="MACHINE")
    assert read_treatment_record(record).partial
    for number in (1, 2):
        resumed = item(
            ReferencedBeamNumber=number,
            CurrentFractionNumber=2,
            TreatmentDeliveryType="CONTINUATION",
            TreatmentTerminationStatus="NORMAL",
        )
        record.TreatmentSessionBeamSequence.append(resumed)
    assert read_treatment_record(record) == Delivered("2.25.1", date(2020, 1, 7), ((1, 2),))


def test_two_fractions_on_one_day_are_two():
    record = treatment_record("2.25.1", "20200107", 2)
    record.TreatmentSessionBeamSequence[1].CurrentFractionNumber = 3
    assert read_treatment_record(record).fractions == ((1, 2), (1, 3))


def test_records_of_a_plan_are_in_order_of_day():
    days = [Delivered("a", date(2020, 1, day), ((1, day),)) for day in (9, 7, 8)]
    found = delivered_by([*days, Delivered("b", date(2020, 1, 1), ((1, 1),))], "a")
    assert [one.day.day for one in found] == [7, 8, 9]


@pytest.mark.parametrize(("missing", "what"), [("TreatmentDate", "day"), ("ReferencedRTPlanSequence", "plan")])
def test_without_day_or_plan_it_is_refused(missing, what):
    record = treatment_record("2.25.1", "20200107", 2)
    delattr(record, missing)
    with pytest.raises(DataError, match=what):
        read_treatment_record(record)


def test_another_object():
    with pytest.raises(DataError, match="not an RT treatment record"):
        read_treatment_record(rtplan())


@pytest.mark.parametrize(
    ("found", "day"),
    [("20200229", date(2020, 2, 29)), ("20200230", None), ("", None)],
)
def test_days(found, day):
    assert day_of(item(TreatmentDate=found), "TreatmentDate") == day
