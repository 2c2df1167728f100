import pytest

from flame.records.patient import LABELS, REGIONS, Course, Exam, Patient


def test_regions_are_nested():
    assert set(REGIONS["ET"]) < set(REGIONS["TC"]) < set(REGIONS["WT"])
    assert LABELS["RC"] not in REGIONS["WT"]


@pytest.mark.parametrize(
    ("change", "what"),
    [({"prescription_gy": 0.0}, "> 0 Gy"), ({"fractions": 0}, "one fraction"), ({"end_day": -1}, "before it starts")],
)
def test_a_course_that_cannot_be_is_refused(change, what):
    with pytest.raises(ValueError, match=what):
        Course(**{"arm": "photon", "prescription_gy": 60.0, "fractions": 30, "start_day": 0, "end_day": 42} | change)


def test_exams_out_of_order_are_refused():
    with pytest.raises(ValueError, match=r"exams of patient 7 are not in order of day: \[70, -14\]"):
        Patient("7", exams=(Exam(70), Exam(-14)))
