"""A job for the engine: names of FLAME's classes, FLAME's job as their argument, no code."""

import json
from pathlib import Path

import pytest
from nvflare.fuel.flare_api.api_spec import NoConnection
from nvflare.fuel.utils.config_service import ConfigService
from tests.federation.nvflare.test_study import kit

from flame.errors import ConfigError, EngineError
from flame.federation.job import Job, Limits, job_hash
from flame.federation.nvflare import job
from flame.federation.nvflare.job import connected, submit, write_engine_job
from flame.federation.nvflare.runs import run_folder

JOB = Job(task="response", model="clinical", context="pre_rt", seed=0, rounds=2, limits=Limits(quorum=2))


def test_a_job_is_configuration_alone(tmp_path: Path) -> None:
    folder = write_engine_job(JOB, ("a", "b"), tmp_path)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert files == ["app/config/config_fed_client.json", "app/config/config_fed_server.json", "meta.json"]
    text = "".join((folder / name).read_text() for name in files)
    paths = [part.split('"')[0] for part in text.split('"path": "')[1:]]
    assert len(paths) == 2
    assert all(path.startswith("flame.federation.nvflare.") for path in paths)
    server = json.loads((folder / "app/config/config_fed_server.json").read_text())
    assert Job.model_validate_json(server["workflows"][0]["args"]["job"]) == JOB
    assert json.loads((folder / "meta.json").read_text())["min_clients"] == 2


def test_a_job_decides_the_name_of_its_folder_and_nothing_else_of_it(tmp_path: Path) -> None:
    assert run_folder(tmp_path, JOB) == tmp_path / "runs" / job_hash(JOB)[:16]


def test_sites_outside_the_study_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no site 'site-9'"):
        submit(kit(tmp_path, "person"), JOB, ["site-1", "site-9"])


def test_only_a_person_hands_in(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="kit of a site"), connected(kit(tmp_path, "site")):
        raise AssertionError


def test_sites_ask_often_where_they_are_few_and_not_all_at_once_where_they_are_many(tmp_path: Path) -> None:
    for number, seconds in ((3, 0.25), (300, 7.5)):
        folder = write_engine_job(JOB, [f"site-{one}" for one in range(number)], tmp_path / str(number))
        server = json.loads((folder / "app" / "config" / "config_fed_server.json").read_text())
        assert server["server"]["task_request_interval"] == seconds


def test_nothing_that_lies_in_the_working_folder_sets_how_a_person_connects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = kit(tmp_path, "person")
    (folder / "startup").mkdir()
    somewhere = tmp_path / "downloads" / "deep"
    somewhere.mkdir(parents=True)
    (somewhere / "comm_config.json").write_text('{"allow_adhoc_conns": true}')
    monkeypatch.chdir(tmp_path / "downloads")
    monkeypatch.setattr(ConfigService, "_config_path", [])
    found = []

    def look(*_: object, **__: object) -> None:
        found.append(ConfigService.load_configuration("comm_config.json"))
        raise NoConnection

    monkeypatch.setattr(job, "new_secure_session", look)
    with pytest.raises(EngineError, match="does not answer"), connected(folder):
        raise AssertionError
    assert found == [None]
