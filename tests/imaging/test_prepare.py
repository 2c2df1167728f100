from dataclasses import replace

import numpy as np
import pytest
from tests.records.sites import GRID, SHAPE, make_site, put

from flame.errors import DataError
from flame.imaging.intensity import zscore
from flame.imaging.prepare import Crop, observed, prepare_patient
from flame.records.patient import LABELS, SEQUENCES, Exam
from flame.records.volume import Grid, read_volume

CROP = Crop(spacing_mm=4.0, size=8)


@pytest.fixture
def patient(tmp_path):
    return make_site(tmp_path).patients[0]


def _exam(patient, index, **change):
    exams = list(patient.exams)
    exams[index] = replace(exams[index], **change)
    return replace(patient, exams=tuple(exams))


def _window(array, grid):
    """What lies at the voxels of `grid`, cut out of an array on GRID by hand."""
    start = np.rint((grid.affine[:3, 3] - GRID.affine[:3, 3]) / 4.0).astype(int)
    padded = np.pad(array, 8)
    return padded[tuple(slice(8 + a, 8 + a + 8) for a in start)]


class TestPreparePatient:
    def test_the_cube_is_centred_on_the_tumour(self, patient):
        grid = prepare_patient(patient, CROP).grid
        assert grid.shape == (8, 8, 8)
        tumour_mm = np.array([3.5, 4.0, 4.5]) * 4.0
        assert np.abs(grid.affine[:3, 3] + 4 * 4.0 - tumour_mm).max() <= 2.0

    def test_images_are_scored_over_the_whole_brain_and_then_cut(self, patient):
        brain = np.ones(SHAPE, np.uint8)
        brain[:, :, 9] = 0
        for exam in patient.exams:
            put(exam.brain_mask, brain)
        prepared = prepare_patient(patient, CROP)
        assert [exam.exam for exam in prepared.exams] == list(patient.exams)
        for exam in prepared.exams:
            assert exam.images.dtype == np.float32
            assert exam.images.shape == (4, 8, 8, 8)
            for image, name in zip(exam.images, SEQUENCES, strict=True):
                whole = zscore(read_volume(exam.exam.sequences[name]).array, brain > 0)
                np.testing.assert_array_equal(image, _window(whole, prepared.grid))
        np.testing.assert_array_equal(prepared.brain, _window(brain, prepared.grid) > 0)

    def test_labels_and_doses_keep_their_values(self, patient):
        prepared = prepare_patient(patient, CROP)
        labels = read_volume(patient.exams[0].label_map).array
        np.testing.assert_array_equal(prepared.exams[0].label_map, _window(labels, prepared.grid))
        assert prepared.exams[0].label_map.dtype == np.uint8
        inside = _window(np.ones(SHAPE), prepared.grid) > 0
        (course,) = prepared.courses
        np.testing.assert_allclose(course.dose_rbe_gy, 60.0 * inside)
        np.testing.assert_allclose(course.dose_gy, 60 / 1.1 * inside, rtol=1e-6)
        np.testing.assert_allclose(course.letd, 2.5 * inside)

    def test_each_exam_is_scored_in_its_own_brain_or_else_in_the_first(self, patient):
        half = np.ones(SHAPE, np.uint8)
        half[:2] = 0
        put(patient.exams[1].brain_mask, half)
        own = prepare_patient(patient, CROP)
        assert not own.exams[1].images[:, : 2 - round(own.grid.affine[0, 3] / 4)].any()
        shared = prepare_patient(_exam(patient, 0, brain_mask=None), CROP)
        np.testing.assert_array_equal(shared.brain, _window(half, shared.grid) > 0)
        assert not shared.exams[0].images[:, ~shared.brain].any()

    def test_what_is_missing_is_zero_or_none(self, patient):
        sequences = {"T1w": patient.exams[1].sequences["T1w"]}
        photon = replace(patient.courses[0], arm="photon", dose=None, letd=None)
        prepared = prepare_patient(
            replace(_exam(patient, 1, sequences=sequences, label_map=None), courses=(photon,)), CROP
        )
        assert [bool(image.any()) for image in prepared.exams[1].images] == [True, False, False, False]
        assert prepared.exams[1].label_map is None
        np.testing.assert_array_equal(prepared.courses[0].dose_gy, prepared.courses[0].dose_rbe_gy)
        assert not prepared.courses[0].letd.any()

    def test_without_a_core_the_cube_is_centred_on_what_is_labelled(self, patient):
        labels = np.zeros(SHAPE, np.uint8)
        labels[7, 8, 9] = LABELS["RC"]
        put(patient.exams[0].label_map, labels)
        middle = prepare_patient(patient, CROP).grid.affine[:3, 3] + 16.0
        np.testing.assert_allclose(middle, [28.0, 32.0, 36.0])

    def test_the_first_map_that_is_not_empty_is_the_reference(self, patient):
        put(patient.exams[0].label_map, np.zeros(SHAPE, np.uint8))
        prepared = prepare_patient(patient, CROP)
        assert not prepared.exams[0].label_map.any()
        assert prepared.exams[1].label_map.any()

    def test_a_coarser_cube_averages_images_and_doses(self, patient):
        prepared = prepare_patient(patient, Crop(spacing_mm=8.0, size=8))
        assert prepared.grid.spacing_mm == (8.0, 8.0, 8.0)
        assert set(np.unique(prepared.exams[0].label_map)) == {0, LABELS["ET"]}
        fine = prepare_patient(patient, CROP).exams[0].images
        assert prepared.exams[0].images.std() < fine.std() / 2
        assert abs(prepared.courses[0].dose_rbe_gy.max() - 60) < 1e-4


