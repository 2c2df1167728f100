from dataclasses import replace

import numpy as np
import pytest
from tests.records.sites import GRID, SHAPE, make_site, put

from flame.records.images import inspect_images
from flame.records.volume import Grid, read_volume


@pytest.fixture
def patient(tmp_path):
    return make_site(tmp_path).patients[0]


def _found(patient):
    return [(one.severity, one.what) for one in inspect_images(patient).findings]


def _shifted(mm):
    affine = GRID.affine.copy()
    affine[0, 3] += mm
    return Grid(SHAPE, affine)


def test_sound_images_have_no_findings_and_a_digest_each(patient):
    inspection = inspect_images(patient)
    assert inspection.findings == ()
    assert [day for _, day in inspection.digests] == [-14] * 4 + [70] * 4
    assert len({digest for digest, _ in inspection.digests}) == 8


def test_what_cannot_be_read_is_a_finding_and_the_rest_is_still_checked(patient):
    truncated, not_finite = patient.exams[0].sequences["T2w"], patient.exams[1].sequences["T1ce"]
    truncated.write_bytes(truncated.read_bytes()[:-9])
    content = bytearray(_plain(not_finite))
    content[-4:] = np.float32(np.nan).tobytes()
    not_finite.write_bytes(content)
    left = GRID.affine * [[-1], [1], [1], [1]]
    flipped = put(patient.exams[1].sequences["FLAIR"], np.ones(SHAPE, np.float32), Grid(SHAPE, left))
    found = _found(patient)
    assert [severity for severity, _ in found] == ["error"] * 3
    for (_, what), path, reason in zip(
        found, (truncated, not_finite, flipped), ("truncated", "NaN", "RAS orientation"), strict=True
    ):
        assert str(path) in what
        assert reason in what


def _plain(path):
    import gzip

    return gzip.decompress(path.read_bytes())


def test_a_mask_on_another_grid_than_its_exam(patient):
    put(patient.exams[0].brain_mask, np.ones(SHAPE, np.uint8), _shifted(4.0))
    (found,) = _found(patient)
    assert found == (
        "error",
        "exam of day -14: sub-001_ses-pre0014_desc-brain_mask.nii.gz lies on another grid "
        "(8 x 9 x 10 voxels of 4 x 4 x 4 mm from 4, 0, 0) than the images "
        "(8 x 9 x 10 voxels of 4 x 4 x 4 mm from 0, 0, 0)",
    )


def test_an_exam_on_another_grid_than_the_first(patient):
    exam = patient.exams[1]
    for path in (*exam.sequences.values(), exam.label_map, exam.brain_mask):
        put(path, read_volume(path).array, _shifted(2.0))
    (found,) = _found(patient)
    assert found[0] == "error"
    assert found[1].startswith("exam of day 70 lies on another grid")


def test_a_constant_image(patient):
    put(patient.exams[0].sequences["FLAIR"], np.full(SHAPE, 7, np.float32))
    assert _found(patient) == [("error", "exam of day -14: all voxels of FLAIR hold 7")]


@pytest.mark.parametrize(
    ("values", "shown"), [([5], "5"), ([0.5], "0.5"), ([-1], "-1"), ([6, 7, 8, 9, 10, 11], "6, 7, 8, 9, 10, ...")]
)
def test_labels_outside_0_to_4_or_between(patient, values, shown):
    labels = read_volume(patient.exams[1].label_map).array.astype(np.float32)
    labels[0, 0, : len(values)] = values
    put(patient.exams[1].label_map, labels)
    found = [one for one in _found(patient) if "outside the brain" not in one[1]]
    assert found == [("error", f"exam of day 70: the label map holds {shown}; labels are 0 to 4")]


def test_an_empty_label_map_is_an_error_where_a_course_starts_from_it(patient):
    put(patient.exams[1].label_map, np.zeros(SHAPE, np.uint8))
    assert _found(patient) == [("note", "exam of day 70: the label map is empty")]
    put(patient.exams[0].label_map, np.zeros(SHAPE, np.uint8))
    assert _found(patient)[0] == ("error", "exam of day -14: the label map is empty, and a course starts from it")


def test_brain_masks(patient):
    put(patient.exams[0].brain_mask, np.zeros(SHAPE, np.uint8))
    half = np.ones(SHAPE, np.uint8)
    half[:4] = 0
    put(patient.exams[1].brain_mask, half)
    assert _found(patient) == [
        ("error", "exam of day -14: the brain mask is empty"),
        ("warning", "exam of day 70: 50% of the label map lies outside the brain mask"),
    ]


class TestDose:
    def _course(self, patient, **change):
        return replace(patient, courses=(replace(patient.courses[0], **change),))

    def test_in_cgy(self, patient):
        put(patient.courses[0].dose_rbe, np.full(SHAPE, 6000, np.float32))
        assert _found(patient) == [
            (
                "error",
                "course 1 (proton): sub-001_acq-course1_desc-rbe_dose.nii.gz reaches 6000, the prescription is 60 Gy",
            )
        ]

    def test_of_a_single_fraction_in_cgy(self, patient):
        put(patient.courses[0].dose_rbe, np.full(SHAPE, 200, np.float32))
        put(patient.courses[0].dose, np.full(SHAPE, 182, np.float32))
        assert "reaches 182, the prescription is 2 Gy" in _found(self._course(patient, prescription_gy=2.0))[0][1]

    def test_of_one_fraction_only(self, patient):
        put(patient.courses[0].dose_rbe, np.full(SHAPE, 2, np.float32))
        low, missed = _found(patient)
        assert low == (
            "warning",
            "course 1 (proton): the highest dose is 3% of the prescription of 60 Gy; is it the dose of one fraction?",
        )
        assert "misses the tumour" in missed[1]

    @pytest.mark.parametrize(("highest", "findings"), [(53, 1), (54.5, 0), (77, 0), (79, 1)])
    def test_against_the_prescription(self, patient, highest, findings):
        put(patient.courses[0].dose_rbe, np.full(SHAPE, highest, np.float32))
        assert len(_found(patient)) == findings

    def test_physical_dose_of_ions_may_be_far_below_the_prescription(self, patient):
        put(patient.courses[0].dose, np.full(SHAPE, 35, np.float32))
        without = self._course(patient, dose_rbe=None)
        assert _found(without) == []
        assert [severity for severity, _ in _found(self._course(without, arm="photon"))] == ["warning"]

    @pytest.mark.parametrize(("planes", "missed"), [(1, False), (0, True)])
    def test_that_misses_the_tumour(self, patient, planes, missed):
        dose = np.zeros(SHAPE, np.float32)
        dose[: 3 + planes] = 60
        put(patient.courses[0].dose_rbe, dose)
        expected = "course 1 (proton): the dose grid misses the tumour: 0% of it get half of the prescription"
        assert _found(patient) == ([("error", expected)] if missed else [])

    def test_below_zero(self, patient):
        put(patient.courses[0].letd, np.full(SHAPE, -1, np.float32))
        assert _found(patient) == [
            (
                "error",
                "course 1 (proton): sub-001_acq-course1_desc-letd_dose.nii.gz holds -1; no dose or LETd is below 0",
            )
        ]

    def test_on_another_grid(self, patient):
        put(patient.courses[0].dose, np.full(SHAPE, 50, np.float32), _shifted(1.0))
        (found,) = _found(patient)
        assert found[1].startswith(
            "course 1 (proton): sub-001_acq-course1_desc-physical_dose.nii.gz lies on another grid"
        )
