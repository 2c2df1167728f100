"""A tiny trial on disk: bytes, resuming, refusals, and what must not be in a site's folder."""

import json
import shutil
from hashlib import sha256

import numpy as np
import pytest
from pydantic import ValidationError

from flame.errors import ConfigError, DataError
from flame.records.dataset import read_site
from flame.records.patient import LABELS
from flame.records.volume import read_volume
from flame.virtual.trial import TrialSettings, site_folder, site_names, write_trial
from flame.virtual.truth import potential_outcome, read_truth, truth_path

TINY = TrialSettings(sites=3, patients=1, spacing_mm=6.0, workers=1, seed=14, counterfactuals=("site-2",))


def digest(folder):
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    out = tmp_path_factory.mktemp("trial") / "out"
    calls = []
    write_trial(out, TINY, lambda *call: calls.append(call))
    assert calls == [(1, 3, "site-1"), (2, 3, "site-2"), (3, 3, "site-3")]
    return out


def test_same_seed_same_bytes_with_two_workers(trial, tmp_path):
    """The first patient is made before there are workers, so that each of the two has one of the three."""
    write_trial(tmp_path / "again", TINY.model_copy(update={"workers": 2}))
    assert digest(tmp_path / "again") == digest(trial)


def test_another_seed_gives_another_trial(trial, tmp_path):
    one = TINY.model_copy(update={"sites": 1, "seed": 99, "counterfactuals": ()})
    write_trial(tmp_path / "other", one)
    image = "sites/site-1/derivatives/flame/sub-s1p001/ses-pre0014/anat/sub-s1p001_ses-pre0014_desc-tumour_dseg.nii.gz"
    assert digest(tmp_path / "other")[image] != digest(trial)[image]


def test_goes_on_where_it_stopped(trial, tmp_path):
    """Without its truth.json a patient counts as unfinished and is made again, to the same bytes; others are not."""
    shutil.copytree(trial, tmp_path / "out")
    kept = truth_path(tmp_path / "out", "site-1", "s1p001")
    stamp = kept.stat().st_mtime_ns
    truth_path(tmp_path / "out", "site-2", "s2p001").unlink()
    (label_map,) = (tmp_path / "out").rglob("sub-s2p001_ses-pre0014_desc-tumour_dseg.nii.gz")
    label_map.write_bytes(b"half written")
    calls = []
    write_trial(tmp_path / "out", TINY, lambda *call: calls.append(call))
    assert calls == [(3, 3, "site-2")]
    assert kept.stat().st_mtime_ns == stamp
    assert digest(tmp_path / "out") == digest(trial)


def test_other_settings_are_refused(trial):
    before = digest(trial)
    with pytest.raises(ConfigError, match="seed = 14, not 99"):
        write_trial(trial, TINY.model_copy(update={"seed": 99}))
    assert digest(trial) == before


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("not a trial")
    with pytest.raises(ConfigError, match="not empty"):
        write_trial(tmp_path, TINY)


def test_unknown_site_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match="site-9"):
        write_trial(tmp_path / "out", TINY.model_copy(update={"counterfactuals": ("site-9",)}))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", [{"confounding": 1.5}, {"sites": 0}, {"spacing_mm": 2.5}, {"centres": 3}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        TrialSettings.model_validate(wrong)


def test_sites_can_be_read_and_hold_what_they_should(trial):
    for name in site_names(TINY):
        site = read_site(site_folder(trial, name))
        assert site.name == name
        (patient,) = site.patients
        assert patient.diagnosis_day == -35
        assert patient.exams[0].day == -14
        (course,) = patient.courses
        brain = read_volume(patient.exams[0].brain_mask).array > 0
        for exam in patient.exams:
            labels = read_volume(exam.label_map).array
            assert set(np.unique(labels)) <= {0, *LABELS.values()}
            assert (labels == LABELS["RC"]).any() == (patient.resection != "biopsy")
            assert not labels[~brain].any()
            for path in exam.sequences.values():
                image = read_volume(path).array
                assert not image[~brain].any()
                assert image[brain].min() >= 0
        dose_rbe = read_volume(course.dose_rbe).array
        tumour = np.isin(read_volume(patient.exams[0].label_map).array, (LABELS["ET"], LABELS["NETC"]))
        assert np.median(dose_rbe[tumour]) == pytest.approx(course.prescription_gy, rel=0.1)
        days = [exam.day for exam in patient.exams]
        last = patient.outcome.death_day or patient.outcome.last_contact_day
        assert all(day <= last for day in days)


def test_truth_holds_the_arms_that_were_asked_for(trial):
    assert set(read_truth(trial, "site-2", "s2p001")["arms"]) == {"photon", "proton", "carbon"}
    truth = read_truth(trial, "site-1", "s1p001")
    assert set(truth["arms"]) == {truth["arm"]}
    missing = next(arm for arm in ("photon", "proton") if arm != truth["arm"])
    with pytest.raises(DataError, match="not simulated"):
        potential_outcome(trial, "site-1", "s1p001", missing, 91)


def test_truth_agrees_with_what_the_reader_drew(trial):
    """The factual potential outcome and the site's label map differ by reader noise alone."""
    patient = read_site(site_folder(trial, "site-2")).patients[0]
    arm = read_truth(trial, "site-2", patient.id)["arm"]
    follow_up = [exam for exam in patient.exams if exam.day > 0]
    assert follow_up
    for exam in follow_up:
        truth = potential_outcome(trial, "site-2", patient.id, arm, exam.day - patient.courses[0].end_day)
        drawn = read_volume(exam.label_map).array
        whole, seen = (truth > 0) & (truth < 4), (drawn > 0) & (drawn < 4)
        if whole.sum() > 50:
            assert 2 * (whole & seen).sum() / (whole.sum() + seen.sum()) > 0.7


def test_no_latent_in_a_site_folder(trial):
    """No file of a site names a latent or an arm that was not given."""
    latents = set(read_truth(trial, "site-2", "s2p001")["latents"]) - {"age", "sex", "resection"}
    latents -= {"performance_status", "mgmt_methylated"}
    for path in site_folder(trial, "site-2").rglob("*"):
        if path.suffix in (".json", ".tsv", ".md"):
            text = path.read_text()
            assert not [word for word in (*latents, "alpha", "rho", "truth") if f'"{word}"' in text]
    course = read_site(site_folder(trial, "site-2")).patients[0].courses[0]
    assert course.arm == read_truth(trial, "site-2", "s2p001")["arm"]
    settings = json.loads((trial / "trial.json").read_text())["settings"]
    assert settings["seed"] == 14
    assert "workers" not in settings
