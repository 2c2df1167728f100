"""A prediction goes back: from the prepared grid to the hospital's own series, under the hospital's own name."""

import json
import os
import shutil

import numpy as np
import pydicom
import pytest
from tests.command import flame
from tests.dicom.archive import GRID, KEY, NAME, PATIENT, again, series, turned

from flame.dicom.arrival.store import Admitted, admit
from flame.dicom.convert import to_volume
from flame.dicom.export import anchor_of, export, read_prediction, write_objects
from flame.dicom.identity.pseudonym import Key
from flame.dicom.results.maps import read_map, read_masks
from flame.dicom.results.report_sr import read_report
from flame.dicom.results.source import SourceDesk, fetch_source, stored_series
from flame.errors import DataError
from flame.files import write_json
from flame.imaging.prepared import prepared_path
from flame.records.dataset import Site, write_site
from flame.records.intake import IntakeExam, IntakeImage, IntakePatient, read_intake, write_intake
from flame.records.patient import REGIONS, Course, Exam, Patient
from flame.records.volume import Grid, Volume, write_volume

ID = KEY.patient_id(PATIENT)
COURSE = Course("photon", 60.0, 30, 0, 39)
TO_SOURCE = turned((5, 3), (4.0, -2.0, 6.0))
"""From the prepared grid to the scanner."""

MIDDLE = (np.linalg.inv(TO_SOURCE) @ GRID.affine @ [*(np.array(GRID.shape) / 2), 1.0])[:3]
"""The prepared position of the middle of the source series."""

AFFINE = np.diag([1.5, 1.5, 1.5, 1.0])
AFFINE[:3, 3] = MIDDLE.round() - 30
PREPARED = Grid((40, 40, 40), AFFINE)
HORIZONS = (91,)


