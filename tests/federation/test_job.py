"""A job is data: what can't be a job is refused, and equal jobs have equal files and hashes."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from flame.errors import ConfigError
from flame.federation.job import (
    Crop,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedProx,
    Job,
    Limits,
    Median,
    TrainingSettings,
    TrimmedMean,
    job_hash,
    read_job,
    write_job,
)

FIELDS = {"task": "evolution", "model": "unet", "context": "first_post_rt", "seed": 7, "rounds": 3}

rates = st.floats(1e-30, 1e30)
shares = st.floats(0, 1, exclude_max=True)
aggregations = st.one_of(
    st.just(FedAvg()),
    st.just(Median()),
    st.builds(FedAvgM, server_learning_rate=rates, momentum=shares),
    st.builds(FedAdam, server_learning_rate=rates, momentum=shares, beta2=shares, epsilon=rates),
    st.builds(TrimmedMean, trim=st.floats(0, 0.5, exclude_max=True)),
    st.just(FedProx()),
)
jobs = st.builds(
    Job,
    task=st.sampled_from(["response", "evolution"]),
    model=st.from_regex(r"[a-z0-9][a-z0-9_]*", fullmatch=True),
    context=st.sampled_from(["pre_rt", "first_post_rt"]),
    seed=st.integers(0, 2**62),
    rounds=st.integers(1, 10**6),
    training=st.builds(TrainingSettings, learning_rate=rates, proximal_mu=rates, cosine=st.booleans()),
    aggregation=aggregations,
    limits=st.builds(Limits, quorum=st.integers(1, 300), max_update_norm=rates),
    crop=st.builds(Crop, spacing_mm=rates, size=st.integers(1, 64).map(lambda n: 8 * n)),
)


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({}, "841832a07c7f"),
        ({"selection": {"rule": "worst", "held_back": 0.2}}, "eaa440affe46"),
    ],
)
def test_a_job_without_newer_settings_has_the_hash_that_it_always_had(changes, number):
    plain = {"task": "response", "model": "network", "context": "pre_rt", "seed": 1, "rounds": 5}
    assert job_hash(Job(**plain, **changes)).startswith(number)
    assert "evaluation" not in Job(**plain, **changes).model_dump()
    assert "evaluation" in Job(**plain, **changes, evaluation={"cross_site": "none"}).model_dump()


@given(jobs)
@settings(deadline=None, derandomize=True)
def test_file_gives_an_equal_job_back(tmp_path_factory, job):
    path = tmp_path_factory.mktemp("job") / "job.toml"
    write_job(path, job)
    assert read_job(path) == job
    assert job_hash(read_job(path)) == job_hash(job)


def test_hash_ignores_the_order_of_the_file(tmp_path):
    plain = 'rounds = 3\nseed = 7\ncontext = "first_post_rt"\nmodel = "unet"\ntask = "evolution"\n'
    (tmp_path / "a.toml").write_text(plain + "[limits]\nquorum = 1\n[crop]\nsize = 64\n")
    (tmp_path / "b.toml").write_text(plain + "[crop]\nsize = 64\nspacing_mm = 2.0\n[limits]\n")
    assert job_hash(read_job(tmp_path / "a.toml")) == job_hash(read_job(tmp_path / "b.toml")) == job_hash(Job(**FIELDS))


@pytest.mark.parametrize(
    "change", [{"seed": 8}, {"rounds": 4}, {"crop": {"size": 32}}, {"aggregation": {"name": "median"}}]
)
def test_hash_sees_every_setting(change):
    assert job_hash(Job(**FIELDS)) != job_hash(Job(**(FIELDS | change)))


def test_tables_of_the_file_are_those_of_the_job(tmp_path):
    write_job(tmp_path / "job.toml", Job(**FIELDS, aggregation={"name": "trimmed_mean", "trim": 0.25}))
    content = tomllib.loads((tmp_path / "job.toml").read_text())
    assert content["aggregation"] == {"name": "trimmed_mean", "trim": 0.25}
    assert list(content) == [*FIELDS, "training", "aggregation", "limits", "privacy", "selection", "crop"]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"task": "survival"}, "task"),
        ({"model": "os.system"}, "model"),
        ({"seed": -1}, "seed"),
        ({"rounds": 0}, "rounds"),
        ({"aggregation": {"name": "krum"}}, "aggregation"),
        ({"aggregation": {"name": "fedavg", "momentum": 0.9}}, "aggregation.fedavg.momentum"),
        ({"aggregation": {"name": "trimmed_mean", "trim": 0.5}}, "aggregation.trimmed_mean.trim"),
        ({"limits": {"max_update_norm": float("inf")}}, "limits.max_update_norm"),
        ({"training": {"learning_rate": 0.0}}, "training.learning_rate"),
        ({"code": "import os"}, "code"),
    ],
)
def test_impossible_jobs_are_refused_by_the_name_of_the_setting(change, key):
    with pytest.raises(ValidationError) as refused:
        Job(**(FIELDS | change))
    assert ".".join(str(part) for part in refused.value.errors()[0]["loc"]) == key


def test_fedprox_needs_its_pull(tmp_path):
    path = tmp_path / "job.toml"
    write_job(path, Job(**FIELDS, training={"proximal_mu": 0.1}, aggregation={"name": "fedprox"}))
    path.write_text(path.read_text().replace("proximal_mu = 0.1", "proximal_mu = 0.0"))
    with pytest.raises(ConfigError, match=r"fedprox needs training\.proximal_mu > 0"):
        read_job(path)


@pytest.mark.parametrize("aggregation", ["median", "trimmed_mean"])
def test_rules_that_look_at_single_updates_go_with_no_masks(aggregation):
    with pytest.raises(ValidationError, match=f"aggregation {aggregation} looks at single updates"):
        Job(**FIELDS, aggregation={"name": aggregation}, privacy={"secure_aggregation": True})
