"""From a trial to a report: what a comparison leaves, and that it leaves the same whatever happens on the way."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.command import flame, warm_python
from tests.scenarios.conftest import SETTINGS


def numbers(run: Path) -> dict[str, Any]:
    """comparison.json without what a clock says."""
    content: dict[str, Any] = json.loads((run / "comparison.json").read_text())
    for training in content["trainings"]:
        for part in training["rounds"]:
            del part["seconds"]
    return content


def test_the_run_folder_holds_what_the_documentation_says(compared: Path) -> None:
    content = numbers(compared)
    assert content["held_out"] == ["site-3"]
    assert len(content["trainings"]) == 2 * (3 + 2)
    (evolution,) = content["evolution"]
    ways = {(row["method"], row["trained"]) for row in evolution["rows"]}
    assert ways == {
        ("persistence", "none"),
        ("volume_trend", "none"),
        ("unet", "local"),
        ("unet", "federated"),
        ("unet", "pooled"),
    }
    assert content["pictures"]["patients"]
    assert len(content["pictures"]["montage"]) == 3
    assert (compared / "report.html").stat().st_size > 50_000


def test_every_update_of_every_round_is_accounted_for(compared: Path) -> None:
    for training in numbers(compared)["trainings"]:
        sent = [part["sites"][site]["bytes_up"] for part in training["rounds"] for site in part["sites"]]
        assert len(training["rounds"]) == 3
        assert all(size > 4 * training["parameters"] for size in sent), training["name"]


def test_the_report_opens_offline_and_says_what_it_is_not(compared: Path) -> None:
    page = (compared / "report.html").read_text()
    assert "not a medical device" in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_interrupted_and_gone_on_with_other_processes_it_ends_with_the_same_numbers_and_models(
    trial: Path, settings: Path, compared: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = ("compare", trial, "--out", run, "--settings", settings, "--processes", "2")
    done = flame(*command, until=lambda: bool(list(run.glob("jobs/*/*/metrics.jsonl"))))
    assert done.returncode == 130
    assert "Start the same command again" in done.stderr
    assert not (run / "comparison.json").exists()
    done = flame(*command)
    assert done.returncode == 0, done.stderr
    assert numbers(run) == numbers(compared)
    for model in sorted((compared / "models").rglob("model.safetensors")):
        again = run / model.relative_to(compared)
        assert again.read_bytes() == model.read_bytes(), model.parent.name


def test_a_folder_with_other_settings_is_refused(trial: Path, compared: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(SETTINGS.replace("seed = 3", "seed = 4"))
    done = flame("compare", trial, "--out", compared, "--settings", other)
    assert done.returncode == 4
    assert "other settings" in done.stderr
    assert "Traceback" not in done.stderr


def test_training_never_opens_the_truth(trial: Path, settings: Path, tmp_path: Path) -> None:
    """Preparing, training and scoring run under a watch that ends the process if a file of `truth/` is opened."""
    once = tmp_path / "once.toml"
    once.write_text(settings.read_text().replace("rounds = 3", "rounds = 1"))  # a second round opens nothing else
    script = f"""
import sys
from pathlib import Path
opened = []
def watch(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and "truth" in str(arguments[0]).split("/"):
        raise SystemExit("opened " + str(arguments[0]))
sys.addaudithook(watch)
from flame.evaluation.comparison import find_sites, run_comparison
from flame.evaluation.plan import ComparisonSettings
from flame.settings import read_toml
folders = find_sites([Path({str(trial)!r})])
chosen = read_toml(Path({str(once)!r}), ComparisonSettings)
run_comparison(folders, Path({str(tmp_path / "run")!r}), chosen, 1, lambda *told: None, truth=None)
print("no truth was opened")
next(Path({str(trial / "truth")!r}).rglob("truth.json")).read_text()
"""
    (tmp_path / "watched.py").write_text(script)
    done = subprocess.run(
        [warm_python(), "-m", "watched"], cwd=tmp_path, capture_output=True, text=True, timeout=1800, check=False
    )
    assert "no truth was opened" in done.stdout, done.stderr
    assert "opened" in done.stderr  # the watch itself works: the last line of the script trips it


def test_arms_fixed_by_site_are_said_to_be_not_identified(tmp_path: Path) -> None:
    settings = tmp_path / "response.toml"
    settings.write_text(SETTINGS.rpartition("[[questions]]")[0].replace("rounds = 3", "rounds = 1"))
    trial = tmp_path / "trial"
    size = ("--sites", "3", "--patients", "2", "--spacing", "6", "--workers", "1")
    done = flame("trial", trial, *size, "--seed", "2", "--confounding", "1")  # responders and others at two sites
    assert done.returncode == 0, done.stderr
    sites = (trial / "sites").rename(tmp_path / "sites")  # as at hospitals, where no truth is beside them to be drawn
    done = flame("compare", sites, "--out", tmp_path / "run", "--settings", settings, "--processes", "1")
    assert done.returncode == 0, done.stderr
    assert numbers(tmp_path / "run")["arm_effects"]["identified"] is False
    assert "not identified" in (tmp_path / "run" / "report.html").read_text()


@pytest.fixture(scope="module")
def model(compared: Path) -> Path:
    return compared / "models" / "evolution-unet-first_post_rt" / "federated-without-site-3"


def usable(compared: Path) -> str:
    """A patient of the held-out site that could be predicted."""
    name: str = numbers(compared)["pictures"]["patients"][0]
    return name.partition("sub-")[2]


def test_a_patient_is_predicted_under_every_arm(trial: Path, compared: Path, model: Path, tmp_path: Path) -> None:
    from flame.records.volume import read_volume

    site, out = trial / "sites" / "site-3", tmp_path / "prediction"
    done = flame("predict", model, site, usable(compared), "--arms", "photon,carbon", "--horizons", "91", "--out", out)
    assert done.returncode == 0, done.stderr
    maps = sorted(out.glob("*_probseg.nii.gz"))
    assert len(maps) == 2 * 1 * 3
    image = read_volume(next((site / f"sub-{usable(compared)}").rglob("*.nii.gz")))
    for path in maps:
        volume = read_volume(path)
        assert volume.grid.matches(image.grid)
        assert 0 <= volume.array.min() <= volume.array.max() <= 1
    summary = json.loads((out / "summary.json").read_text())
    delivered = summary["arm"]
    assert all((arm["support"] == "factual") == (name == delivered) for name, arm in summary["arms"].items())
    for arm in summary["arms"].values():
        assert np.isfinite(arm["predicted_ml"]["WT"]).all()
    assert (out / "picture.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--arms", "photon,neutron"), "'neutron' is not an arm"),
        (("--horizons", "91,soon"), "'soon' is not a day"),
        (("--horizons", "9999"), "'9999' is not a day"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_written(
    trial: Path, model: Path, tmp_path: Path, arguments: tuple[str, str], what: str
) -> None:
    done = flame("predict", model, trial / "sites" / "site-3", "s3p001", *arguments, "--out", tmp_path / "out")
    assert done.returncode == 4
    assert what in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_patient_is_named(trial: Path, model: Path, tmp_path: Path) -> None:
    done = flame("predict", model, trial / "sites" / "site-3", "nobody", "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "no patient 'nobody'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_response_model_has_no_maps(trial: Path, compared: Path, tmp_path: Path) -> None:
    model = compared / "models" / "response-clinical-first_post_rt" / "federated-without-site-3"
    done = flame("predict", model, trial / "sites" / "site-3", "s3p001", "--out", tmp_path / "out")
    assert done.returncode == 4
    assert "a model of response" in done.stderr
