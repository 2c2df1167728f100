"""From the store to records: what is made, what is told, and what is not done twice."""

import fcntl
import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import CTImageStorage
from tests.dicom.department import contour, rtdose, rtplan, rtstruct
from tests.dicom.scans import mr_series

from flame.dicom.ingest import ingest, key_beside
from flame.dicom.receive import Patience, Wanted
from flame.errors import ConfigError, EngineError
from flame.records.intake import intake_patients, read_intake
from flame.records.volume import read_native

SLICES, PIXELS = 24, 80
"""More than 60 mm each way: less is taken for a part of the head."""


def save(folder, instances):
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(instances, len(list(folder.iterdir()))):
        one.save_as(folder / str(number), enforce_file_format=True)


def bring_in(folder: Path, intake: Path):
    return ingest(folder, intake, key_beside(intake), Wanted(), Patience())


def exam(seed=1, patient="4711", series=(1, 2)):
    return [one for number in series for one in mr_series(seed, SLICES, PIXELS, patient, number)]


def placed(dataset, uid, frame, patient="4711"):
    """An object of the department that belongs to a patient and a frame of reference."""
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.900", f"2.25.901{uid[5:]}"
    dataset.PatientID, dataset.FrameOfReferenceUID = patient, frame
    return dataset


def test_a_record_holds_the_exam_in_its_own_grid_and_days(tmp_path):
    scans = exam()
    save(tmp_path / "in", scans)
    (made,), findings = bring_in(tmp_path / "in", tmp_path / "intake")
    assert findings == []
    assert (made.exams, made.courses, made.again) == (1, 0, False)
    patient = read_intake(tmp_path / "intake", made.patient)
    (one,) = patient.exams
    assert (patient.source, patient.sex, patient.age) == ("dicom", "F", 64.0)  # born 1960-03-01, seen 2024-03-05
    assert (one.day, set(one.images), one.outlines) == (0, {"T1w", "T1ce"}, ())
    assert one.images["T1w"].frame == one.images["T1ce"].frame
    volume = read_native(tmp_path / "intake" / made.patient / one.images["T1w"].file)
    pixels = np.stack([scan.pixel_array for scan in scans[:SLICES]])
    np.testing.assert_array_equal(volume.array, pixels.transpose(2, 1, 0))
    np.testing.assert_allclose(volume.grid.affine[:3, 3], [100.0, 120.0, 0.0])  # LPS -100, -120, 0
    np.testing.assert_allclose(volume.grid.spacing_mm, (0.9, 0.9, 3.0))


def test_nothing_is_done_again_unless_something_came(tmp_path):
    save(tmp_path / "in", exam(seed=1))
    save(tmp_path / "in", exam(seed=2, patient="4712"))
    bring_in(tmp_path / "in", tmp_path / "intake")
    again, _ = bring_in(tmp_path / "in", tmp_path / "intake")
    assert [one.again for one in again] == [True, True]
    save(tmp_path / "in", exam(seed=2, patient="4712", series=(3,)))
    grown, _ = bring_in(tmp_path / "in", tmp_path / "intake")
    assert sorted(one.again for one in grown) == [False, True]
    before = [(one.exams, one.courses, one.findings) for one in grown]
    assert [
        (one.exams, one.courses, one.findings) for one in bring_in(tmp_path / "in", tmp_path / "intake")[0]
    ] == before


def test_a_patient_who_cannot_be_used_does_not_stop_the_others(tmp_path):
    save(tmp_path / "in", exam(seed=1))
    save(tmp_path / "in", exam(seed=2, patient="4712"))
    (first, second), _ = bring_in(tmp_path / "in", tmp_path / "intake")
    stored = next((tmp_path / "intake" / "dicom" / first.patient).glob("*/*/*.dcm"))
    stored.write_bytes(b"x" * 200)
    (record,) = (tmp_path / "intake" / second.patient).glob("patient.json")
    record.unlink()
    (tmp_path / "empty").mkdir()
    made, findings = bring_in(tmp_path / "empty", tmp_path / "intake")
    assert [one.patient for one in made] == [second.patient]
    assert record.exists()
    assert [one.what.partition(":")[0] for one in findings if one.patient == first.patient] == ["the store is damaged"]


