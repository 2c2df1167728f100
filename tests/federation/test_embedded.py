"""All sites on one machine: what a job leaves, what it reports, and what a bad site costs."""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from flame.errors import ConfigError, DataError, EngineError
from flame.federation.embedded import LocalResult, run
from flame.federation.folder import history
from flame.federation.job import Job

SITES = ("site-1", "site-2", "site-3")
MODEL = {"w": np.zeros(3, np.float32), "b": np.zeros((), np.float32)}


@dataclass(frozen=True)
class Towards:
    """A site whose training moves half of the way to its own goal; `samples` is its weight."""

    goal: float
    samples: int = 1

    def __call__(self, arrays, round):
        for array in arrays.values():
            array += np.float32(0.5) * (np.float32(self.goal) - array)  # in place: the arrays are the site's own
        return LocalResult(arrays, self.samples, {"gap": float(self.goal - arrays["w"][0]), "round": round})


def job(**changes):
    return Job(
        task="response", model="line", context="pre_rt", **({"seed": 1, "rounds": 4, "limits": {"quorum": 2}} | changes)
    )


def sites(**changes):
    return {"site-2": Towards(2.0), "site-1": Towards(1.0), "site-3": Towards(6.0, samples=2)} | changes


def test_job_converges_as_geometry_says(tmp_path):
    """Every round closes half of the gap to the weighted goal (1 + 2 + 2 * 6) / 4 = 3.75."""
    reports = list(run(job(), sites(), tmp_path, MODEL))
    model = load_file(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(model["w"], np.full(3, 3.75 * (1 - 0.5**4)))
    assert model["b"] == model["w"][0]
    assert [report.round for report in reports] == [0, 1, 2, 3]
    assert reports[2].scalars["site-1"] == {"gap": (1 - 3.75 * 0.75) / 2, "round": 2.0}


def test_reports_are_those_of_the_metrics_file(tmp_path):
    reports = list(run(job(), sites(), tmp_path, MODEL))
    assert history(tmp_path) == reports
    assert reports[0].samples == {"site-1": 1, "site-2": 1, "site-3": 2}
    assert reports[0].refused == {}
    assert set(reports[0].bytes_up) == set(reports[0].bytes_down) == set(SITES)
    assert reports[0].bytes_down["site-1"] == (tmp_path / "model.safetensors").stat().st_size
    assert all(size > 4 * 4 for size in reports[0].bytes_up.values())


def test_seconds_are_those_of_the_clock_that_is_given(tmp_path):
    ticks = iter(range(0, 100, 3))
    assert [report.seconds for report in run(job(), sites(), tmp_path, MODEL, clock=lambda: next(ticks))] == [3.0] * 4


def test_sites_are_named_as_they_answer(tmp_path):
    seen = []
    list(run(job(rounds=2), sites(), tmp_path, MODEL, arrived=lambda round, site: seen.append((round, site))))
    assert seen == [(round, site) for round in range(2) for site in SITES]


def test_little_is_left_behind(tmp_path):
    list(run(job(), sites(), tmp_path, MODEL))
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "job.toml",
        "metrics.jsonl",
        "model.json",
        "model.safetensors",
        "rounds",
        "rounds/state-0003.safetensors",
        "rounds/state-0004.safetensors",
    ]


def test_a_site_can_not_touch_the_model_that_others_get(tmp_path):
    """`Towards` trains in place; were the arrays shared, the second site would start where the first one ended."""
    (first,) = run(job(rounds=1), sites(), tmp_path, MODEL)
    assert first.scalars["site-2"]["gap"] == 1.0
    np.testing.assert_array_equal(MODEL["w"], 0)


def test_one_participant_is_plain_training(tmp_path):
    alone = job(rounds=3, limits={"quorum": 1})
    list(run(alone, {"pooled": Towards(8.0)}, tmp_path, MODEL))
    np.testing.assert_array_equal(load_file(tmp_path / "model.safetensors")["w"], np.full(3, 7.0))


def test_a_finished_job_does_nothing_and_mends_its_model(tmp_path):
    list(run(job(), sites(), tmp_path, MODEL))
    before = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").unlink()
    assert list(run(job(), dict.fromkeys(SITES, raising), tmp_path, MODEL)) == []
    assert (tmp_path / "model.safetensors").read_bytes() == before


def raising(_arrays, round):
    raise DataError(f"no exam can be read in round {round}", "Look at the folder.")


def dividing(arrays, _round):
    return LocalResult(arrays, 1 // 0, {})


@dataclass(frozen=True)
class Wrong:
    """A site that sends something else in the given rounds, and trains as `Towards(1.0)` in all others."""

    what: dict
    rounds: tuple

    def __call__(self, arrays, round):
        good = Towards(1.0)(arrays, round)
        if round not in self.rounds:
            return good
        return LocalResult(**({"arrays": good.arrays, "samples": good.samples, "scalars": good.scalars} | self.what))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (raising, "no exam can be read in round 1"),
        (dividing, "ZeroDivisionError"),
        (Wrong({"arrays": MODEL | {"w": np.full(3, np.nan, np.float32)}}, (1,)), "'w' holds NaN or infinity"),
        (Wrong({"arrays": MODEL | {"w": np.full(3, 1e4, np.float32)}}, (1,)), "above the bound 1000"),
        (
            Wrong({"arrays": MODEL | {"w": np.zeros(4, np.float32)}}, (1,)),
            r"'w' is float32 (4,), expected float32 (3,)",
        ),
        (Wrong({"arrays": {}}, (1,)), "array names differ"),
        (Wrong({"samples": 0}, (1,)), "samples = 0"),
        (Wrong({"scalars": {"loss": math.inf}}, (1,)), "scalars.loss = inf"),
    ],
)
def test_a_bad_update_is_refused_by_name_and_the_round_goes_on(tmp_path, bad, reason):
    reports = list(run(job(), sites(**{"site-3": bad}), tmp_path, MODEL))
    assert list(reports[1].refused) == ["site-3"]
    assert reason in reports[1].refused["site-3"]
    assert set(reports[1].samples) == {"site-1", "site-2"}
    assert [report.round for report in reports] == [0, 1, 2, 3]
    assert np.isfinite(load_file(tmp_path / "model.safetensors")["w"]).all()


