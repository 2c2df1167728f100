"""After the rounds: every model at every site, asked once, kept through kills, and each site's own if it is wanted."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from flame.federation import embedded
from flame.federation.closing import finish, read_cross_site
from flame.federation.folder import history, load_state, read_model, save_refusal
from flame.federation.job import Job, Limits, Privacy
from flame.federation.messages import encode_message
from flame.federation.nvflare.waiting import Waiting
from flame.federation.rounds import State, first_state
from flame.federation.scores import scored, trained_alone
from flame.federation.stages import ALONE, Keep, Stage, read_question
from flame.federation.update import LocalResult, LocalScore, encode

MODEL = {"w": np.zeros(3, np.float32), "b": np.zeros((), np.float32)}
ROUNDS = 3


@dataclass(frozen=True)
class Towards:
    """A site whose training moves half of the way to its goal; its score falls with the distance. It notes its work."""

    goal: float
    patients: int = 6
    notes: Path | None = None

    def __call__(self, arrays: dict[str, NDArray[np.float32]], round: int, /) -> LocalResult:
        self.note(f"trained {round}")
        told = {"score": self.worth(arrays)}
        moved = {name: np.asarray(array + 0.5 * (self.goal - array), np.float32) for name, array in arrays.items()}
        return LocalResult(moved, self.patients, told)

    def score(self, arrays: dict[str, NDArray[np.float32]], /) -> LocalScore | None:
        self.note(f"scored {float(arrays['w'][0])}")
        return LocalScore(self.worth(arrays), self.patients) if self.patients >= 5 else None

    def worth(self, arrays: dict[str, NDArray[np.float32]]) -> float:
        return 1.0 / (1.0 + abs(self.goal - float(arrays["w"][0])))

    def note(self, what: str) -> None:
        if self.notes is not None:
            with self.notes.open("a") as lines:
                lines.write(what + "\n")


@dataclass(frozen=True)
class Odd(Towards):
    """A site that says something else of models; or raises, if it says nothing."""

    says: LocalScore | None = None

    def score(self, arrays: dict[str, NDArray[np.float32]], /) -> LocalScore | None:  # noqa: ARG002
        if self.says is None:
            raise ZeroDivisionError
        return self.says


SITES = {"a": Towards(1.0), "b": Towards(3.0)}


def job(cross_site: str = "final", **changes: Any) -> Job:
    fields: dict[str, Any] = {
        "task": "response",
        "model": "line",
        "context": "pre_rt",
        "seed": 1,
        "rounds": ROUNDS,
        "selection": {"rule": "last", "held_back": 0.2},
        "evaluation": {"cross_site": cross_site},
    }
    return Job.model_validate({**fields, **changes})


def finished(folder: Path, asked: Job, sites: Any = SITES, **how: Any) -> dict[str, Any]:
    list(embedded.run(asked, sites, folder, MODEL, **how))
    found = read_cross_site(folder)
    assert found is not None
    return found


def test_the_last_model_is_scored_at_every_site(tmp_path: Path) -> None:
    """Each round closes half of the gap to the mean goal, 2: after three, w = 1.75."""
    (row,) = finished(tmp_path, job())["models"]
    assert (row["trained"], row["site"], row["rounds"], row["kept"], row["refused"]) == (
        "federated",
        None,
        ROUNDS,
        True,
        {},
    )
    assert row["scores"] == {"a": {"score": 1 / 1.75, "patients": 6}, "b": {"score": 1 / 2.25, "patients": 6}}
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[ROUNDS:] == [{"round": ROUNDS, **row}]
    assert [report.round for report in history(tmp_path)] == list(range(ROUNDS))
    left = {path.name for path in tmp_path.rglob("*")}
    assert not left & {"evaluation", f"{ROUNDS:04d}"}


@pytest.mark.parametrize("changes", [{"selection": {}}, {"cross_site": "none"}])
def test_nothing_is_scored_where_nobody_is_held_back_or_the_job_says_so(tmp_path: Path, changes: Any) -> None:
    list(embedded.run(job(**changes), SITES, tmp_path, MODEL))
    assert read_cross_site(tmp_path) is None
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == ROUNDS


def test_each_sites_own_model_is_what_a_job_of_its_own_gives(tmp_path: Path) -> None:
    """Alone, a site closes half of the gap to its own goal: a ends at 1 * 7/8, b at 3 * 7/8."""
    asked = job("each_site", aggregation={"name": "fedavgm", "momentum": 0.5})
    last, own_a, own_b = finished(tmp_path / "all", asked)["models"]
    assert last["site"] is None
    assert [(one["trained"], one["site"], one["rounds"], one["kept"]) for one in (own_a, own_b)] == [
        ("local", "a", ROUNDS, False),
        ("local", "b", ROUNDS, False),
    ]
    for row, site in ((own_a, "a"), (own_b, "b")):
        alone = job("none", aggregation={"name": "fedavg"})
        list(embedded.run(alone, {site: SITES[site]}, tmp_path / site, MODEL))
        _, arrays = read_model(tmp_path / site)
        assert arrays["w"][0] == SITES[site].goal * 7 / 8
        assert row["scores"] == {name: {"score": one.worth(arrays), "patients": 6} for name, one in SITES.items()}


def test_processes_give_the_bytes_of_one(tmp_path: Path) -> None:
    for name, processes in (("one", 1), ("two", 2)):
        finished(tmp_path / name, job("each_site", rounds=1), processes=processes)
    contents = [(tmp_path / name / "cross_site.json").read_bytes() for name in ("one", "two")]
    assert contents[0] == contents[1]


@pytest.mark.parametrize("asks", range(6))
def test_a_kill_at_any_question_asks_nobody_twice_and_ends_with_the_same_bytes(tmp_path: Path, asks: int) -> None:
    """Two own models and three models at two sites: eight answers, and the process ends before answer `asks`."""
    left = [asks]

    @dataclass(frozen=True)
    class Mortal(Towards):
        def score(self, arrays: dict[str, NDArray[np.float32]], /) -> LocalScore | None:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return super().score(arrays)

    notes = tmp_path / "notes"
    mortal = {site: Mortal(one.goal, notes=notes) for site, one in SITES.items()}
    with pytest.raises(KeyboardInterrupt):
        finished(tmp_path / "run", job("each_site"), mortal)
    assert not (tmp_path / "run" / "model.json").exists()
    left[0] = 99
    finished(tmp_path / "run", job("each_site"), mortal)
    finished(tmp_path / "whole", job("each_site"))
    for name in ("cross_site.json", "metrics.jsonl", "model.safetensors"):
        whole, killed = (_timeless(tmp_path / where / name) for where in ("whole", "run"))
        assert killed == whole, name
    work = notes.read_text().splitlines()
    assert len([line for line in work if line.startswith("scored")]) == 6
    assert work.count("trained 0") == 4  # each site once in round 0, once alone


def _timeless(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix != ".jsonl":
        return content
    return json.dumps([{**json.loads(line), "seconds": 0} for line in content.splitlines()]).encode()


def test_a_finished_job_asks_nobody(tmp_path: Path) -> None:
    before = finished(tmp_path, job())
    assert finished(tmp_path, job(), {site: Odd(1.0) for site in SITES}) == before
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == ROUNDS + 1


def unable(arrays: dict[str, NDArray[np.float32]], round: int, /) -> LocalResult:
    """A site that trains and scores nothing."""
    return Towards(3.0)(arrays, round)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Odd(3.0), "ZeroDivisionError"),
        (Odd(3.0, says=LocalScore(float("nan"), 6)), "score"),
        (Odd(3.0, says=LocalScore(1.5, 6)), "score = 1.5 of 6 patients is none"),
        (Odd(3.0, says=LocalScore(0.5, 0)), "of 0 patients"),
        (Towards(3.0, patients=4), "too few patients are held back"),
        (unable, "too few patients are held back"),
    ],
)
def test_a_site_that_gives_no_score_costs_itself_alone(tmp_path: Path, bad: Any, reason: str) -> None:
    (row,) = finished(tmp_path, job(), {"a": Towards(1.0), "b": bad})["models"]
    assert set(row["scores"]) == {"a"}
    assert reason in row["refused"]["b"]
    assert (tmp_path / "model.json").exists()


def test_a_site_that_refuses_keeps_no_other_from_being_heard(tmp_path: Path) -> None:
    """The engine stops asking when the quorum can't be reached any more; a refused score must not be such an end."""
    asked = job("each_site", limits={"quorum": 2})
    finished(tmp_path, asked)
    whole = (tmp_path / "cross_site.json").read_bytes()
    (tmp_path / "cross_site.json").unlink()
    state, first = load_state(tmp_path, asked), first_state(asked, tuple(SITES), MODEL)
    assert state is not None

    def ask(of: State, stage: Stage, messages: Any, keep: Keep, limits: Limits, before: int = 0) -> None:
        """Asks a, which refuses, and then b, unless waiting is over."""
        waiting, valid = Waiting(limits, 0.0), before
        for left, (site, content) in zip((2, 1), messages.items(), strict=True):
            if waiting.is_over(0.0, valid, left):
                return
            if site == "a":
                save_refusal(tmp_path, of.round, site, "no")
                continue
            question = read_question(content)
            answer = encode(trained_alone(SITES[site], site, question)) if stage == ALONE else None
            told = scored(SITES[site], site, question)
            valid += keep(site, answer or encode_message(told)) is None

    finish(first, state, tmp_path, ask)
    found = read_cross_site(tmp_path)
    assert found is not None
    assert [row["site"] for row in found["models"]] == [None, "b"]
    for row in found["models"]:
        assert (set(row["scores"]), row["refused"]) == ({"b"}, {"a": "no"})
    assert found["no_own_model"] == {"a": "no"}
    assert whole != (tmp_path / "cross_site.json").read_bytes()


