import json

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from tests.imaging.heads import brain_volume, head, rigid
from tests.imaging.intakes import LATER, SPACING_MM, make_patient, small_head, tumour_of

from flame.errors import DataError
from flame.files import read_json
from flame.imaging.align import displacement_mm
from flame.imaging.intake import Preparation, prepare_intake, prepare_one
from flame.imaging.itk import onto
from flame.imaging.nyul import Scale, landmarks
from flame.imaging.prepared import prepared_path
from flame.records.check import check_site
from flame.records.dataset import read_site
from flame.records.intake import IntakeImage, write_intake
from flame.records.volume import Volume, read_volume, write_volume

SETTINGS = Preparation(spacing_mm=SPACING_MM, brain="atlas")
SCALE = Scale(landmarks={"T1ce": (0, 4, 9, 20, 33, 41, 50, 55, 61, 80, 100)})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Two patients, prepared once; what is tested leaves the folders as they are."""
    folder = tmp_path_factory.mktemp("prepared")
    intake, site = folder / "intake", folder / "site"
    write_intake(intake, _zscored(make_patient(intake, "A1"), 70))
    make_patient(intake, "B2", 1000, small=True)
    results = prepare_intake(intake, site, "St Anna", SETTINGS)
    return intake, site, results


@pytest.fixture(scope="module")
def scaled(prepared, tmp_path_factory):
    """The smaller patient's record and folder on the scale."""
    folder = tmp_path_factory.mktemp("scaled")
    result = prepare_one(prepared[0], folder, "B2", SETTINGS.model_copy(update={"scale": SCALE}))
    return result.record, folder


def _zscored(patient, first_day=0):
    """The same patient with images that are z-scored already from an exam on: no bias field is looked for in them."""
    done = {"already_prepared": frozenset({"zscored"})}
    exams = [exam.model_copy(update=done) if exam.day >= first_day else exam for exam in patient.exams]
    return patient.model_copy(update={"exams": tuple(exams)})


def _files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestSite:
    def test_the_check_finds_no_error(self, prepared):
        site = read_site(prepared[1])
        assert [one for one in check_site(site) if one.severity == "error"] == []
        assert [one.id for one in site.patients] == ["A1", "B2"]
        assert site.name == "St Anna"

    def test_records_come_through(self, prepared):
        patient = read_site(prepared[1]).patients[0]
        assert patient.age == 61
        assert [exam.day for exam in patient.exams] == [0, 70]
        assert patient.exams[0].regions == ("ET", "TC")
        assert patient.exams[0].steroid_mg == 2.0
        assert patient.courses[0].prescription_gy == 60

    def test_no_voxel_outside_the_brain_is_left(self, prepared):
        """The face stays in the intake."""
        for exam in read_site(prepared[1]).patients[0].exams:
            brain = read_volume(exam.brain_mask).array > 0
            for path in exam.sequences.values():
                assert not read_volume(path).array[~brain].any()
                assert (read_volume(path).array[brain] > 0).mean() > 0.98

    def test_the_tumour_of_the_later_exam_lies_where_it_was(self, prepared):
        """The head was moved by 8 mm and 7 degrees; in the site's frame the tumour has not moved."""
        for exam in read_site(prepared[1]).patients[0].exams:
            labels = read_volume(exam.label_map)
            truth = tumour_of(labels.grid)
            found = labels.array == 3
            assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9

    def test_dose_comes_with_the_frame_of_its_image(self, prepared):
        patient = read_site(prepared[1]).patients[0]
        dose = read_volume(patient.courses[0].dose)
        core = tumour_of(dose.grid)
        assert np.median(dose.array[core]) == pytest.approx(60, abs=0.01)
        assert np.median(dose.array[~core & (read_volume(patient.exams[0].brain_mask).array > 0)]) == pytest.approx(20)

    def test_transforms_and_lights_are_kept(self, prepared):
        content = read_json(prepared_path(prepared[1], "A1", 70, "prepared.json"))
        matrix = np.array(content["images"]["T1ce"]["matrix"])
        assert abs(np.linalg.det(matrix[:3, :3]) - 1) < 1e-9
        corners = np.array([[60, 40, 60, 1], [-60, -80, 0, 1], [0, 0, 0, 1]]).T
        assert np.abs((matrix @ LATER @ corners - corners)[:3]).max() < 1.5
        assert content["images"]["FLAIR"]["placed"] == "kept"
        assert {one["light"] for one in content["quality"] if one["gauge"] == "inverse_mm"} == {"green"}
        assert len(content["images"]["T1ce"]["landmarks"]["values"]) == 11