def ball(centre, radius):
    """1 inside, falling to 0 over 6 mm around the surface; on the prepared grid."""
    places = np.einsum("ij,j...->...i", AFFINE[:3, :3], np.indices(PREPARED.shape)) + AFFINE[:3, 3]
    distance = np.linalg.norm(places - centre, axis=-1)
    return np.clip((radius - distance) / 6 + 0.5, 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """An archive's folder, an intake, a site's folder and a prediction, as the commands before leave them."""
    root = tmp_path_factory.mktemp("export")
    archive = root / "archive"
    archive.mkdir()
    without = series("2.25.41", description="t1 mprage", agent="")
    other = series("2.25.51", patient="VH99999")
    for number, one in enumerate([*without, *series(), *other]):
        one.save_as(archive / f"{number:03d}", enforce_file_format=True)
    intake = root / "intake"
    for one in (*series(), *without):
        assert isinstance(admit(intake, one, KEY), Admitted)
    folder = intake / ID
    write_volume(folder / "t1ce.nii.gz", to_volume(series()))
    image = IntakeImage(file="t1ce.nii.gz", frame=KEY.uid("2.25.30"))
    write_intake(intake, IntakePatient(id=ID, source="dicom", exams=(IntakeExam(day=-14, images={"T1ce": image}),)))
    site = root / "site"
    matrix = np.linalg.inv(TO_SOURCE).tolist()
    write_json(prepared_path(site, ID, -14, "prepared.json"), {"images": {"T1ce": {"matrix": matrix}}})
    write_site(Site("here", site, (patient(),)))
    predicted = root / "prediction"
    arms = {}
    for shift, arm in enumerate(("photon", "proton")):
        volumes = {region: [] for region in REGIONS}
        for horizon in HORIZONS:
            for radius, region in zip((5, 8, 12), REGIONS):
                values = ball(MIDDLE + np.array([2 * shift, 0, 0]), radius + horizon / 91)
                path = predicted / f"sub-{ID}_arm-{arm}_day-{horizon}_{region}_probseg.nii.gz"
                write_volume(path, Volume(values, PREPARED), step=1e-4)
                volumes[region].append(round(float((values >= 0.5).sum()) * 1.5**3 / 1000, 3))
        arms[arm] = {"predicted_ml": volumes}
    summary = {
        "patient": ID,
        "training": "federated",
        "model": {"name": "unet", "flame": "0.1.0"},
        "horizons": list(HORIZONS),
        "observed": {"horizons": [-53]},
        "arms": arms,
        "response": {"probability": 0.25},
    }
    write_json(predicted / "summary.json", summary)
    os.utime(predicted / "summary.json", (1_700_000_000, 1_700_000_000))
    return archive, intake, site, predicted


def patient():
    return Patient(ID, exams=(Exam(-14),), courses=(COURSE,))


def objects(places, **more):
    archive, intake, site, predicted = places
    prediction = read_prediction(predicted)
    anchor = anchor_of(prediction, site, patient(), intake)
    desk = SourceDesk(KEY, ID, stored_series(intake, ID, anchor.image, anchor.grid))
    return export(prediction, fetch_source(archive, desk), anchor.to_source, KEY, **more)


@pytest.fixture(scope="module")
def made(places):
    return objects(places)


def test_the_series_with_contrast_is_found_again(places):
    """Two series lie on one grid in one frame, and another patient has the same; the key tells which is meant."""
    archive, intake, *_ = places
    image = IntakeImage(file="t1ce.nii.gz", frame=KEY.uid("2.25.30"))
    uid = stored_series(intake, ID, image, GRID)
    assert uid == KEY.uid("2.25.31")
    source = fetch_source(archive, SourceDesk(KEY, ID, uid))
    assert {(one.PatientID, one.SeriesInstanceUID) for one in source.datasets} == {(PATIENT, "2.25.31")}
    np.testing.assert_allclose(source.grid.affine, GRID.affine, atol=1e-9)
    assert not any("PixelData" in one for one in source.datasets)


def test_there_is_one_object_for_every_map(made):
    """Two arms and one horizon: 2 segmentations, 6 probability maps, 1 report."""
    kinds = [one.SOPClassUID.name for one in made]
    assert kinds.count("Segmentation Storage") == 2
    assert kinds.count("Parametric Map Storage") == 6
    assert kinds.count("Comprehensive 3D SR Storage") == len(kinds) - 8 == 1
    assert {(str(one.PatientName), one.PatientID) for one in made} == {(NAME, PATIENT)}
    assert len({one.SOPInstanceUID for one in made}) == 9
    assert len({one.SeriesInstanceUID for one in made}) == 5


def test_masks_lie_on_the_tumour(made):
    """The centre of mass is that of the ball, to 0.6 mm; volumes to 10 %, for the smallest ball is 100 voxels."""
    seg = again(next(one for one in made if one.Modality == "SEG"))
    for (region, volume), radius in zip(read_masks(seg).items(), (6, 9, 13)):
        inside = np.argwhere(volume.array)
        centre = volume.grid.affine @ [*inside.mean(0), 1.0]
        np.testing.assert_allclose(centre, TO_SOURCE @ [*MIDDLE, 1.0], atol=0.6, err_msg=region)
        ml = len(inside) * abs(np.linalg.det(volume.grid.affine[:3, :3])) / 1000
        assert ml == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.1)


def test_masks_are_where_probabilities_are_high(made):
    seg = read_masks(again(next(one for one in made if one.Modality == "SEG")))["WT"]
    maps = [one for one in made if "Parametric" in one.SOPClassUID.name]
    probability = read_map(again(next(one for one in maps if "ability_WT".upper() in one.ContentLabel)))
    shift = np.linalg.inv(probability.grid.affine) @ seg.grid.affine[:, 3]
    first = round(shift[2])
    np.testing.assert_allclose(shift[:3], (0, 0, first), atol=1e-5)
    high = probability.array >= 0.5 - 1e-6
    np.testing.assert_array_equal(high[:, :, first : first + seg.grid.shape[2]], seg.array)


def test_the_report_says_what_the_summary_says(places, made):
    findings, answers = read_report(again(made[-1]))
    facts = json.loads((places[3] / "summary.json").read_text())
    told = {(one.name, one.region): one.volume_ml for one in findings}
    for arm, about in facts["arms"].items():
        for region in REGIONS:
            for horizon, ml in zip(HORIZONS, about["predicted_ml"][region]):
                assert told[f"{arm}, predicted for day {horizon}", region] == ml
    segments = {one.segment[0] for one in findings}
    assert segments == {one.SOPInstanceUID for one in made if one.Modality == "SEG"}
    assert [(one.name, one.probability) for one in answers] == [("early response", 0.25)]


