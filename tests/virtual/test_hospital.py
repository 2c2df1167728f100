"""The made-up hospital: every voxel, contour and dose lies where the truth says, and nothing but the seed decides."""

import json
from datetime import date, timedelta
from hashlib import sha256
from io import BytesIO

import highdicom
import numpy as np
import pydicom
import pytest
from skimage.draw import polygon2mask
from tests.dicom.standard import violations

from flame.records.dataset import read_site
from flame.records.patient import LABELS
from flame.records.volume import read_volume
from flame.virtual.hospital import hospital_folder, poses_path, write_hospital
from flame.virtual.trial import TrialSettings, site_folder, write_trial
from flame.virtual.truth import truth_folder

TINY = TrialSettings(sites=3, patients=1, spacing_mm=6.0, workers=1, seed=14, confounding=1.0, counterfactuals=())
SITES = {"photon": "site-1", "proton": "site-2", "carbon": "site-3"}
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

EXTENSIONS = {
    *(f"General: {name} TagUnexpected" for name in ("PatientAddress", "PatientTelephoneNumbers")),
    *(f"General: Rescale{name} TagUnexpected" for name in ("Slope", "Intercept", "Type")),
}
"""What hospitals add to the standard's modules, and makers to MR."""


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hospital") / "out"
    write_trial(folder, TINY)
    calls = []
    write_hospital(folder, TINY, lambda *call: calls.append(call))
    assert calls == [(1, 3, "site-1"), (2, 3, "site-2"), (3, 3, "site-3")]
    return folder


def digest(folder):
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Stay:
    """All that was written of one site's patient."""

    def __init__(self, out, site):
        (self.patient,) = read_site(site_folder(out, site)).patients
        self.truth = truth_folder(out, site, self.patient.id)
        self.poses = json.loads(poses_path(out, site, self.patient.id).read_text())
        self.identity = json.loads((self.truth / "identity.json").read_text())
        self.datasets = [pydicom.dcmread(path) for path in sorted(hospital_folder(out, site).rglob("*.dcm"))]

    def of(self, modality, **wanted):
        return [
            one
            for one in self.datasets
            if one.Modality == modality and all(one.get(key) == value for key, value in wanted.items())
        ]

    def date(self, day):
        return (date.fromisoformat(self.identity["day_zero"]) + timedelta(days=day)).strftime("%Y%m%d")

    def series(self, day, description):
        return self.of("MR", StudyDate=self.date(day), SeriesDescription=description)


@pytest.fixture(scope="module")
def stays(out):
    return {site: Stay(out, site) for site in SITES.values()}


@pytest.fixture(params=SITES.values())
def stay(stays, request):
    return stays[request.param]


def on_trial_grid(array, affine, pose, grid):
    """Voxels of an image (affine in LPS) at the voxels of the trial's grid; the map must hit voxels' middles."""
    back = np.linalg.inv(affine) @ LPS @ pose @ grid.affine
    index = np.stack([*np.indices(grid.shape).reshape(3, -1), np.ones(np.prod(grid.shape))])
    place = (back @ index)[:3]
    assert np.abs(place - np.rint(place)).max() < 1e-4
    found = np.rint(place).astype(int)
    inside = np.all((found >= 0) & (found < np.array(array.shape)[:3, None]), axis=0)
    values = np.zeros((inside.size, *array.shape[3:]), array.dtype)
    values[inside] = array[tuple(found[:, inside])]
    return values.reshape(*grid.shape, *array.shape[3:])


DESCRIPTIONS = {
    "site-1": {"T1ce": "t1_mprage_sag_p2_iso_gd", "T2w": "t2_tse_tra_p2", "FLAIR": "t2_tirm_tra_dark-fluid"},
    "site-2": {"T1w": "Ax T1 FSPGR 3D", "T1ce": "Ax T1 FSPGR 3D +C", "FLAIR": "Ax T2 FLAIR"},
    "site-3": {"T2w": "T2W_TSE_CLEAR", "FLAIR": "FLAIR_longTR_CLEAR"},
}


@pytest.mark.parametrize("site", SITES.values())
def test_mr_shows_the_trials_brain_where_the_head_lay(stays, site):
    """highdicom reads each series; under the pose its brain is the trial's image times one factor.

    Of the exam that is not moved, the one after it and the last.
    """
    stay = stays[site]
    brain = read_volume(stay.patient.exams[0].brain_mask).array > 0
    first, *later = stay.patient.exams
    for exam in (first, *later[:1], *later[1:][-1:]):
        pose = np.array(stay.poses["exams"][str(exam.day)])
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
        for sequence, description in DESCRIPTIONS[site].items():
            if sequence not in exam.sequences:
                continue
            series = stay.series(exam.day, description)
            volume = highdicom.get_volume_from_series(
                series, apply_real_world_transform=False, apply_modality_transform=False
            )
            image = read_volume(exam.sequences[sequence])
            found = on_trial_grid(volume.array.astype(float), volume.affine, pose, image.grid)[brain]
            expected = image.array[brain] * (30000 / image.array.max())
            assert np.abs(found - expected).max() < 1  # half a unit of rounding, and float32


