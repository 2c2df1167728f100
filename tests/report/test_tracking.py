"""A run folder becomes one run of MLflow, however often and whenever it is tracked, and nobody else is told."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.federation.test_closing import MODEL, SITES, job

from flame.errors import ConfigError, DataError, EngineError
from flame.federation import embedded
from flame.federation.folder import RoundReport, history
from flame.federation.job import Job
from flame.report import tracking

ROUNDS = 3


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished job of three rounds at two sites, whose last model was scored."""
    list(embedded.run(job(), SITES, tmp_path / "run", MODEL))
    return tmp_path / "run"


def runs(uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    return client, client.search_runs([client.get_experiment_by_name("flame").experiment_id])


def values(uri: str, name: str) -> list[tuple[int, float]]:
    client, (found,) = runs(uri)
    return [(one.step, one.value) for one in client.get_metric_history(found.info.run_id, name)]


def test_settings_figures_and_files_are_there(run: Path) -> None:
    """Each round closes half of the gap to 2: rounds begin at 0, 1, 1.5, and the last model is 1.75."""
    uri = tracking.store_of(run)
    number = tracking.track(run, uri)
    client, (found,) = runs(uri)
    assert found.info.run_id == number
    assert found.info.status == "FINISHED"
    assert found.data.params["selection.held_back"] == "0.2"
    assert found.data.params["aggregation.name"] == "fedavg"
    at_a, at_b = ([1 / (1 + abs(goal - w)) for w in (0, 1, 1.5, 1.75)] for goal in (1, 3))
    assert values(uri, "site/a/score") == list(enumerate(at_a))
    assert values(uri, "mean/score") == [(step, (a + b) / 2) for step, (a, b) in enumerate(zip(at_a, at_b))]
    bytes_up = [float(report.bytes_up["b"]) for report in history(run)]
    assert values(uri, "site/b/bytes_up") == list(enumerate(bytes_up))
    files = {one.path for one in client.list_artifacts(number)}
    assert files == {"job.toml", "metrics.jsonl", "model.json", "cross_site.json"}
    assert not {name for name in found.data.tags if "user" in name or "source" in name}


def test_tracked_twice_it_is_one_run_with_each_figure_once(run: Path) -> None:
    uri = tracking.store_of(run)
    number = tracking.track(run, uri)
    before = values(uri, "mean/score"), values(uri, "round/seconds")
    assert tracking.track(run, uri) == number
    assert (values(uri, "mean/score"), values(uri, "round/seconds")) == before


def test_a_round_that_was_logged_in_part_is_completed(run: Path) -> None:
    uri = tracking.store_of(run)
    tracking.track(run, uri)
    before = {name: values(uri, name) for name in ("round/sites", "mean/score", "site/a/score")}
    for name in ("round/sites", "mean/score"):  # a kill before the last two figures were there
        (path,) = (run / "mlflow").rglob(f"metrics/{name}")
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[:-1]))
    assert values(uri, "mean/score") == before["mean/score"][:-1]
    tracking.track(run, uri)
    assert {name: values(uri, name) for name in before} == before


def test_a_running_job_is_followed_to_its_end(tmp_path: Path) -> None:
    folder, closed = tmp_path / "run", []
    reports = embedded.run(job(), SITES, folder, MODEL)
    next(reports)
    for rounds in tracking.follow(folder, tracking.store_of(folder), sleep=lambda _: next(reports, None)):
        closed.append(rounds)
        assert [step for step, _ in values(tracking.store_of(folder), "round/seconds")] == list(range(rounds))
    assert closed == [1, 2, 3]
    assert [step for step, _ in values(tracking.store_of(folder), "mean/score")] == [0, 1, 2, 3]


def test_another_attempt_at_the_same_job_is_a_run_of_its_own(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    list(embedded.run(job(), {**SITES, "c": SITES["a"]}, other, MODEL))
    uri = tracking.store_of(run)
    assert tracking.track(run, uri) != tracking.track(other, uri)


def test_what_masks_hide_is_not_there() -> None:
    report = RoundReport(0, {"a": None, "b": None}, {"all": {"samples": 40.0}}, {"a": 7}, {"b": 8}, {"b": "late"}, 1.5)
    assert tracking.round_metrics(report) == {
        "site/all/samples": 40.0,
        "site/a/bytes_up": 7.0,
        "site/b/bytes_down": 8.0,
        "round/seconds": 1.5,
        "round/refused": 1.0,
        "round/sites": 2.0,
    }


def test_no_score_is_no_figure() -> None:
    assert tracking.score_metrics({"models": [{"scores": {}}]}) == {}


def test_before_the_first_round_there_is_nothing_to_track(tmp_path: Path) -> None:
    from flame.federation.job import write_job

    write_job(tmp_path / "job.toml", job())
    with pytest.raises(DataError, match="no closed round yet"):
        tracking.track(tmp_path, tracking.store_of(tmp_path))
    assert not (tmp_path / "mlflow").exists()


def test_without_mlflow_it_is_said_what_to_install(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    with pytest.raises(ConfigError) as found:
        tracking.track(run, tracking.store_of(run))
    assert "flame[track]" in found.value.hint


def test_a_store_that_can_not_be_used_is_named_without_its_password(run: Path) -> None:
    with pytest.raises(EngineError) as found:
        tracking.track(run, "odd://ada:secret@example.org/store")
    assert "odd://ada:…@example.org/store" in found.value.message
    assert "secret" not in found.value.message


WATCHED = """
import socket, sys
places = open(sys.argv.pop(1), "a")

def note(place):
    places.write(f"{place}\\n")
    places.flush()

real = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **named: (note(host), real(host, *more, **named))[1]
connect = socket.socket.connect
socket.socket.connect = lambda self, place: (note(place[0]), connect(self, place))[1]
from flame.cli import main
main()
"""
"""Runs a command of FLAME's, and notes whom it speaks to."""


def spoken_to(notes: Path, *words: str | Path) -> tuple[int, set[str], str]:
    """Exit code of a command, the places that it spoke to, and what it printed."""
    hidden = {"PYTEST_CURRENT_TEST", "PYTEST_VERSION", "CI"}  # MLflow is silent in tests by itself
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {
        "MLFLOW_DISABLE_TELEMETRY": "false",
        "DO_NOT_TRACK": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    line = [sys.executable, "-c", WATCHED, notes, *words]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, set(notes.read_text().split()), done.stdout


def test_the_command_says_where_to_look_and_speaks_to_nobody_but_the_place_that_is_named(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)  # the command allows itself its folder
    code, places, said = spoken_to(tmp_path / "folder", "coordinator", "track", run, "--follow")
    assert (code, places) == (0, set())
    assert f"{ROUNDS} rounds tracked" in said
    assert tracking.store_of(run) in said.replace("\n", "")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert values(tracking.store_of(run), "round/sites")[0] == (0, 2.0)
    nobody = "http://127.0.0.1:9"  # the port of `discard`, where nothing listens
    code, places, _ = spoken_to(tmp_path / "server", "coordinator", "track", run, "--uri", nobody)
    assert (code, places) == (EngineError.exit_code, {"127.0.0.1"})


def test_settings_are_named_as_in_the_job() -> None:
    asked = Job.model_validate({**job().model_dump(), "aggregation": {"name": "fedavgm", "momentum": 0.5}})
    found = tracking.settings_of(asked)
    assert found["aggregation.momentum"] == "0.5"
    assert found["task"] == "response"
    assert found["training.cosine"] in ("true", "false")