def test_what_a_killed_command_left_half_written_is_passed_by(tmp_path):
    save(tmp_path / "in", exam())
    (made,), _ = bring_in(tmp_path / "in", tmp_path / "intake")
    stored = next((tmp_path / "intake" / "dicom" / made.patient).glob("*/*/*.dcm"))
    stored.with_name(f".77.partial.{stored.name}").write_bytes(stored.read_bytes()[:300])
    stored.unlink()  # it was not there yet
    (again,), findings = bring_in(tmp_path / "in", tmp_path / "intake")
    assert (again.exams, findings) == (1, [])
    assert not list((tmp_path / "intake").rglob("*.partial.*"))


def test_a_folder_at_which_another_process_works_is_left_alone(tmp_path):
    save(tmp_path / "in", exam()[:1])
    intake = tmp_path / "intake"
    intake.mkdir()
    with (intake / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EngineError, match="Another process is at work"):
            bring_in(tmp_path / "in", intake)
        assert [path.name for path in intake.iterdir()] == [".lock"]
    assert bring_in(tmp_path / "in", intake)[0]  # what a killed process held is free again


def test_a_record_whose_images_are_being_replaced_does_not_count(tmp_path, monkeypatch):
    """The new exam is before the old one, so exam-01 is another one from then on."""
    intake, early = tmp_path / "intake", exam(seed=2, series=(1,))
    save(tmp_path / "in", exam())
    (made,), _ = bring_in(tmp_path / "in", intake)
    for one in early:
        one.StudyDate = one.SeriesDate = one.AcquisitionDate = one.ContentDate = "20240101"
    save(tmp_path / "in", early)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("flame.dicom.assemble.write_intake", killed)
        with pytest.raises(KeyboardInterrupt):
            bring_in(tmp_path / "in", intake)
    assert intake_patients(intake) == ()
    (again,), _ = bring_in(tmp_path / "in", intake)
    assert [one.day for one in read_intake(intake, made.patient).exams] == [0, 64]  # 1 January to 5 March
    assert not again.again


def test_half_a_series_is_told_and_completed_later(tmp_path):
    scans = exam()
    save(tmp_path / "in", [*scans[:5], *scans[6:]])
    (made,), findings = bring_in(tmp_path / "in", tmp_path / "intake")
    assert [one.severity for one in findings] == ["warning"]
    assert set(read_intake(tmp_path / "intake", made.patient).exams[0].images) == {"T1ce"}
    save(tmp_path / "in", scans[5:6])
    (made,), findings = bring_in(tmp_path / "in", tmp_path / "intake")
    assert findings == []
    assert set(read_intake(tmp_path / "intake", made.patient).exams[0].images) == {"T1w", "T1ce"}


def test_what_a_person_decided_counts_and_is_kept(tmp_path):
    save(tmp_path / "in", exam())
    intake = tmp_path / "intake"
    (made,), _ = bring_in(tmp_path / "in", intake)
    plain = next(row for row in made.rows if row["sequence"] == "T1w")
    table = f"patient\tseries\tsequence\n{made.patient}\t{plain['series']}\tnone\n"
    (intake / "overrides.tsv").write_text(table)
    (changed,), _ = bring_in(tmp_path / "in", intake)
    assert set(read_intake(intake, made.patient).exams[0].images) == {"T1ce"}
    assert not (intake / made.patient / "exam-01" / "T1w.nii.gz").exists()
    assert not changed.again
    assert (intake / "overrides.tsv").read_text() == table
    assert f"{made.patient}\t1\t{plain['series']}\tnone\tno" in (intake / "series.tsv").read_text()