def test_the_first_exam_is_not_moved_and_later_ones_are(stay):
    first, *later = stay.poses["exams"].values()
    np.testing.assert_array_equal(first, np.eye(4))
    assert all(np.abs(np.array(pose)[:3, :3] - np.eye(3)).max() > 1e-3 for pose in later)
    frames = {one.FrameOfReferenceUID for one in stay.of("MR")}
    assert len(frames) == len(stay.patient.exams)


def test_segmentations_give_back_label_maps_and_brain(stay):
    for exam in stay.patient.exams:
        pose = np.array(stay.poses["exams"][str(exam.day)])
        for description, names, path in (
            ("Tumour segmentation", list(LABELS), exam.label_map),
            ("Brain segmentation", ["Brain"], exam.brain_mask),
        ):
            (dataset,) = stay.of("SEG", StudyDate=stay.date(exam.day), SeriesDescription=description)
            seg = highdicom.seg.Segmentation.from_dataset(dataset)
            assert [one.SegmentLabel for one in seg.SegmentSequence] == names
            volume = seg.get_volume(combine_segments=False)
            expected = read_volume(path)
            found = on_trial_grid(volume.array, volume.affine, pose, expected.grid)
            for at in range(len(names)):
                np.testing.assert_array_equal(found[..., at] > 0, expected.array == at + 1)


def test_contours_give_back_the_tumour_core(stay):
    """Filling the contours slice by slice, holes by parity, gives the GTV's voxels on the CT's grid."""
    (structures,) = stay.of("RTSTRUCT")
    ct = highdicom.get_volume_from_series(stay.of("CT"))
    back, shape = np.linalg.inv(ct.affine), ct.shape
    names = [one.ROIName for one in structures.StructureSetROISequence]
    labels, couch = read_volume(stay.patient.exams[0].label_map), np.array(stay.poses["ct"])
    expected = np.isin(labels.array, (LABELS["ET"], LABELS["NETC"]))
    assert names[0].startswith("GTV") == expected.any()
    if not expected.any():
        return
    found = np.zeros(shape, bool)
    for contour in structures.ROIContourSequence[0].ContourSequence:
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        index = (back @ np.c_[points, np.ones(len(points))].T)[:3]
        assert np.ptp(index[0]) < 1e-4
        found[round(index[0, 0])] ^= polygon2mask(shape[1:], index[1:].T)
    np.testing.assert_array_equal(on_trial_grid(found, ct.affine, couch, labels.grid), expected)


@pytest.mark.parametrize("kind", ["PHYSICAL", "EFFECTIVE"])
def test_dose_is_the_trials_dose(stay, kind):
    (course,) = stay.patient.courses
    found = stay.of("RTDOSE", DoseType=kind)
    if kind == "EFFECTIVE" and course.arm == "photon":
        assert not found
        return
    (dataset,) = found
    offsets = np.array(dataset.GridFrameOffsetVector, float)
    assert offsets[0] in (0.0, float(dataset.ImagePositionPatient[2]))
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 3] = [0, 0, offsets[1] - offsets[0]], dataset.ImagePositionPatient
    affine[:3, 1], affine[:3, 2] = [0, dataset.PixelSpacing[0], 0], [dataset.PixelSpacing[1], 0, 0]
    expected = read_volume(course.dose if kind == "PHYSICAL" else course.dose_rbe)
    dose = dataset.pixel_array * float(dataset.DoseGridScaling)
    found = on_trial_grid(dose, affine, np.array(stay.poses["ct"]), expected.grid)
    np.testing.assert_allclose(found, expected.array, atol=0.0051)


def test_ct_is_tied_to_mr_as_each_department_does(stays):
    registered, same, alone = (stays[site] for site in SITES.values())
    (registration,) = registered.of("REG")
    moving = registration.RegistrationSequence[1]
    assert moving.FrameOfReferenceUID == registered.of("CT")[0].FrameOfReferenceUID
    first = registered.of("MR", StudyDate=registered.date(-14))[0]
    assert registration.FrameOfReferenceUID == first.FrameOfReferenceUID
    matrix = moving.MatrixRegistrationSequence[0].MatrixSequence[0].FrameOfReferenceTransformationMatrix
    to_mr = LPS @ np.array(matrix, float).reshape(4, 4) @ LPS
    np.testing.assert_allclose(to_mr @ np.array(registered.poses["ct"]), np.eye(4), atol=1e-9)
    assert same.of("CT")[0].FrameOfReferenceUID == same.of("MR")[0].FrameOfReferenceUID
    assert not same.of("REG")
    assert not alone.of("REG")
    assert alone.of("CT")[0].FrameOfReferenceUID not in {one.FrameOfReferenceUID for one in alone.of("MR")}


