"""Faults of a study on hosts of their own: slow, cut and tapped lines, wrong clocks, late sites, full disks.

What is guaranteed under each is the name of its test. One deployment serves all: site-2 is behind a line of 20 Mbit/s
with 25 ms in each direction, every packet of site-3 is kept, and the clock of site-1 is two days ahead until the test
that starts it again. One job may go through several faults.
"""

import contextlib
import json
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.command import flame
from tests.faults import capture
from tests.faults.clocks import wrong_clock
from tests.faults.lines import Line, lay_line
from tests.faults.plaintext import secrets_of
from tests.faults.wire import RUN, float_runs, streams, words
from tests.scenarios.deployment import PORT, SITES, Deployment, deployed, model_hash, on_one_machine, wait
from tests.scenarios.disks import fill
from tests.scenarios.test_deployment import EVOLUTION, RESPONSE, rounds, taking_part

from flame.federation.job import Job, Limits
from flame.site.entries import Entry

RATE, DELAY_S = 20e6 / 8, 0.025
"""Of the line of site-2 [bytes/s], and of each direction [s]."""

UPDATE = 2_275_420
"""Bytes of the arrays in one update of EVOLUTION, as in its model."""

SEVERAL_S = 600
"""How long to wait for what takes seconds on a quiet machine."""


@dataclass(frozen=True)
class Faulty:
    """The deployment; the line of site-2; where the packets of site-3 are kept, by which process; and clocks."""

    deployment: Deployment
    line: Line
    kept: Path
    keeper: int
    clocks: Path

    def back(self) -> None:
        """Wait until all three sites are connected."""
        wait(lambda: self.deployment.connected() == len(SITES), SEVERAL_S, "three sites connected")