def test_where_all_sites_are_gone_one_deadline_is_waited_for_and_the_job_has_its_model(tmp_path: Path) -> None:
    asked = job("final", selection={"rule": "mean", "held_back": 0.2})
    finished(tmp_path, asked)
    for name in ("cross_site.json", "model.json"):
        (tmp_path / name).unlink()
    state, first = load_state(tmp_path, asked), first_state(asked, tuple(SITES), MODEL)
    assert state is not None
    stages = []
    finish(first, state, tmp_path, lambda _state, stage, *_: stages.append(stage.name))
    assert stages == ["score"]
    found = read_cross_site(tmp_path)
    assert found is not None
    assert [row["scores"] for row in found["models"]] == [{}, {}]
    assert [row["kept"] for row in found["models"]] == [False, True]
    assert (tmp_path / "model.json").exists()


def test_an_own_model_may_be_as_far_away_as_all_rounds_together_and_no_further(tmp_path: Path) -> None:
    """Alone, b moves by 3 * 7/8 in each of four numbers, a norm of 5.25; a by 1.75."""
    for bound, trained in ((1.74, ["a"]), (1.76, ["a", "b"])):
        limits = {"max_update_norm": bound, "quorum": 1}
        sites = {"a": Towards(1.0), "b": Towards(3.0)}
        rows = finished(tmp_path / str(bound), job("each_site", limits=limits), sites)["models"]
        assert [row["site"] for row in rows[1:]] == trained