class TestRefuses:
    def _refused(self, patient, *parts):
        with pytest.raises(DataError) as raised:
            prepare_patient(patient, CROP)
        for part in ("001", *parts):
            assert part in raised.value.message
        assert raised.value.hint

    def test_empty_label_maps(self, patient):
        for exam in patient.exams:
            put(exam.label_map, np.zeros(SHAPE, np.uint8))
        self._refused(patient, "every label map is empty")

    def test_a_patient_without_exams(self, patient):
        self._refused(replace(patient, exams=()), "every label map is missing")

    def test_labels_that_do_not_exist(self, patient):
        put(patient.exams[0].label_map, np.full(SHAPE, 5, np.uint8))
        self._refused(patient, "dseg.nii.gz holds 5; labels are 0 to 4")

    @pytest.mark.parametrize("part", ["label_map", "brain_mask", "sequence", "dose_rbe"])
    def test_a_file_on_another_grid(self, patient, part):
        exam, course = patient.exams[1], patient.courses[0]
        paths = {"sequence": exam.sequences["FLAIR"], "dose_rbe": course.dose_rbe}
        path = paths.get(part) or getattr(exam, part)
        affine = GRID.affine.copy()
        affine[2, 3] = 4.0
        put(path, read_volume(path).array, Grid(SHAPE, affine))
        self._refused(patient, path.name, "another grid")

    def test_a_file_that_cannot_be_read(self, patient):
        patient.exams[1].sequences["T2w"].write_bytes(b"")
        self._refused(patient, "T2w.nii.gz is not a NIfTI file")

    def test_no_brain_mask_or_an_empty_one(self, patient):
        put(patient.exams[1].brain_mask, np.zeros(SHAPE, np.uint8))
        self._refused(patient, "mask.nii.gz is empty")
        self._refused(_exam(_exam(patient, 0, brain_mask=None), 1, brain_mask=None), "has no brain mask")


class TestObserved:
    """The course ends on day 42, so the first exam after radiotherapy lies between days 56 and 102."""

    def _prepared(self, patient, *days):
        base = patient.exams[0]
        template = prepare_patient(patient, CROP)
        exams = tuple(replace(template.exams[0], exam=replace(base, day=day)) for day in days)
        return replace(template, exams=exams), template.courses[0]

    def _days(self, patient, context, *days):
        prepared, course = self._prepared(patient, *days)
        return [exam.exam.day for exam in observed(prepared, course, context)]

    @pytest.mark.parametrize("days", [(-60, -14), (-14, 1, 70), (-60, -14, 20, 400)])
    def test_pre_rt_is_the_last_exam_before_the_course(self, patient, days):
        assert self._days(patient, "pre_rt", *days) == [-14]

    def test_an_exam_on_the_first_day_is_before_the_course(self, patient):
        assert self._days(patient, "pre_rt", -14, 0, 70) == [0]

    @pytest.mark.parametrize(
        ("days", "seen"), [((-14, 70, 90), 70), ((-14, 55, 56), 56), ((-14, 102), 102), ((-14, 20, 71, 200), 71)]
    )
    def test_first_post_rt_adds_the_first_exam_14_to_60_days_after_it(self, patient, days, seen):
        assert self._days(patient, "first_post_rt", *days) == [-14, seen]

    @pytest.mark.parametrize(
        ("context", "days", "what"),
        [
            ("pre_rt", (1, 70), "no exam before radiotherapy"),
            ("first_post_rt", (1, 70), "no exam before radiotherapy"),
            ("first_post_rt", (-14, 55, 103), "no exam 14 to 60 days after radiotherapy"),
        ],
    )
    def test_a_missing_exam_is_refused(self, patient, context, days, what):
        prepared, course = self._prepared(patient, *days)
        with pytest.raises(DataError, match=what):
            observed(prepared, course, context)

    def test_an_exam_without_a_label_map_is_refused(self, patient):
        prepared, course = self._prepared(patient, -14, 70)
        without = replace(prepared, exams=(prepared.exams[0], replace(prepared.exams[1], label_map=None)))
        assert len(observed(without, course, "pre_rt")) == 1
        with pytest.raises(DataError, match="exam of day 70: no label map"):
            observed(without, course, "first_post_rt")


def test_an_exam_without_images_is_all_zero(patient):
    prepared = prepare_patient(replace(patient, exams=(*patient.exams, Exam(100))), CROP)
    assert not prepared.exams[2].images.any()