def test_a_refused_site_counts_again_in_the_next_round(tmp_path):
    reports = list(run(job(), sites(**{"site-3": Wrong({"samples": 0}, (1,))}), tmp_path, MODEL))
    assert [sorted(report.samples) for report in reports] == [list(SITES), list(SITES[:2]), list(SITES), list(SITES)]


def test_a_lost_quorum_ends_the_job_by_name_and_a_new_start_asks_the_refused_sites_again(tmp_path):
    broken = sites(**{"site-2": Wrong({"samples": 0}, (2,)), "site-3": raising})
    job_of_two = job(limits={"quorum": 2})
    done = []
    with pytest.raises(
        EngineError, match=r"Round 2: 1 valid updates .* quorum is 2\. Refused: site-2: samples = 0"
    ) as lost:
        done.extend(report.round for report in run(job_of_two, broken, tmp_path, MODEL))
    assert "site-3: no exam can be read in round 2" in lost.value.message
    assert [report.round for report in history(tmp_path)] == [0, 1]
    counted = Counted(tmp_path / "asked", Towards(1.0))
    mended = sites(**{"site-1": counted, "site-3": Towards(6.0, samples=2)})
    assert [report.round for report in run(job_of_two, mended, tmp_path, MODEL)] == [2, 3]
    assert counted.file.read_text() == "3\n"  # site-1 had answered in round 2 and was not asked again


@dataclass(frozen=True)
class Counted:
    """Writes the number of every round in which it is asked, then trains as `site` does."""

    file: Path
    site: Towards

    def __call__(self, arrays, round):
        with self.file.open("a") as lines:
            lines.write(f"{round}\n")
        return self.site(arrays, round)


def test_stopping_in_the_middle_of_a_round_repeats_no_finished_site(tmp_path):
    def interrupted(_arrays, _round):
        raise KeyboardInterrupt

    counted = {site: Counted(tmp_path / f"{site}.txt", one) for site, one in sites().items()}
    with pytest.raises(KeyboardInterrupt):
        list(run(job(rounds=2), counted | {"site-3": interrupted}, tmp_path / "run", MODEL))
    list(run(job(rounds=2), counted, tmp_path / "run", MODEL))
    assert [(tmp_path / f"{site}.txt").read_text() for site in SITES] == ["0\n1\n"] * 3
    list(run(job(rounds=2), sites(), tmp_path / "whole", MODEL))
    assert same_model(tmp_path / "run", tmp_path / "whole")


def same_model(left, right):
    return (left / "model.safetensors").read_bytes() == (right / "model.safetensors").read_bytes()


def test_reading_half_of_the_reports_and_starting_again_gives_the_same_bytes(tmp_path):
    list(run(job(), sites(), tmp_path / "whole", MODEL))
    started = run(job(), sites(), tmp_path / "parts", MODEL)
    assert [next(started).round, next(started).round] == [0, 1]
    started.close()
    assert [report.round for report in run(job(), sites(), tmp_path / "parts", MODEL)] == [2, 3]
    assert same_model(tmp_path / "whole", tmp_path / "parts")
    wholes, parts = history(tmp_path / "whole"), history(tmp_path / "parts")
    assert [report.scalars for report in parts] == [report.scalars for report in wholes]


def test_processes_give_the_bytes_of_one_process(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import logistic

    short = logistic.JOB.model_copy(update={"rounds": 2})
    list(run(short, logistic.sites(), tmp_path / "one", logistic.INITIAL))
    list(run(short, logistic.sites(), tmp_path / "two", logistic.INITIAL, processes=2))
    assert same_model(tmp_path / "one", tmp_path / "two")
    assert [r.scalars for r in history(tmp_path / "one")] == [r.scalars for r in history(tmp_path / "two")]
    del sys.modules["logistic"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"job": job(seed=9)}, "seed = 1, asked for"),
        ({"participants": {"site-1": raising, "site-2": raising}}, "started with the sites site-1, site-2, site-3"),
        ({"initial": {"w": np.zeros(5, np.float32)}}, "other array names or shapes"),
        ({"job": job(limits={"quorum": 4})}, r"limits\.quorum = 4"),
    ],
)
def test_another_job_in_the_folder_is_refused_at_once(tmp_path, arguments, reason):
    given = {"job": job(), "participants": sites(), "folder": tmp_path, "initial": MODEL}
    next(run(**given))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=reason):
        run(**(given | arguments))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_bad_arguments_write_nothing(tmp_path):
    with pytest.raises(ValueError, match="processes = 0"):
        run(job(), sites(), tmp_path / "run", MODEL, processes=0)
    with pytest.raises(ConfigError, match="site name"):
        run(job(), sites(**{"a/b": raising}), tmp_path / "run", MODEL)
    assert not (tmp_path / "run").exists()


def test_two_can_not_work_in_one_folder(tmp_path):
    first = run(job(), sites(), tmp_path, MODEL)
    next(first)
    with pytest.raises(EngineError, match="Another process is at work in"):
        next(run(job(), sites(), tmp_path, MODEL))
    assert [report.round for report in first] == [1, 2, 3]