@pytest.mark.parametrize(
    ("last", "kept"),
    [((0.6, 0.5), 4), ((0.6, 0.1), 1), ((0.9, None), 1)],
    ids=["better", "worse at one", "not scored by one"],
)
def test_the_last_model_is_kept_if_it_is_the_best(tmp_path: Path, last: tuple[float, float | None], kept: int) -> None:
    """Rounds begin with models 0 to 3, of which 1 is the best; the last one is 4."""

    @dataclass(frozen=True)
    class Told:
        scores: tuple[float, ...]
        final: float | None

        def __call__(self, arrays: dict[str, NDArray[np.float32]], round: int, /) -> LocalResult:
            grown = {name: np.asarray(array + 1, np.float32) for name, array in arrays.items()}
            return LocalResult(grown, 5, {"score": self.scores[round]})

        def score(self, arrays: dict[str, NDArray[np.float32]], /) -> LocalScore | None:
            number = int(arrays["w"][0])
            value = self.final if number == 4 else self.scores[number]
            return None if value is None else LocalScore(value, 5)

    sites = {"a": Told((0.1, 0.5, 0.4, 0.4), last[0]), "b": Told((0.1, 0.4, 0.4, 0.4), last[1])}
    worst = job(rounds=4, selection={"rule": "worst", "held_back": 0.2})
    rows = finished(tmp_path, worst, sites)["models"]
    assert [(row["rounds"], row["kept"]) for row in rows] == [(4, kept == 4), (1, kept == 1)]
    about, arrays = read_model(tmp_path)
    assert np.all(arrays["w"] == kept)
    assert json.loads((tmp_path / "model.json").read_text())["rounds"] == kept
    assert about == worst


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"privacy": Privacy(secure_aggregation=True)}, "each_site passes each site's own model on"),
        ({"privacy": Privacy(noise_multiplier=1.0)}, "each_site passes each site's own model on"),
        ({"selection": {}}, "each_site needs selection.held_back > 0"),
        ({"evaluation": {}, "privacy": Privacy(secure_aggregation=True)}, "tells each site's score"),
    ],
)
def test_what_privacy_is_to_hide_is_not_passed_on(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        replace_in(job("each_site"), change)


def replace_in(asked: Job, change: dict[str, Any]) -> Job:
    return Job.model_validate({**asked.model_dump(), **change})
