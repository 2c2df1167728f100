from dataclasses import replace

import pytest
from tests.records.sites import make_site

from flame.records.chart import chart_findings
from flame.records.patient import Outcome, Patient


@pytest.fixture
def patient(tmp_path):
    return make_site(tmp_path).patients[0]


def _found(patient):
    return [(one.severity, one.what) for one in chart_findings(patient)]


def _exam(patient, index, **change):
    exams = list(patient.exams)
    exams[index] = replace(exams[index], **change)
    return replace(patient, exams=tuple(exams))


def _course(patient, **change):
    return replace(patient, courses=(replace(patient.courses[0], **change),))


def test_a_sound_record_has_no_findings(patient):
    assert _found(patient) == []


def test_a_record_that_knows_nothing_lacks_exams_and_courses():
    assert _found(Patient("7")) == [("error", "no exam"), ("warning", "no radiotherapy course")]


@pytest.mark.parametrize(
    ("age", "severity"), [(18.0, None), (100.0, None), (17.0, "warning"), (-1.0, "error"), (121.0, "error")]
)
def test_age(patient, age, severity):
    found = [one for one, _ in _found(replace(patient, age=age))]
    assert found == ([] if severity is None else [severity])


@pytest.mark.parametrize(("diagnosis", "severity"), [(-14, None), (-13, "note"), (16, "note"), (17, "error")])
def test_an_exam_before_diagnosis(patient, diagnosis, severity):
    found = _found(replace(patient, diagnosis_day=diagnosis))
    expected = f"exam of day -14 is {diagnosis + 14} days before diagnosis (day {diagnosis})"
    assert found == ([] if severity is None else [(severity, expected)])


def test_a_label_map_that_does_not_show_all_regions(patient):
    assert _found(_exam(patient, 0, regions=("ET", "TC", "WT"))) == []
    found = [("warning", "exam of day -14: the label map does not show ET, WT")]
    assert _found(_exam(patient, 0, regions=("TC",))) == found


def test_follow_up_after_death(patient):
    assert _found(replace(patient, outcome=Outcome(death_day=70))) == []
    outcome = Outcome(death_day=-3, last_contact_day=5)
    assert _found(replace(patient, outcome=outcome)) == [
        ("error", "exam of day 70 after death on day -3"),
        ("error", "course from day 0 after death on day -3"),
        ("error", "last contact on day 5 after death on day -3"),
    ]


def test_an_exam_after_the_last_contact(patient):
    assert _found(replace(patient, outcome=Outcome(last_contact_day=70))) == []
    assert _found(replace(patient, outcome=Outcome(last_contact_day=69))) == [
        ("warning", "exam of day 70 after the last contact on day 69")
    ]


def test_missing_sequences(patient):
    sequences = patient.exams[1].sequences
    some = {name: sequences[name] for name in ("T1w", "FLAIR")}
    assert _found(_exam(patient, 1, sequences=some)) == [("warning", "exam of day 70: missing sequence T1ce, T2w")]
    assert _found(_exam(patient, 1, sequences={})) == [
        ("error", "exam of day 70: missing sequence T1w, T1ce, T2w, FLAIR")
    ]


def test_a_missing_label_map_is_an_error_where_a_course_starts_from_it(patient):
    missing = "exam of day 70: missing label map"
    assert _found(_exam(patient, 1, label_map=None)) == [("warning", missing)]
    assert _found(_exam(patient, 0, label_map=None))[1:] == [
        ("error", "course 1 (proton): its baseline, the exam of day -14, has no label map")
    ]


def test_a_brain_mask_is_needed_in_one_exam(patient):
    one = _exam(patient, 0, brain_mask=None)
    assert _found(one) == []
    assert _found(_exam(one, 1, brain_mask=None)) == [("error", "no brain mask in any exam")]


def test_a_course_without_exams(patient):
    assert _found(replace(patient, exams=patient.exams[1:])) == [
        ("error", "course 1 (proton): no exam before its start on day 0")
    ]
    assert _found(replace(patient, exams=patient.exams[:1])) == [
        ("warning", "course 1 (proton): no exam after its end on day 42")
    ]


def test_a_prescription_in_cgy(patient):
    assert _found(_course(patient, prescription_gy=6000.0)) == [
        ("error", "course 1 (proton): a prescription of 6000 Gy looks like cGy")
    ]


def test_ions_need_let_and_an_rbe_model_and_photons_do_not(patient):
    bare = _course(patient, letd=None, rbe_model=None)
    assert _found(bare) == [
        ("warning", "course 1 (proton): no LETd grid"),
        ("warning", "course 1 (proton): rbe_model is unknown"),
    ]
    assert _found(_course(bare, arm="photon")) == []


def test_a_missing_dose(patient):
    assert _found(_course(patient, dose=None)) == []
    assert _found(_course(patient, dose=None, dose_rbe=None)) == [("warning", "course 1 (proton): no dose grid")]
