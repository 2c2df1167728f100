"""A region's coordinator against an engine that is played: which sites ask, and what is handed in in whose name."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nvflare.apis.fl_constant import FLContextKey, ReservedKey, ReturnCode
from nvflare.apis.signal import Signal
from tests.federation.nvflare.test_provision import IN_REGIONS

from flame.federation.aggregate import fedavg
from flame.federation.gate import Answer
from flame.federation.job import Job, Limits, Privacy, job_hash
from flame.federation.nvflare.messages import accepted, asking, read_answer, refused, sealed
from flame.federation.nvflare.passport import read_passport
from flame.federation.nvflare.provision import provision
from flame.federation.nvflare.region import RegionExecutor
from flame.federation.region_sum import RegionSum, open_region
from flame.federation.rounds import State, first_state
from flame.federation.seal import make_seal
from flame.federation.stages import SCORE, question
from flame.federation.update import Update, encode
from flame.site.audit import audit
from flame.site.identity import make_identity, read_public_key
from flame.site.ledger import Head

SITES = ("site-1", "site-2", "site-3")
JOB = Job(
    task="response",
    model="clinical",
    context="pre_rt",
    seed=0,
    rounds=2,
    limits=Limits(quorum=1, grace_s=60, deadline_s=100),
)
TASK = "a task of the engine's"


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return provision(IN_REGIONS, tmp_path_factory.mktemp("study"))


def begin(job: Job = JOB, round: int = 0) -> State:
    state = first_state(job, SITES, {"w": np.zeros(2, np.float32)})
    return State(state.job, state.sites, round, state.arrays, state.moments)


def grown(state: State, site: str) -> Update:
    """A good update; that of site-2 weighs more."""
    change = {"w": np.array([1.0, float(site[-1])], np.float32)}
    return Update(job_hash(state.job), site, state.round, change, 2 * int(site[-1]), {"loss": 0.5})


class Signed:
    """Seals of sites, as their kits and identities allow them."""

    def __init__(self, kits: dict[str, Path], folder: Path) -> None:
        self._kits = kits
        self._identities = {site: make_identity(folder / site) for site in SITES}

    def reply(self, site: str, state: State, content: bytes | str, by: str | None = None) -> Any:
        """What `by`, or the site itself, says in the site's name; text is a refusal."""
        head = Head(count=1, hash="0" * 64)
        reply = refused(content) if isinstance(content, str) else accepted(Answer(content, head))
        signer = by or site
        passport, identity = read_passport(self._kits[signer]), self._identities[signer]
        sealed(reply, lambda said: make_seal(signer, identity, passport, question(state), said))
        reply.set_header(ReservedKey.TASK_ID, TASK)
        return reply


@pytest.fixture
def signed(kits: dict[str, Path], tmp_path: Path) -> Signed:
    return Signed(kits, tmp_path / "identities")


@dataclass
class Region:
    """The region north with its sites site-1 and site-2, and the engine around it."""

    kit: Path
    executor: RegionExecutor = field(default_factory=RegionExecutor)
    abort: Signal = field(default_factory=Signal)

    def context(self, site: str = "", reply: Any = None) -> Any:
        """What the engine hands over with an event of a site's."""
        workspace = SimpleNamespace(get_root_dir=lambda: str(self.kit))
        return SimpleNamespace(
            get_engine=lambda: SimpleNamespace(get_workspace=lambda: workspace),
            get_peer_context=lambda: SimpleNamespace(get_identity_name=lambda: site),
            get_prop=lambda key: reply if key == FLContextKey.TASK_RESULT else None,
            set_prop=lambda *_, **__: None,
        )

    def asked(self, state: State, sites: Callable[[], None]) -> RegionSum | str:
        """Put a question to the region; `sites` plays what its sites do once they are let in."""
        message = asking(question(state))
        message.set_header(ReservedKey.TASK_ID, TASK)
        there: list[Any] = []
        thread = threading.Thread(
            target=lambda: there.append(self.executor.execute("train", message, self.context(), self.abort))
        )
        thread.start()
        while thread.is_alive() and not message.get_header(ReservedKey.TASK_IS_READY):
            thread.join(0.01)
        if thread.is_alive():
            sites()
        thread.join(90)
        found = read_answer(there[0])
        if isinstance(found, str):
            return found
        path = self.kit / "sum"
        path.write_bytes(found.content)
        return open_region(path)

    def answers(self, site: str, reply: Any) -> None:
        """A site takes the question, and hands an answer in."""
        self.executor._sending("", self.context(site))
        self.executor._received("", self.context(site, reply))


@pytest.fixture
def region(kits: dict[str, Path], tmp_path: Path) -> Iterator[Region]:
    made = Region(Path(shutil.copytree(kits["north"], tmp_path / "north")))
    yield made
    made.abort.trigger(True)