def test_response_and_diameters_are_reported(places):
    lesion = {"long_mm": 21.123, "perpendicular_mm": 15.0, "volume_ml": 2.3456}
    exam = {"horizon": 91, "call": "P-PD", "lesions": [lesion]}
    rano = {"patient": ID, "criteria": {"name": "rano_2"}, "exams": [exam]}
    findings, answers = read_report(again(objects(places, response=rano)[-1]))
    assert ("exam of day 91", "P-PD", "rano_2") in [(one.name, one.call, one.criteria) for one in answers]
    measured = next(one for one in findings if "lesion" in one.name)
    assert (measured.long_mm, measured.short_mm, measured.volume_ml) == (21.12, 15.0, 2.346)
    with pytest.raises(DataError, match="of patient X1"):
        objects(places, response=rano | {"patient": "X1"})


def test_exporting_twice_makes_the_same_files(places, made, tmp_path):
    first = write_objects(tmp_path / "one", made)
    second = write_objects(tmp_path / "two", objects(places))
    assert [path.name for path in first] == [path.name for path in second]
    assert all(one.read_bytes() == two.read_bytes() for one, two in zip(first, second))
    assert not any(PATIENT in path.name for path in first)
    assert pydicom.dcmread(first[0]).PatientID == PATIENT


def test_the_command_writes_the_same_and_tells_nobody_who_it_is(places, made, tmp_path):
    archive, intake, site, predicted = places
    key = tmp_path / "site.key"
    key.write_text(bytes(range(32)).hex() + "\n")
    key.chmod(0o600)
    given = ["export", predicted, site, ID, "--intake", intake, "--source", archive, "--key", key]
    done = flame(*given, "--out", tmp_path / "out")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert f"9 objects (2 SEG, 6 OT, 1 SR) of patient {ID}" in " ".join(said.split())
    assert PATIENT not in said
    assert "Imaginaire" not in said
    written = sorted((tmp_path / "out").iterdir())
    assert [pydicom.dcmread(path).SOPInstanceUID for path in written] == [one.SOPInstanceUID for one in made]
    nowhere = flame(*given)
    assert nowhere.returncode == 4
    assert "where the objects should go" in nowhere.stdout + nowhere.stderr


@pytest.mark.parametrize(
    ("key", "said"),
    [(Key(bytes(32)), "does not hold the whole series"), (KEY, "does not hold the whole series")],
    ids=["another key", "another archive"],
)
def test_what_does_not_fit_is_refused_without_a_name(places, tmp_path, key, said):
    archive, *_ = places
    (tmp_path / "empty").mkdir()
    where = archive if key is not KEY else tmp_path / "empty"
    with pytest.raises(DataError, match=said) as caught:
        fetch_source(where, SourceDesk(key, ID, KEY.uid("2.25.31")))
    assert PATIENT not in str(caught.value) + caught.value.hint


def test_a_site_that_was_not_prepared_here_cannot_send_back(places, tmp_path):
    _, intake, _, predicted = places
    with pytest.raises(DataError, match="nobody knows where the exam of day -14 came from"):
        anchor_of(read_prediction(predicted), tmp_path, patient(), intake)


def test_a_prediction_of_somebody_else_is_refused(places):
    _, intake, site, predicted = places
    with pytest.raises(DataError, match="not X2"):
        anchor_of(read_prediction(predicted), site, Patient("X2", exams=(Exam(-14),)), intake)


def test_a_missing_map_is_named(places, tmp_path):
    archive, intake, site, predicted = places
    broken = tmp_path / "prediction"
    shutil.copytree(predicted, broken)
    lost = next(broken.glob("*proton_day-91_TC*"))
    lost.unlink()
    with pytest.raises(DataError, match="proton_day-91_TC"):
        objects((archive, intake, site, broken))
    assert read_intake(intake, ID).id == ID
