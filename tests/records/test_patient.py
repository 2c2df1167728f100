from dataclasses import replace
from pathlib import Path

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


def test_the_prescribed_dose_of_ions_is_the_weighted_one() -> None:
    physical, weighted = Path("dose.nii.gz"), Path("dose_rbe.nii.gz")
    photons = Course("photon", 60.0, 30, 0, 42, dose=physical)
    carbon = Course("carbon", 60.0, 20, 0, 28, dose=physical)
    assert photons.prescribed_dose == physical
    assert carbon.prescribed_dose is None  # 24 Gy of carbon may be 60 Gy(RBE)
    assert replace(carbon, dose_rbe=weighted).prescribed_dose == weighted
