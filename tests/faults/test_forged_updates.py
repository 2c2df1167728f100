"""What is guaranteed: whatever one site sends, the round closes with the others, the refusal and its reason are in
`metrics.jsonl`, and the model is to the byte the one that they would have made without that site in that round.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from tests.federation import logistic

from flame.federation.folder import clean, history
from flame.federation.job import job_hash
from flame.federation.rounds import State, first_state
from flame.federation.steps import answer, begin, close, keep, keep_model
from flame.federation.update import Update, decode, encode

JOB = logistic.JOB.model_copy(update={"rounds": 3})
FORGER, VICTIM = "site-3", "site-1"
WHEN = 1
"""The round in which the forger does not send what it trained."""


@dataclass(frozen=True)
class Chance:
    """What a forger has at hand: the running round, its honest update, what it sent before, another site's update."""

    state: State
    honest: Update
    before: bytes
    stolen: bytes

    def changed(self, **fields: object) -> bytes:
        """The honest update with some fields replaced."""
        return encode(replace(self.honest, **fields))

    def with_array(self, name: str, array: object) -> bytes:
        """The honest update with one array replaced or added."""
        return self.changed(arrays={**self.honest.arrays, name: array})

    def with_header(self, header: str) -> bytes:
        """The honest arrays below a header that FLAME would not write."""
        return save(dict(self.honest.arrays), metadata={"flame": header})


Forge = Callable[[Chance], bytes | None]


def play(folder: Path, forge: Forge) -> bytes:
    """Run the job as the engines do, but let the forger choose its bytes in one round (None: it is silent)."""
    sites = logistic.sites()
    state = begin(folder, first_state(JOB, tuple(sites), logistic.INITIAL))
    before = b""
    while state.round < JOB.rounds:
        contents: dict[str, bytes | None] = {name: answer(site, name, state) for name, site in sites.items()}
        honest, stolen = contents[FORGER], contents[VICTIM]
        assert honest is not None
        assert stolen is not None
        if state.round == WHEN:
            contents[FORGER] = forge(Chance(state, decode(honest), before, stolen))
        for name, content in contents.items():
            if content is not None:
                keep(folder, state, name, content)
        before = honest
        state, _ = close(state, folder, 0, lambda: 0.0)
        clean(folder, state.round)
    keep_model(folder, state)
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model of the job in which the forger was silent in that round."""
    return play(tmp_path_factory.mktemp("without"), lambda _: None)


def largest(chance: Chance) -> Mapping[str, np.ndarray]:
    """Arrays a little above the job's bound, which is 50."""
    return {**chance.honest.arrays, "bias": np.full((), 50.001, np.float32)}


def other_job(chance: Chance) -> bytes:
    """A right answer to the same round of a job that differs in its seed alone."""
    return chance.changed(job_hash=job_hash(JOB.model_copy(update={"seed": 8})))


def odd_number(chance: Chance, number: str) -> bytes:
    """A sample count that JSON can write and an update can't hold."""
    about = {"format": "flame-update/1", "job_hash": job_hash(JOB), "site": FORGER, "round": WHEN, "scalars": {}}
    return chance.with_header(json.dumps(about)[:-1] + f', "samples": {number}}}')


FORGED: dict[str, tuple[Forge, str]] = {
    "not a number": (lambda c: c.with_array("weight", np.full(12, np.nan, np.float32)), "'weight' holds NaN"),
    "infinite": (lambda c: c.with_array("bias", np.full((), -np.inf, np.float32)), "'bias' holds NaN or infinity"),
    "an array is missing": (lambda c: c.changed(arrays={"bias": c.honest.arrays["bias"]}), "differ from the model's"),
    "an array more": (lambda c: c.with_array("hidden", np.zeros(9, np.float32)), "the model's: 'hidden'"),
    "no array": (lambda c: c.changed(arrays={}), "array names differ"),
    "another shape": (lambda c: c.with_array("weight", np.zeros((3, 4), np.float32)), "expected float32 (12,)"),
    "another type": (lambda _: save({"weight": np.zeros(12)}, metadata={"flame": "{}"}), "is F64, not F32"),
    "norm above the bound": (lambda c: c.changed(arrays=largest(c)), "is above the bound 50"),
    "values whose squares overflow": (lambda c: c.with_array("weight", np.full(12, 3e38, np.float32)), "the bound"),
    "no samples": (lambda c: c.changed(samples=0), "samples = 0"),
    "all the weight": (lambda c: c.changed(samples=2**31), "samples = 2147483648"),
    "a number too large to read": (lambda c: odd_number(c, "1e999"), "samples = inf"),
    "a number of many digits": (lambda c: odd_number(c, "9" * 5000), "number out of range"),
    "replayed from the round before": (lambda c: c.before, f"belongs to round {WHEN - 1}, not {WHEN}"),
    "for a round to come": (lambda c: c.changed(round=WHEN + 1), f"belongs to round {WHEN + 1}"),
    "from another job": (other_job, "it belongs to job"),
    "another site's update": (lambda c: c.stolen, f"from '{VICTIM}', and '{FORGER}' sent it"),
    "in another site's name": (lambda c: c.changed(site=VICTIM), f"from '{VICTIM}', and '{FORGER}' sent it"),
    "from nobody": (lambda c: c.changed(site="site-9"), "'site-9' does not take part"),
    "empty": (lambda _: b"", "can't be read"),
    "cut off": (lambda c: encode(c.honest)[:-1], "can't be read"),
    "a pickle": (lambda _: b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.", "can't be read"),
    "a header of 2**60 bytes": (lambda c: (2**60).to_bytes(8, "little") + encode(c.honest)[8:], "can't be read"),
    "a header that is no JSON": (lambda c: c.with_header("{"), "header"),
    "a header nested deeply": (lambda c: c.with_header("[" * 100_000), "header"),
    "a name of a million letters": (lambda c: c.with_array("x" * 1_000_000, np.zeros(1, np.float32)), "names differ"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_update_costs_its_site_that_round_alone(name: str, tmp_path: Path, without: bytes) -> None:
    forge, reason = FORGED[name]
    assert play(tmp_path, forge) == without
    reports = history(tmp_path)
    assert [report.round for report in reports] == list(range(JOB.rounds))
    refused = [dict(report.refused) for report in reports]
    told = refused[WHEN].pop(FORGER)
    assert reason in told
    assert len(told) <= 500  # a site's text must not fill the coordinator's disk
    assert refused == [{}] * JOB.rounds
    assert set(reports[WHEN].samples) == {"site-1", "site-2", "site-4"}
    assert set(reports[WHEN + 1].samples) == set(logistic.sites())


def test_the_honest_update_would_have_changed_the_model(tmp_path: Path, without: bytes) -> None:
    """Otherwise the test above would show nothing."""
    assert play(tmp_path, lambda chance: encode(chance.honest)) != without