def test_a_course_has_its_dose_and_the_outline_lies_on_the_exam(tmp_path):
    scans = exam()
    frame, series = scans[0].FrameOfReferenceUID, scans[0].SeriesInstanceUID
    plan = placed(rtplan(uid="2.25.1", date="20240315"), "2.25.1", frame)
    dose = placed(rtdose(np.full((4, 10, 10), 30000, np.uint16)), "2.25.50", frame)
    square = [[-90.0, -110.0], [-81.0, -110.0], [-81.0, -101.0], [-90.0, -101.0]]
    contours = [contour([[x, y, 3.0 * number] for x, y in square]) for number in range(4, 8)]
    structures = placed(rtstruct([("GTV", contours)], frame), "2.25.60", frame)
    save(tmp_path / "in", [*scans, plan, dose, structures])
    (made,), findings = bring_in(tmp_path / "in", tmp_path / "intake")
    assert [one.what.partition(",")[0] for one in findings if one.severity != "note"] == [
        "course 1: start is the day of the plan"
    ]
    patient = read_intake(tmp_path / "intake", made.patient)
    (course,), (one,) = patient.courses, patient.exams
    assert (course.arm, course.prescription_gy, course.fractions, course.start_day) == ("photon", 60.0, 30, 0)
    assert one.day == -10  # 5 to 15 March
    assert {row["place"] for row in made.rows if row["exam"]} == {"10 days before course 1"}
    assert "\t10 days before course 1\t" in (tmp_path / "intake" / "series.tsv").read_text()
    assert course.dose is not None
    assert course.dose.frame == one.images["T1w"].frame
    volume = read_native(tmp_path / "intake" / made.patient / course.dose.file)
    np.testing.assert_allclose(volume.array, 30.0)  # 30000 x 0.001 Gy
    (outline,) = one.outlines
    assert (outline.shows, outline.name, outline.frame) == ("GTV", "GTV", one.images["T1w"].frame)
    mask = read_native(tmp_path / "intake" / made.patient / outline.file)
    assert mask.grid.shape == (PIXELS, PIXELS, SLICES)
    assert mask.array.sum() == pytest.approx(4 * 9.0 * 9.0 / 0.9**2, rel=0.15)  # four slices of 9 mm by 9 mm
    assert series not in json.dumps(patient.model_dump(mode="json"))


def test_what_is_drawn_on_a_ct_of_no_course_is_told(tmp_path):
    scans, ct = exam(), exam(seed=3, series=(1,))
    for one in ct:
        one.Modality, one.SOPClassUID = "CT", CTImageStorage
    frame = ct[0].FrameOfReferenceUID
    square = [[-90.0, -110.0], [-81.0, -110.0], [-81.0, -101.0], [-90.0, -101.0]]
    contours = [contour([[x, y, 3.0 * number] for x, y in square]) for number in range(4, 8)]
    save(tmp_path / "in", [*scans, *ct, placed(rtstruct([("GTV", contours)], frame), "2.25.60", frame)])
    (made,), findings = bring_in(tmp_path / "in", tmp_path / "intake")
    assert [(one.severity, one.what) for one in findings] == [
        ("warning", "structure set 1 was left out: it is drawn on a CT that is no planning CT of a course")
    ]
    assert not list((tmp_path / "intake" / made.patient).glob("outlines/*"))
    save(tmp_path / "in", [placed(rtplan(uid="2.25.1", date="20240315"), "2.25.1", frame)])
    (made,), findings = bring_in(tmp_path / "in", tmp_path / "intake")
    (course,) = read_intake(tmp_path / "intake", made.patient).courses
    assert [one.shows for one in course.outlines] == ["GTV"]
    assert not [one for one in findings if "left out" in one.what]


def test_a_key_among_the_data_is_refused_before_anything_is_written(tmp_path):
    save(tmp_path / "in", exam()[:1])
    with pytest.raises(ConfigError, match="lies in the intake folder"):
        ingest(tmp_path / "in", tmp_path / "intake", tmp_path / "intake" / "key", Wanted(), Patience())
    assert not (tmp_path / "intake").exists()


def test_a_source_that_is_the_intake_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="lie in each other"):
        bring_in(tmp_path, tmp_path / "intake")


def test_patients_whose_faces_are_in_it_are_for_the_owner_only(tmp_path):
    save(tmp_path / "in", exam())
    bring_in(tmp_path / "in", tmp_path / "intake")
    (patient,) = intake_patients(tmp_path / "intake")
    for folder in (tmp_path / "intake", tmp_path / "intake" / patient):
        assert folder.stat().st_mode & 0o077 == 0
    assert key_beside(tmp_path / "intake").stat().st_mode & 0o077 == 0