def test_it_answers_with_the_sum_of_its_own_sites_and_both_ways_are_in_its_ledger(
    region: Region, signed: Signed
) -> None:
    state = begin()

    def sites() -> None:
        for site in ("site-2", "site-1"):
            region.answers(site, signed.reply(site, state, encode(grown(state, site))))

    found = region.asked(state, sites)
    assert isinstance(found, RegionSum)
    assert (found.region, found.samples) == ("north", {"site-1": 2, "site-2": 4})
    assert found.scalars == {"site-1": {"loss": 0.5}, "site-2": {"loss": 0.5}}
    mean = fedavg([grown(state, "site-1"), grown(state, "site-2")])["w"]
    assert (found.pairs["w"].sum(axis=0) / 6).astype(np.float32).tobytes() == mean.tobytes()
    ledger = audit(region.kit / "ledger", read_public_key(region.kit / "ledger" / "identity.pub"))
    assert not ledger.flaws
    assert ledger.owner == "north"
    events = [(one.what.event, one.what.peer, one.what.kind) for one in ledger.entries[1:]]  # type: ignore[union-attr]
    assert events[0] == ("received", "coordinator", "model")
    assert sorted(events[1:-1]) == [
        *(("received", site, "update") for site in SITES[:2]),
        *(("sent", site, "model") for site in SITES[:2]),
    ]
    assert events[-1] == ("sent", "coordinator", "region sum")
    assert not list(region.kit.glob("runs/*/rounds/*"))  # nothing of a site's update is left behind


def test_nobody_speaks_for_another_site_and_the_site_itself_is_still_heard(region: Region, signed: Signed) -> None:
    """Whoever is in the study reaches the region: an answer in another's name, or an old one, is nobody's."""
    state = begin(round=1)
    forged = Update(job_hash(JOB), "site-1", 1, {"w": np.array([9, 9], np.float32)}, 1000, {})

    def sites() -> None:
        region.answers("site-1", signed.reply("site-1", state, encode(forged), by="site-3"))
        region.answers("site-1", signed.reply("site-1", state, "I am ill", by="site-2"))
        region.answers("site-1", signed.reply("site-1", begin(round=0), encode(grown(state, "site-1"))))
        region.answers("site-3", signed.reply("site-3", state, encode(grown(state, "site-3"))))  # of another region
        unsealed = accepted(Answer(encode(forged), Head(count=1, hash="0" * 64)))
        unsealed.set_header(ReservedKey.TASK_ID, TASK)
        region.answers("site-1", unsealed)
        region.answers("site-2", signed.reply("site-2", state, "not approved"))
        region.answers("site-1", signed.reply("site-1", state, encode(grown(state, "site-1"))))

    found = region.asked(state, sites)
    assert isinstance(found, RegionSum)
    assert found.samples == {"site-1": 2}
    assert found.pairs["w"].tolist() == [[2.0, 2.0], [0.0, 0.0]]
    assert found.refused == {"site-2": "not approved"}


def test_an_update_that_may_not_count_is_told_upwards(region: Region, signed: Signed) -> None:
    state = begin()
    bad = Update(job_hash(JOB), "site-1", 0, {"w": np.array([np.nan, 0], np.float32)}, 3, {})

    def sites() -> None:
        region.answers("site-1", signed.reply("site-1", state, encode(bad)))
        region.answers("site-2", signed.reply("site-2", state, encode(grown(state, "site-2"))))

    found = region.asked(state, sites)
    assert isinstance(found, RegionSum)
    assert found.refused == {"site-1": "array 'w' holds NaN or infinity"}


def test_a_silent_site_costs_the_grace_once(region: Region, signed: Signed) -> None:
    """In the round after it is not waited for, unless it asks; with a minute's grace that is plain to see."""
    times = []
    for number, grace_s in enumerate((0.5, 60)):
        job = JOB.model_copy(update={"limits": Limits(quorum=1, grace_s=grace_s, deadline_s=100)})
        state = begin(job, number)
        started = time.monotonic()
        one = signed.reply("site-1", state, encode(grown(state, "site-1")))
        found = region.asked(state, lambda one=one: region.answers("site-1", one))  # type: ignore[misc]
        assert isinstance(found, RegionSum)
        assert set(found.samples) == {"site-1"}
        times.append(time.monotonic() - started)
    assert times[0] >= 0.5
    assert times[1] < 30


def test_where_no_update_counts_the_reasons_go_up(region: Region, signed: Signed) -> None:
    state = begin()

    def sites() -> None:
        for site in SITES[:2]:
            region.answers(site, signed.reply(site, state, "not approved"))

    told = region.asked(state, sites)
    assert told == "no site of north has an update that counts: site-1: not approved; site-2: not approved"


def test_what_regions_don_t_do_is_refused(region: Region) -> None:
    masked = JOB.model_copy(update={"privacy": Privacy(secure_aggregation=True)})
    state = first_state(masked, SITES, {"w": np.zeros(2, np.float32)})
    assert "masks cancel in the sum over all sites" in str(region.asked(state, lambda: None))
    reply = region.executor.execute(SCORE.name, None, region.context(), region.abort)
    assert reply.get_return_code() == ReturnCode.TASK_UNKNOWN