class TestScale:
    def test_landmarks_of_the_images_are_those_of_the_scale(self, scaled):
        record, folder = scaled
        (exam,) = record["exams"]
        assert exam["images"]["T1ce"]["standardised"]
        image, brain = (read_volume(next(folder.rglob(name))) for name in ("*T1w.nii.gz", "*mask.nii.gz"))
        found = landmarks(image.array, brain.array > 0)
        np.testing.assert_allclose(found, SCALE.landmarks["T1ce"], atol=0.1)  # between voxels
        assert not image.array[brain.array == 0].any()

    def test_landmarks_that_are_kept_are_the_scanners(self, prepared, scaled):
        before = read_json(prepared_path(prepared[1], "B2", 0, "prepared.json"))["images"]["T1ce"]
        after = scaled[0]["exams"][0]["images"]["T1ce"]
        assert after == before | {"standardised": True}

    def test_a_sequence_that_the_scale_does_not_know_stays_with_a_finding(self, prepared, tmp_path):
        scale = Scale(landmarks={"T2w": SCALE.landmarks["T1ce"]})
        result = prepare_one(prepared[0], tmp_path, "B2", SETTINGS.model_copy(update={"scale": scale}))
        assert any("T1ce stays in the scanner's unit" in one.what for one in result.findings)
        assert not result.record["exams"][0]["images"]["T1ce"]["standardised"]
        name = next(tmp_path.rglob("*T1w.nii.gz")).relative_to(tmp_path)
        assert (tmp_path / name).read_bytes() == (prepared[1] / name).read_bytes()

    def test_without_a_scale_nothing_is_prepared_anew(self):
        """The words that the digest of the settings has always been made of."""
        assert SETTINGS.model_dump_json(exclude_none=True) == '{"spacing_mm":4.0,"margin_mm":6.0,"brain":"atlas"}'


class TestAgain:
    def test_what_is_done_is_not_done_again(self, prepared):
        intake, site, _ = prepared
        before = _files(site)
        results = prepare_intake(intake, site, "another name", SETTINGS)
        assert all(one.again for one in results)
        assert _files(site) == before

    def test_the_same_input_gives_the_same_bytes(self, prepared, tmp_path):
        intake, site, _ = prepared
        prepare_one(intake, tmp_path / "second", "B2", SETTINGS)
        second = _files(tmp_path / "second")
        assert second == {path: content for path, content in _files(site).items() if path in second}
        assert len(second) >= 6


class TestPlanningCt:
    def test_dose_follows_its_ct_into_the_frame_of_the_images(self, tmp_path):
        """CT and dose lie in a frame of their own, turned by 6 degrees and 10 mm away; nothing but the CT tells."""
        intake = tmp_path / "intake"
        patient = make_patient(intake, "A1", small=True)
        there = rigid((6.0, 0.0, -4.0), (10.0, 3.0, -5.0))
        mr, brain = small_head(head("T1w", 9, SPACING_MM)), brain_volume(SPACING_MM).array > 0.5
        bone = (mr.array < 70) & ~brain & (distance_transform_edt(~brain, sampling=mr.grid.spacing_mm) < 6)
        numbers = np.where(brain, 20 + 0.05 * mr.array, np.where(bone, 900, np.where(mr.array > 300, -60, -1000)))
        ball = tumour_of(mr.grid)
        for name, array in (("ct", numbers), ("dose", np.where(ball, 60.0, 20.0))):
            volume = Volume(array.astype(np.float32), mr.grid)
            shifted = onto(volume, mr.grid, there, how="linear", outside=-1000.0 if name == "ct" else 20.0)
            write_volume(intake / "A1" / f"{name}.nii.gz", Volume(shifted, mr.grid))
        images = {name: IntakeImage(file=f"{name}.nii.gz", frame="ct") for name in ("ct", "dose")}
        course = patient.courses[0].model_copy(update=images)
        write_intake(intake, _zscored(patient.model_copy(update={"courses": (course,)})))
        result = prepare_one(intake, tmp_path / "site", "A1", SETTINGS)
        course = result.record["courses"][0]
        assert course["placed"] == "alignment of the planning CT"
        points = np.argwhere(brain)[::20] @ mr.grid.affine[:3, :3].T + mr.grid.affine[:3, 3]
        assert displacement_mm(np.array(course["matrix"]) @ there, points) < 2.0
        assert {one["light"] for one in course["quality"]} == {"green"}
        assert course["grids"] == ["dose"]


class TestBadPatients:
    def test_one_bad_patient_does_not_stop_the_site(self, tmp_path):
        intake, site = tmp_path / "intake", tmp_path / "site"
        write_intake(intake, _zscored(make_patient(intake, "A1", small=True)))
        bad = intake / "B2"
        make_patient(intake, "B2", small=True)
        (bad / "0-T1ce.nii.gz").write_bytes(b"\x1f\x8bno gzip")
        make_patient(intake, "C3", small=True, exams=())
        results = prepare_intake(intake, site, "St Anna", SETTINGS)
        assert [one.record is not None for one in results] == [True, False, False]
        assert "truncated or damaged" in results[1].findings[0].what
        assert "no image" in results[2].findings[0].what
        assert [one.id for one in read_site(site).patients] == ["A1"]

    def test_a_dose_whose_place_nobody_knows_is_left_out_with_a_finding(self, tmp_path):
        intake = tmp_path / "intake"
        patient = make_patient(intake, "A1", small=True)
        lost = patient.courses[0].model_copy(update={"dose": IntakeImage(file="dose.nii.gz", frame="elsewhere")})
        write_intake(intake, _zscored(make_patient(intake, "A1", small=True, courses=(lost,))))
        result = prepare_one(intake, tmp_path / "site", "A1", SETTINGS)
        assert result.record["courses"][0]["grids"] == []
        assert "nothing tells where its dose lies" in json.dumps([one.what for one in result.findings])

    def test_an_empty_intake_is_refused(self, tmp_path):
        (tmp_path / "intake").mkdir()
        with pytest.raises(DataError, match="holds no patient"):
            prepare_intake(tmp_path / "intake", tmp_path / "site", "St Anna", SETTINGS)