def test_plans_add_up_to_the_course(stay):
    (course,) = stay.patient.courses
    plans = stay.of("RTPLAN")
    beams = [plan.get("BeamSequence") or plan.IonBeamSequence for plan in plans]
    particles = [(beam[0].RadiationType, beam[0].get("RadiationAtomicNumber")) for beam in beams]
    expected = {
        "photon": [("PHOTON", None)],
        "proton": [("PROTON", None)],
        "carbon": [("PROTON", None), ("ION", 6)],
    }
    assert particles == expected[course.arm]
    doses = [float(plan.DoseReferenceSequence[0].TargetPrescriptionDose) for plan in plans]
    fractions = [plan.FractionGroupSequence[0].NumberOfFractionsPlanned for plan in plans]
    assert sum(doses) == pytest.approx(course.prescription_gy)
    assert sum(fractions) == course.fractions
    given = [one.TreatmentDate for one in stay.of("RTRECORD")]
    assert (min(given), max(given)) == (stay.date(course.start_day), stay.date(course.end_day))
    assert len(set(given)) == len(given) == course.fractions
    assert {one.SOPInstanceUID for one in plans} == {
        one.ReferencedSOPInstanceUID for dose in stay.of("RTDOSE") for one in dose.ReferencedRTPlanSequence
    }


def test_exams_are_dated_by_the_day(stay):
    assert {one.StudyDate for one in stay.of("MR")} == {stay.date(exam.day) for exam in stay.patient.exams}
    assert date.fromisoformat(stay.identity["day_zero"]).weekday() == 0


def test_dicom_validator_passes(stay):
    """One data set of every kind; the tables are those of the standard that highdicom carries."""
    kinds = {(one.SOPClassUID, one.SeriesDescription): one for one in stay.datasets}
    assert len({uid for uid, _ in kinds}) >= 7
    for dataset in kinds.values():
        assert set(violations(dataset)) <= EXTENSIONS, dataset.SOPClassUID.name


def test_the_validator_sees_what_is_wrong(stay):
    """A plan without its label and with an attribute of a CT is not valid: the check above can fail."""
    plan = stay.of("RTPLAN")[0].copy()
    del plan.RTPlanLabel
    plan.KVP = 120
    assert {"rt-general-plan: RTPlanLabel TagMissing", "General: KVP TagUnexpected"} <= set(violations(plan))


def test_the_planted_texts_are_there(out, stay):
    """Else a search for them after de-identification would prove nothing."""
    content = b"".join(
        path.read_bytes() for path in hospital_folder(out, stay.datasets[0].StationName[:6].lower()).rglob("*.dcm")
    )
    encoding = {"ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8"}[stay.datasets[0].SpecificCharacterSet]
    assert len(stay.identity["planted"]) > 10
    for text in stay.identity["planted"]:
        assert text.encode(encoding) in content


def test_uids_are_unique(stays):
    uids = [one.SOPInstanceUID for stay in stays.values() for one in stay.datasets]
    assert len(set(uids)) == len(uids) > 300


def test_files_are_what_pydicom_writes_of_their_values(out):
    """One file of every kind: read, every value decoded, and written again."""
    kinds = {}
    for path in sorted(hospital_folder(out, SITES["carbon"]).rglob("*.dcm")):
        kinds.setdefault((pydicom.dcmread(path, stop_before_pixels=True).SOPClassUID, path.parent.name), path)
    assert len({sop_class for sop_class, _ in kinds}) >= 7
    for path in kinds.values():
        dataset = pydicom.dcmread(path)
        dataset.decode()
        again = BytesIO()
        pydicom.dcmwrite(again, dataset, enforce_file_format=True)
        assert again.getvalue() == path.read_bytes(), path.name


def test_same_bytes_with_two_workers_and_after_an_interruption(out):
    before = digest(out)
    poses_path(out, "site-1", "s1p001").unlink()
    poses_path(out, "site-2", "s2p001").unlink()
    calls = []
    write_hospital(out, TINY.model_copy(update={"workers": 2}), lambda *call: calls.append(call))
    assert [call[:2] for call in calls] == [(2, 3), (3, 3)]
    assert digest(out) == before
