"""A job's folder: what a kill can leave behind is put right, and another job's folder is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from flame.errors import ConfigError, DataError
from flame.federation import folder as files
from flame.federation.folder import RoundReport, history, load_state, save_report, save_state
from flame.federation.job import Job, job_hash
from flame.federation.rounds import encode_state, first_state
from flame.federation.update import Update, encode

JOB = Job(task="response", model="network", context="pre_rt", seed=1, rounds=5)
FIRST = first_state(JOB, ["site-1", "site-2"], {"w": np.arange(3, dtype=np.float32)})


def report(round, loss=0.5):
    return RoundReport(round, {"site-1": 4}, {"site-1": {"loss": loss}}, {"site-1": 90}, {"site-1": 80}, {}, 0.1)


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_empty_folder_has_no_state_and_gets_the_job(tmp_path):
    assert load_state(tmp_path / "run", JOB) is None
    assert names(tmp_path / "run") == ["job.toml"]
    assert load_state(tmp_path / "run", JOB) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seed": 2}, r"seed = 1, asked for 2"),
        ({"limits": {"max_update_norm": 3.0}}, r"limits\.max_update_norm = 1000\.0, asked for 3\.0"),
        ({"aggregation": {"name": "median"}}, r"aggregation\.name = 'fedavg', asked for 'median'"),
    ],
)
def test_the_folder_of_another_job_is_refused_by_the_setting(tmp_path, change, reason):
    load_state(tmp_path, JOB)
    with pytest.raises(ConfigError, match=reason):
        load_state(tmp_path, Job(**(JOB.model_dump() | change)))


def test_the_newest_state_counts(tmp_path):
    for number in (2, 9_999, 10_000):
        save_state(tmp_path, replace(FIRST, round=number))
    assert load_state(tmp_path, JOB).round == 10_000


def test_a_damaged_state_falls_back_on_the_one_before(tmp_path):
    save_state(tmp_path, FIRST)
    (tmp_path / "rounds" / "state-0001.safetensors").write_bytes(encode_state(replace(FIRST, round=1))[:-2])
    assert encode_state(load_state(tmp_path, JOB)) == encode_state(FIRST)


def test_damaged_states_alone_are_an_error(tmp_path):
    save_state(tmp_path, FIRST)
    (tmp_path / "rounds" / "state-0000.safetensors").write_bytes(b"")
    with pytest.raises(DataError, match="No state in"):
        load_state(tmp_path, JOB)


def test_cleaning_keeps_the_running_round_and_the_state_before_it(tmp_path):
    for number in range(5):
        save_state(tmp_path, replace(FIRST, round=number))
        files.save_refusal(tmp_path, number, "site-1", "reason")
        save_report(tmp_path, report(number))
    (tmp_path / "rounds" / "0003" / ".99.partial.site-2.safetensors").write_bytes(b"half")
    (tmp_path / "rounds" / ".99.partial.state-0004.safetensors").write_bytes(b"half")
    (tmp_path / ".99.partial.metrics.jsonl").write_bytes(b"half")
    files.clean(tmp_path, 3)
    kept = ["rounds/0003/site-1.refused.json", "rounds/state-0002.safetensors", "rounds/state-0003.safetensors"]
    assert names(tmp_path) == ["metrics.jsonl", *kept]
    assert [line.round for line in history(tmp_path)] == [0, 1, 2]
    files.clean(tmp_path, 3)
    assert names(tmp_path) == ["metrics.jsonl", *kept]


def test_reports_come_back_and_a_repeated_round_replaces_its_line(tmp_path):
    assert history(tmp_path) == []
    for line in (report(0), report(1), report(2), report(1, loss=0.25)):
        save_report(tmp_path, line)
    assert history(tmp_path) == [report(0), report(1, loss=0.25)]


@pytest.mark.parametrize("line", ["{", '{"round": 0}'])
def test_damaged_metrics_are_an_error(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=r"metrics\.jsonl is damaged"):
        history(tmp_path)


def test_updates_and_refusals_come_back(tmp_path):
    sent = encode(Update(job_hash(JOB), "site-1", 0, {"w": np.ones(3, np.float32)}, 4, {"loss": 1.0}))
    files.save_update(tmp_path, 0, "site-1", sent)
    files.save_refusal(tmp_path, 0, "site-2", "array 'w' holds NaN or infinity")
    update, size = files.read_update(tmp_path, 0, "site-1")
    assert (encode(update), size) == (sent, len(sent))
    assert files.read_update(tmp_path, 0, "site-2") is None
    assert files.read_refusal(tmp_path, 0, "site-2") == "array 'w' holds NaN or infinity"
    assert files.read_refusal(tmp_path, 0, "site-1") is None
    files.discard_refusals(tmp_path, 0)
    assert files.read_refusal(tmp_path, 0, "site-2") is None


def test_a_damaged_update_is_asked_for_again(tmp_path):
    files.save_update(tmp_path, 0, "site-1", b"half an update")
    assert files.read_update(tmp_path, 0, "site-1") is None


def test_the_model_is_written_with_what_it_is(tmp_path):
    files.write_model(tmp_path, replace(FIRST, round=5))
    about = json.loads((tmp_path / "model.json").read_text())
    assert Job(**about["job"]) == JOB
    assert (about["rounds"], about["sites"]) == (5, ["site-1", "site-2"])
    assert (tmp_path / "model.safetensors").read_bytes() == files.encode_model(FIRST.arrays)


def test_the_model_comes_back(tmp_path):
    files.write_model(tmp_path, FIRST)
    job, arrays = files.read_model(tmp_path)
    assert job == JOB
    np.testing.assert_array_equal(arrays["w"], FIRST.arrays["w"])


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("model.json", None, r"model\.json does not exist"),
        ("model.json", b"{}", r"model\.json describes no model: 'job'"),
        ("model.json", b'{"job": {"task": "survival"}}', r"model\.json describes no model"),
        ("model.safetensors", None, r"model\.safetensors does not exist"),
        ("model.safetensors", b"half", "can't be read as named float32 arrays"),
    ],
)
def test_a_damaged_model_is_an_error(tmp_path, name, content, reason):
    files.write_model(tmp_path, FIRST)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=reason):
        files.read_model(tmp_path)