@pytest.fixture(scope="module")
def faulty(trial: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    folder, clocks = tmp_path_factory.mktemp("faulty"), tmp_path_factory.mktemp("clocks")
    laid: list[Line] = []
    kept, keepers = clocks / "site-3.packets", []

    def prepare(deployment: Deployment) -> None:
        laid.append(lay_line(deployment, "site-2", "20mbit", DELAY_S))
        command = [sys.executable, capture.__file__, "eth0", kept]
        keepers.append(deployment.hosts["site-3"].start(command, clocks, clocks / "capture.log").pid)
        wait(kept.exists, SEVERAL_S, f"packets are kept; see {clocks}/capture.log")

    disks = {"study/kits/coordinator/runs": 120_000_000, "work/site-3": 60_000_000}
    with deployed(trial, folder, disks, {"site-1": wrong_clock(clocks, days=2)}, prepare) as deployment:
        yield Faulty(deployment, laid[0], kept, keepers[0], clocks)


@dataclass(frozen=True)
class Past:
    """A job that has ended; its run folder; and how many of its rounds were closed when a fault came."""

    job: Job
    run: Path
    closed: tuple[int, ...]


@pytest.fixture(scope="module")
def first(faulty: Faulty) -> Past:
    """A job that went over the slow line, past the wrong clock and before the tap.

    The line is cut in the middle of the second round's update on its way, and of the third round's model on its way.
    It counts the bytes and cuts by itself, for a look at it from here may come too late.
    """
    line, job = faulty.line, EVOLUTION.model_copy(update={"seed": 11})
    line.cut("up", after=UPDATE + UPDATE // 2)
    run = faulty.deployment.submit(job)
    wait(lambda: line.cuts() == 1, SEVERAL_S, "a cut while an update is on its way")
    closed = len(rounds(run))
    line.cut("down", after=UPDATE // 4)
    wait(lambda: line.cuts() == 2, SEVERAL_S, "a cut while a model is on its way")
    found = Past(job, run, (closed, len(rounds(run))))
    faulty.deployment.finish(run)
    return found


@pytest.fixture(scope="module")
def on_this_machine(faulty: Faulty, first: Past, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the model that the embedded engine makes of the first job."""
    return on_one_machine(first.job, faulty.deployment.trial, tmp_path_factory.mktemp("first"))


def with_limits(job: Job, seed: int, rounds: int, **limits: float) -> Job:
    return job.model_copy(update={"seed": seed, "rounds": rounds, "limits": Limits(**limits)})


@contextlib.contextmanager
def stopped(faulty: Faulty, site: str) -> Iterator[None]:
    """Let nothing at a site go on while the block runs; its line and the capture do."""
    host, spare = faulty.deployment.hosts[site], {faulty.keeper, faulty.line.process}
    host.send_signal(signal.SIGSTOP, spare)
    try:
        yield
    finally:
        host.send_signal(signal.SIGCONT, spare)


def test_a_slow_line_costs_time_and_no_byte(faulty: Faulty, first: Past, on_this_machine: str) -> None:
    """20 Mbit/s and 50 ms there and back."""
    job, run = first.job, first.run
    assert taking_part(run) == [set(SITES)] * job.rounds
    assert model_hash(run) == on_this_machine
    carried = faulty.line.carried()
    for way in ("up", "down"):
        assert carried[-1][way] > job.rounds * UPDATE
        beyond = [
            later[way] - one[way] - RATE * (later["at"] - one["at"])
            for one, later in zip(carried, carried[3:], strict=False)
        ]
        assert max(beyond) < UPDATE / 3  # or an update would have passed at once; buffers hold this much


def test_a_clock_that_is_days_ahead_changes_nothing(faulty: Faulty, first: Past) -> None:
    """It shows in the times of that site's ledger alone, and both ledgers still agree."""
    assert "site-1" in taking_part(first.run)[-1]
    ahead = {}
    for site in SITES:
        work = faulty.deployment.work(site)
        last = Entry.model_validate_json((work / "ledger.jsonl").read_bytes().splitlines()[-1])
        ahead[site] = round((last.at - datetime.now(UTC)) / timedelta(days=1), 1)
        done = flame("verify", work, "--against", faulty.deployment.kit("coordinator") / "ledger")
        assert done.returncode == 0, done.stderr
    assert ahead == {"site-1": 2.0, "site-2": 0.0, "site-3": 0.0}


def test_what_is_captured_at_a_site_is_for_the_coordinator_alone_and_can_not_be_read(
    faulty: Faulty, first: Past, tmp_path: Path
) -> None:
    """Every packet since before site-3 was started. Beside TCP, only neighbours are looked for (ARP, ICMPv6)."""
    job, run = first.job, first.run
    site, coordinator = (faulty.deployment.hosts[name].address for name in ("site-3", "coordinator"))
    found = list(capture.packets(faulty.kept))
    strange = [one for one in found if one.kind not in (capture.ARP, capture.IPV4) and not one.finds_neighbours]
    assert not strange
    carried = [one for one in found if one.kind == capture.IPV4]
    assert {one.protocol for one in carried} == {capture.TCP}
    ends = {(one.source, one.source_port if one.source == coordinator else None) for one in carried}
    ends |= {(one.target, one.target_port if one.target == coordinator else None) for one in carried}
    assert ends == {(site, None), (coordinator, PORT)}
    assert {one.target for one in carried if one.opens} == {coordinator}  # nobody connects to a site

    content = streams(found)
    assert sum(map(len, content)) > 2 * job.rounds * UPDATE  # the job did pass here, both ways
    secrets = secrets_of(job, run, faulty.deployment, "site-3", tmp_path / "samples")
    assert words(content, secrets.words) == set()
    assert float_runs(content, secrets.arrays) == 0
    # The same search finds all of it in what the engine encrypted.
    assert words(secrets.messages, secrets.words) == secrets.words
    assert float_runs(secrets.messages, secrets.arrays) > UPDATE / RUN  # half of what two messages hold


def test_a_line_that_is_cut_comes_back_by_itself_and_nothing_is_lost(
    faulty: Faulty, first: Past, on_this_machine: str
) -> None:
    """Cut while the first round alone was closed, and while two were; see `first`."""
    assert first.closed == (1, 2)
    assert faulty.line.cuts() == 2
    assert taking_part(first.run) == [set(SITES)] * first.job.rounds
    assert model_hash(first.run) == on_this_machine


GREET = """
import socket, ssl, sys
from pathlib import Path
kit = Path(sys.argv[1])
context = ssl.create_default_context(cafile=kit / "rootCA.pem")
context.check_hostname = False
context.load_cert_chain(kit / "client.crt", kit / "client.key")
with context.wrap_socket(socket.create_connection((sys.argv[2], int(sys.argv[3])), 60)) as line:
    print(line.version())
    line.shutdown(socket.SHUT_WR)
    while line.recv(4096):
        pass
"""
"""Connects as a site does, and says why it can't, which the engine keeps to itself.

It ends when the other side has closed as well, and so has written down by then that it was here.
"""


def test_a_clock_before_the_certificates_keeps_its_site_out_until_it_is_right(faulty: Faulty) -> None:
    deployment, host = faulty.deployment, faulty.deployment.hosts["site-1"]
    log = deployment.folder / "coordinator.log"
    greet = [sys.executable, "-c", GREET, deployment.kit("site-1") / "startup", deployment.hosts["coordinator"].address]
    early = wrong_clock(faulty.clocks, days=-400)
    refused = host.run(["env", *(f"{name}={value}" for name, value in early.items()), *greet, str(PORT)])
    assert "certificate is not yet valid" in refused.stderr
    assert host.run([*greet, str(PORT)]).stdout == "TLSv1.3\n"

    def arrivals() -> int:
        return log.read_text().count("SSL site-1] is created")

    host.kill()
    joined, before, start = deployment.joined(), arrivals(), (deployment.folder / "site-1.log").stat().st_size
    deployment.start("site-1", early)
    wait(lambda: (deployment.folder / "site-1.log").stat().st_size > start, SEVERAL_S, "the site has started")
    time.sleep(10)
    assert arrivals() == before
    host.kill()
    deployment.start("site-1")
    wait(lambda: arrivals() > before, SEVERAL_S, "the site is back")
    deployment.await_joined(["site-1"], joined)


def closes_with(faulty: Faulty, run: Path, sites: set[str]) -> None:
    """Stop the other site until a round was closed without it."""
    (other,) = set(SITES) - sites
    with stopped(faulty, other):
        number = len(rounds(run))
        wait(lambda: sites in taking_part(run)[number:], SEVERAL_S, f"a round with {sorted(sites)}")


def test_a_full_disk_and_a_late_answer_cost_their_site_those_rounds_alone(faulty: Faulty) -> None:
    """A quorum of two lets the test say who has to answer: whoever of the others is stopped can't."""
    job = with_limits(RESPONSE, seed=13, rounds=24, quorum=2, grace_s=2, deadline_s=SEVERAL_S)
    for site in SITES:
        faulty.deployment.approve(job, site)
    filler = fill(faulty.deployment.work("site-3"))
    try:
        run = faulty.deployment.submit(job, approved_by=())
        wait(lambda: any(line["refused"] for line in rounds(run)), SEVERAL_S, "a round that site-3 can't answer")
    finally:
        filler.unlink()
    closes_with(faulty, run, {"site-1", "site-3"})  # now that it has space
    closes_with(faulty, run, {"site-1", "site-2"})  # site-3 is late
    closes_with(faulty, run, {"site-1", "site-3"})
    faulty.deployment.finish(run)
    assert len(rounds(run)) == job.rounds
    assert taking_part(run)[0] == {"site-1", "site-2"}
    refused = [line["refused"] for line in rounds(run) if line["refused"]]
    assert refused[0] == {"site-3": "no update for EngineError; the site's own log says more"}
    assert "Free some space" in (faulty.deployment.folder / "site-3.log").read_text()
    assert not any(line["refused"] for line in rounds(run)[-3:])  # to be late is no refusal


@dataclass(frozen=True)
class Resumed:
    """A job that ended twice before its end; see `resumed`.

    Args:
        run: its run folder.
        told: why it ended without a quorum.
        before: its closed rounds by then.
        log: of the coordinator, while its disk was full.
        partial: files half written by then.
        ended: whether there was a model then.
        expected: the hash of the embedded engine's model.
    """

    run: Path
    told: str
    before: list[dict[str, object]]
    log: str
    partial: list[Path]
    ended: bool
    expected: str


def handed_in_again(faulty: Faulty, job: Job, run: Path, until: Callable[[], bool]) -> None:
    """Let a job go on until a condition holds: a busy machine may need more than the deadline in some round."""
    failed = run / "failure.json"
    for _ in range(4):
        assert faulty.deployment.submit(job, approved_by=()) == run
        wait(lambda: not failed.exists(), SEVERAL_S, "the job goes on")
        wait(lambda: failed.exists() or until(), SEVERAL_S, "what it is to reach")
        if not failed.exists():
            return


@pytest.fixture(scope="module")
def resumed(faulty: Faulty, tmp_path_factory: pytest.TempPathFactory) -> Resumed:
    """A job that first finds no quorum before the deadline, then a full disk at the coordinator, then its end."""
    job = EVOLUTION.model_copy(update={"seed": 16, "rounds": 6, "limits": Limits(quorum=3, grace_s=1, deadline_s=60)})
    run = faulty.deployment.submit(job)
    failed = run / "failure.json"
    wait((run / "job.toml").exists, SEVERAL_S, "the job has begun")
    with stopped(faulty, "site-3"):
        expected = on_one_machine(job, faulty.deployment.trial, tmp_path_factory.mktemp("resumed"))
        wait(failed.exists, SEVERAL_S, "the deadline")
    told, before = json.loads(failed.read_text())["message"], rounds(run)
    faulty.back()

    handed_in_again(faulty, job, run, lambda: len(rounds(run)) > len(before))
    path = faulty.deployment.folder / "coordinator.log"
    start = len(path.read_text())
    filler = fill(run.parent)
    try:
        # Without room for the next state the job ends; so it does at the deadline, if an answer could not be kept.
        wait(lambda: "FATAL_SYSTEM_ERROR" in path.read_text()[start:], SEVERAL_S, "the coordinator ends the job")
        log, partial = path.read_text()[start:], list(run.rglob(".*.partial.*"))
    finally:
        filler.unlink()
    wait(
        lambda: "Server runner finished" in path.read_text()[start:].rpartition("FATAL_SYSTEM_ERROR")[2],
        SEVERAL_S,
        "it has ended",
    )
    ended = (run / "model.json").exists()
    handed_in_again(faulty, job, run, (run / "model.json").exists)
    faulty.deployment.finish(run)
    return Resumed(run, told, before, log, partial, ended, expected)


def test_without_a_quorum_at_the_deadline_a_job_ends_with_reasons_and_goes_on_when_handed_in_again(
    resumed: Resumed,
) -> None:
    before = resumed.before
    assert re.match(rf"Round {len(before)}: [0-2] valid updates of 3 sites, the quorum is 3", resumed.told), (
        resumed.told
    )
    assert model_hash(resumed.run) == resumed.expected
    assert rounds(resumed.run)[: len(before)] == before
    assert not (resumed.run / "failure.json").exists()


def test_a_full_disk_of_the_coordinator_ends_the_job_and_with_space_it_goes_on(resumed: Resumed) -> None:
    assert "disk is full" in resumed.log
    assert re.search("Free some space|the quorum is 3", resumed.log)
    assert not resumed.partial
    assert not resumed.ended
    assert model_hash(resumed.run) == resumed.expected
