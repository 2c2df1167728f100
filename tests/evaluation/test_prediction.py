"""Predicting a patient who was not treated yet: a course is assumed, and the facts say so."""

from pathlib import Path

import numpy as np
import pytest

from flame.errors import ConfigError
from flame.evaluation.prediction import predict_patient
from flame.imaging.cube import Crop
from flame.models.checkpoint import ModelCard, save_model
from flame.models.encoding import scalar_names, volume_names
from flame.models.familiarity import InputSummary, feature_names
from flame.models.networks import Task, build_network
from flame.models.weights import get_arrays
from flame.records.dataset import Site, write_site
from flame.records.layout import brain_mask_path, label_map_path, sequence_path
from flame.records.patient import LABELS, Exam, Patient
from flame.records.volume import Grid, Volume, write_volume

GRID = Grid((32, 32, 32), np.diag([4.0, 4.0, 4.0, 1.0]))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One patient with one exam: a head of 50 mm radius with a tumour of 12 mm, and no course."""
    folder = tmp_path / "site"
    distance = np.sqrt((((np.indices(GRID.shape) - 15.5) * 4.0) ** 2).sum(0))
    brain = distance <= 50
    labels = np.where(distance <= 12, LABELS["NETC"], 0).astype(np.uint8)
    image = (np.random.default_rng(1).normal(100, 10, GRID.shape) * brain).astype(np.float32)
    paths = {
        label_map_path(folder, "p1", 0): labels,
        brain_mask_path(folder, "p1", 0): brain,
        sequence_path(folder, "p1", 0, "FLAIR"): image,
    }
    for path, array in paths.items():
        write_volume(path, Volume(array, GRID))
    labels_at, brain_at, flair_at = paths
    exam = Exam(0, {"FLAIR": flair_at}, label_map=labels_at, brain_mask=brain_at, regions=("TC",))
    made = Site("ours", folder, (Patient("p1", exams=(exam,)),))
    write_site(made)
    return made


def model(folder: Path, task: Task, name: str, mean: float | None) -> Path:
    """An untrained model; `mean` of every input in a training set that never varied."""
    names = feature_names("pre_rt")
    inputs = None
    if mean is not None:
        inputs = InputSummary(patients=40, names=names, mean=(mean,) * len(names), deviation=(1e3,) * len(names))
    card = ModelCard(
        task=task,
        model=name,
        context="pre_rt",
        crop=Crop(spacing_mm=4.0, size=16),
        trained="federated",
        samples={"a": 20, "b": 20},
        offered={"a": {"photon": 20}, "b": {"photon": 10, "proton": 10}},
        rounds=1,
        parameters=1,
        inputs=inputs,
        channels=volume_names("pre_rt"),
        scalars=scalar_names("pre_rt"),
    )
    save_model(folder, get_arrays(build_network(task, name, "pre_rt", seed=1)), card)
    return folder


def test_a_course_is_assumed_and_said_to_be(site: Site, tmp_path: Path) -> None:
    evolution = model(tmp_path / "evolution", "evolution", "unet", mean=0.0)
    response = model(tmp_path / "response", "response", "network", mean=1e5)
    found = predict_patient(evolution, site, "p1", ["photon", "proton", "carbon"], [91, 182], response)
    facts = found.facts
    assert facts["arm"] is None
    assert facts["course"].startswith("no course on record; assumed: 60 Gy in 30 fractions from day 14")
    assert {arm: facts["arms"][arm]["support"] for arm in facts["arms"]} == {
        "photon": "planned, in support",
        "proton": "planned, in support",
        "carbon": "mechanistic extrapolation",
    }
    assert facts["arms"]["carbon"]["prescription_gy"] == 75
    assert facts["observed"]["volumes_ml"]["TC"] == [pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.25)]
    assert len(found.maps) == 6
    assert facts["regions_unknown"] == ["ET", "WT"]
    assert set(facts["response"]["probability"]) == {"photon", "proton", "carbon"}
    assert facts["familiarity"]["unlike_training"] is False
    assert facts["response"]["familiarity"]["unlike_training"] is True
    assert "unlike the 40 training patients" in facts["response"]["familiarity"]["statement"]


def test_a_model_that_does_not_know_its_inputs_says_so(site: Site, tmp_path: Path) -> None:
    found = predict_patient(model(tmp_path / "e", "evolution", "unet", None), site, "p1", ["photon"], [91])
    assert found.facts["familiarity"]["unlike_training"] is None
    assert "response" not in found.facts


def test_maps_are_no_response(site: Site, tmp_path: Path) -> None:
    evolution = model(tmp_path / "evolution", "evolution", "unet", None)
    with pytest.raises(ConfigError, match="holds a model of evolution"):
        predict_patient(evolution, site, "p1", ["photon"], [91], evolution)
