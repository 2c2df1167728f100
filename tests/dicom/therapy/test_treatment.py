"""A treatment out of many objects: what cannot be used is told and stops nothing else."""

import numpy as np
from tests.dicom.department import rtdose, rtplan, treatment_record
from tests.dicom.scans import mr_series

from flame.dicom.radiotherapy import CourseDoses
from flame.dicom.series import series_of
from flame.dicom.therapy.treatment import doses_of, planning_ct, read_treatment


def stored(tmp_path, *objects):
    tmp_path.mkdir(exist_ok=True)
    paths = []
    for place, one in enumerate(objects):
        one.SeriesInstanceUID = f"2.25.9{place}"
        paths.append(tmp_path / f"{place}.dcm")
        one.save_as(paths[-1], enforce_file_format=True)
    return series_of(paths)


def dose(value=30000, **words):
    return rtdose(np.full((3, 4, 4), value, np.uint16), **words)


def test_plan_records_and_dose_make_one_course(tmp_path):
    series = stored(tmp_path, rtplan(fractions=2, prescription=30.0), dose(), treatment_record("2.25.1", "20200110", 1))
    treatment = read_treatment("P1", series)
    (course,) = treatment.courses
    assert (course.arm, course.prescription_gy, f"{course.start:%Y%m%d}") == ("photon", 30.0, "20200110")
    (doses,), _ = doses_of("P1", treatment)
    np.testing.assert_allclose(doses.dose.volume.array, 30.0)
    assert planning_ct(course, doses, series) is None


def test_the_planning_ct_lies_in_the_frame_of_the_plan_or_else_of_the_dose(tmp_path):
    other, ct = (mr_series(seed, 3) for seed in (1, 2))
    for one in (*other, *ct):
        one.Modality = "CT"
    plan = rtplan()
    del plan.FrameOfReferenceUID
    series = stored(tmp_path / "a", plan, dose(frame=ct[0].FrameOfReferenceUID))
    scans = series_of([*other, *ct])
    treatment = read_treatment("P1", series)
    (doses,), _ = doses_of("P1", treatment)
    assert planning_ct(treatment.courses[0], doses, scans).frame == ct[0].FrameOfReferenceUID
    assert planning_ct(treatment.courses[0], CourseDoses(None, None), scans) is None


def test_what_may_be_wrong_is_a_warning(tmp_path):
    series = stored(
        tmp_path, rtplan(), rtplan(uid="2.25.5"), dose(2100, plans=("2.25.1",)), dose(60000, plans=("2.25.5",))
    )
    treatment = read_treatment("P1", series)
    _, findings = doses_of("P1", treatment)
    told = [one.what for one in (*treatment.findings, *findings) if one.severity == "warning"]
    assert told == [
        "course 1: no treatment record tells which of 2 plans were given; all are counted",
        "course 1: start is the day of the plan, end follows from five fractions a week: no treatment record is there",
        "dose of course 1: the dose reaches 2.1 of 60 Gy: it looks like that of one fraction, under the name of all",
    ]


def test_a_plan_that_cannot_be_used_is_told_and_the_other_counts(tmp_path):
    series = stored(tmp_path, rtplan(), rtplan(uid="2.25.5", ApprovalStatus="REJECTED"))
    treatment = read_treatment("P1", series)
    assert [part.plan.uid for part in treatment.courses[0].parts] == ["2.25.1"]
    told = [one for one in treatment.findings if one.severity == "warning"]
    assert [one.what for one in told] == [
        "a plan was left out: The plan was rejected and not delivered",
        "course 1: start is the day of the plan, end follows from five fractions a week: no treatment record is there",
    ]


def test_a_dose_without_a_plan_is_an_error(tmp_path):
    treatment = read_treatment("P1", stored(tmp_path, dose()))
    assert treatment.courses == ()
    assert [one.what for one in treatment.findings] == ["there is a dose, but no plan that can be used"]


def test_a_course_without_a_dose_asks_for_a_second_look(tmp_path):
    (doses,), findings = doses_of("P1", read_treatment("P1", stored(tmp_path, rtplan())))
    assert doses.dose is None
    assert [(one.severity, one.what) for one in findings] == [("warning", "course 1 has no dose that can be used")]


def test_a_dose_in_centigray_is_refused_by_its_plan(tmp_path):
    treatment = read_treatment("P1", stored(tmp_path, rtplan(), dose(60000, scaling=0.1)))
    _, findings = doses_of("P1", treatment)
    assert [one.severity for one in findings if "cGy" in one.what] == ["error"]
