"""SAILOR from a tree in its layout: separate masks, intervals, a dose map whose course the user has to give."""

import pytest
from tests.records.sources.layouts import patients, put, shots, table

from flame.errors import DataError
from flame.records.intake import read_intake
from flame.records.sources.sailor import open_set
from flame.records.sources.supplement import read_courses, with_course
from flame.records.sources.writing import bring_in
from flame.records.volume import read_native


@pytest.fixture(scope="module")
def source(trial, tmp_path_factory):
    root = tmp_path_factory.mktemp("sailor")
    for number, patient in zip(("01", "02"), patients(trial, "site-3")):
        for order, shot in enumerate(shots(patient)[:3], start=1):
            place = root / f"sub-{number}" / f"ses-{order:02d}"
            for name, sequence in (("T1", "T1w"), ("T1c", "T1ce"), ("Flair", "FLAIR"), ("T2", "T2w")):
                put(place / f"{name}.nii.gz", shot.images[sequence])
            put(place / "EdemaMask-CL.nii.gz", shot.mask(2))
            put(place / "ContrastEnhancedMask-CL.nii.gz", shot.mask(3))
        put(root / f"sub-{number}" / "DoseMap.nii.gz", read_native(patient.courses[0].dose))
        (root / f"sub-{number}" / "age-years.txt").write_text("61.5\n")
        (root / f"sub-{number}" / "overall-survival-months.txt").write_text("12\n")
        (root / f"sub-{number}" / "intervals-days.txt").write_text("28\n35\n")
    (root / "sub-02" / "intervals-days.txt").write_text("28\n")
    (root / "sub-01" / "ses-03" / "EdemaMask-CL.nii.gz").unlink()
    (root / "sub-01" / "age-years.txt").unlink()
    columns = ("patients", "age", "survival_months", "num_ses", "interval_days")
    table(root / "sailor_info.csv", columns, [("sub-01", 44, 12, 3, "28 35")], ",")
    return root


def test_exams_masks_and_days(source, tmp_path):
    result = bring_in(open_set(source), tmp_path)
    patient = read_intake(tmp_path, "SAI01")
    assert [exam.day for exam in patient.exams] == [0, 28, 63]
    assert [[one.shows for one in exam.outlines] for exam in patient.exams] == [["SNFH", "ET"], ["SNFH", "ET"], ["ET"]]
    assert patient.death_day == 365  # 12 months of 30.4375 days
    assert patient.age == 44  # from sailor_info.csv, as the patient's own file is missing
    said = "\n".join(finding.what for finding in result.findings if finding.patient == "SAI01")
    assert "exam ses-03: 1 of 2 masks missing" in said
    assert "no course: the set states no prescription" in said


def test_intervals_that_do_not_fit_the_exams_leave_the_patient_out(source, tmp_path):
    result = bring_in(open_set(source), tmp_path)
    assert result.patients == ("SAI01",)
    (finding,) = (finding for finding in result.findings if finding.patient == "SAI02")
    assert finding.severity == "error"
    assert "holds 1 intervals for 3 exams" in finding.what


def test_the_users_course_takes_the_dose_map(source, tmp_path):
    columns = ("patient", "arm", "prescription_gy", "fractions", "start_day", "end_day")
    rows = read_courses(table(tmp_path / "courses.tsv", columns, [("SAI01", "photon", 60, 30, 14, "n/a")]))
    bring_in(open_set(source), tmp_path / "in", lambda draft: with_course(draft, rows))
    patient = read_intake(tmp_path / "in", "SAI01")
    (course,) = patient.courses
    assert (course.start_day, course.end_day, course.fractions) == (0, 39, 30)
    assert [exam.day for exam in patient.exams] == [-14, 14, 49]
    assert patient.death_day == 351
    assert read_native(tmp_path / "in" / "SAI01" / course.dose.file).array.max() > 40


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (("SAI01", "neutron", 60, 30, 0, "n/a"), "line 2, column arm: 'neutron' is none of"),
        (("SAI01", "photon", 60, 0, 0, "n/a"), "both must be above 0"),
        (("SAI01", "photon", 60, 30, 9, 8), r"cannot end \(day 8\) before it starts \(day 9\)"),
    ],
    ids=["arm", "fractions", "end"],
)
def test_a_course_that_cannot_be(source, tmp_path, line, says):
    columns = ("patient", "arm", "prescription_gy", "fractions", "start_day", "end_day")
    rows = read_courses(table(tmp_path / "courses.tsv", columns, [line]))
    with pytest.raises(DataError, match=says):
        with_course(open_set(source).patients["SAI01"](), rows)


def test_no_set_there(tmp_path):
    with pytest.raises(DataError, match="holds no folder of a SAILOR patient"):
        open_set(tmp_path)
