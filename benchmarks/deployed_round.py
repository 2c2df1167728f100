"""What a round costs on the distributed engine beyond its training; the limit is 3 s and the transfer.

    python benchmarks/deployed_round.py [--rounds 6]

A coordinator and three sites, started on this machine by FLAME's own commands, over mutual TLS on 127.0.0.1, where
the transfer takes next to no time. The model is the evolution network, with 0.57 million parameters the largest there
is; on a grid of 16 voxels and four patients a site it trains in well under a second. Once plain, once under masks.

All times but a round's own are differences between dates in the ledgers of coordinator and sites. `training` is that
of the slowest site, from question to answer, masking included. `out` and `back` are the longest ways of a question to
a site and of an answer to the coordinator, summed over the questions of a round (four under masks): polling is there.
"""

import argparse
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from flame.federation.folder import history
from flame.federation.gate import as_proposal
from flame.federation.job import Crop, Job, Limits, Privacy, TrainingSettings, job_hash, write_job
from flame.federation.local import initial_arrays
from flame.federation.nvflare.runs import run_folder
from flame.federation.rounds import first_state
from flame.federation.stages import KEYS, SHARES, TRAIN, UNMASK, UPDATE, Stage
from flame.site.approval import approve, offer
from flame.site.entries import Received, Sent
from flame.site.identity import read_identity
from flame.site.ledger import ledger_path, open_ledger, parse
from flame.site.people import Person
from flame.site.policy import read_policy
from flame.virtual.trial import TrialSettings, site_folder, write_trial

LIMIT_S = 3.0
SITES = ("site-1", "site-2", "site-3")
ADMIN, PERSON = "ada@coordinator.org", "dpo"
PATIENTS = 4
POLICY = 'tasks = ["evolution"]\nmodels = ["unet"]\nmin_patients = 2\narrays = ["*"]\n'


@dataclass(frozen=True)
class Deployment:
    """A study on this machine; `folder` holds kits, work folders and logs."""

    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def kit(self, owner: str) -> Path:
        return self.folder / "study" / "kits" / owner

    def records(self, owner: str) -> Path:
        """The folder of somebody's ledger."""
        return self.kit(owner) / "ledger" if owner == "coordinator" else self.folder / "work" / owner

    def start(self, owner: str) -> None:
        command = [sys.executable, "-m", "flame", "coordinator" if owner == "coordinator" else "site", "start"]
        with (self.folder / f"{owner}.log").open("ab") as log:
            self.started.append(
                subprocess.Popen([*command, self.kit(owner)], cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)
            )

    def submit(self, job: Job) -> Path:
        """Hand a job in that every site's person has approved; returns its folder at the coordinator."""
        for site in SITES:
            work, person = self.records(site), Person(PERSON, read_identity(self.folder / "people" / site))
            proposal = as_proposal(first_state(job, SITES, initial_arrays(job)), "coordinator")
            with open_ledger(work, site, read_identity(work)) as ledger:
                offer(work, ledger, proposal)
                approve(work, ledger, proposal.job, person, read_policy(work / "policy.toml"), patients=PATIENTS)
        path = self.folder / f"{job_hash(job)[:16]}.toml"
        write_job(path, job)
        flame("coordinator", "submit", self.kit(ADMIN), path)
        return run_folder(self.kit("coordinator"), job)


def flame(*words: str | Path) -> str:
    """Run a command of FLAME's; it has to succeed."""
    done = subprocess.run([sys.executable, "-m", "flame", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def study(port: int) -> str:
    sites = ", ".join(f'{{ name = "{site}", organisation = "h{site[-1]}" }}' for site in SITES)
    admin = f'{{ email = "{ADMIN}", organisation = "coordinator", role = "coordinator_admin" }}'
    return f'name = "benchmark"\naddress = "127.0.0.1"\nport = {port}\nsites = [{sites}]\npeople = [{admin}]\n'


@contextlib.contextmanager
def deployed(folder: Path) -> Iterator[Deployment]:
    """Coordinator and sites, connected."""
    write_trial(folder / "trial", TrialSettings(sites=3, patients=PATIENTS, seed=5, spacing_mm=6.0, counterfactuals=()))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "study.toml").write_text(study(port))
    flame("coordinator", "provision", folder / "study.toml", "--out", folder / "study")
    deployment = Deployment(folder)
    for site in SITES:
        work, key = deployment.records(site), folder / "people" / site
        flame("site", "enrol", deployment.kit(site), "--data", site_folder(folder / "trial", site), "--work", work)
        flame("site", "key", key)
        flame("site", "register", work, PERSON, key / "identity.pub", "--site", site)
        (work / "policy.toml").write_text(POLICY)
    try:
        for owner in ("coordinator", *SITES):
            deployment.start(owner)
        end = time.monotonic() + 180
        while not _connected(deployment):
            assert time.monotonic() < end, "the sites are not connected"
            time.sleep(1)
        yield deployment
    finally:
        for process in _family([one.pid for one in deployment.started]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for one in deployment.started:
            one.wait(10)


def _connected(deployment: Deployment) -> bool:
    command = [sys.executable, "-m", "flame", "coordinator", "status", str(deployment.kit(ADMIN))]
    return subprocess.run(command, capture_output=True, text=True).stdout.count(" yes ") == len(SITES)


def _family(processes: Sequence[int]) -> list[int]:
    """Processes with all that they have started, by id."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = list(processes)
    for one in found:  # grows while it is walked
        found += [process for process, parent in parents.items() if parent == one]
    return found


Dates = dict[tuple[str, int, str, str], datetime]


def dates(folder: Path, job: Job, owner: str) -> Dates:
    """When what of a job was noted in a ledger: (event, round, kind, site) -> date."""
    found: Dates = {}
    for line in ledger_path(folder).read_bytes().splitlines():
        entry = parse(line)
        if entry and isinstance(entry.what, Sent | Received) and entry.what.job == job_hash(job):
            what = entry.what
            site = what.peer if owner == "coordinator" else owner
            found.setdefault((what.event, what.round, what.kind, site), entry.at)
    return found


@dataclass(frozen=True)
class Ways:
    """Seconds that a round's questions spent on their way out, at the slowest site, and back."""

    out: float
    training: float
    back: float


def ways(deployment: Deployment, job: Job, number: int) -> Ways:
    stages: tuple[Stage, ...] = (KEYS, SHARES, UPDATE, UNMASK) if job.privacy.secure_aggregation else (TRAIN,)
    centre = dates(deployment.records("coordinator"), job, "coordinator")
    sites: Dates = {}
    for site in SITES:
        sites |= dates(deployment.records(site), job, site)

    def longest(first: Dates, start: tuple[str, str], second: Dates, end: tuple[str, str]) -> float:
        return max(
            (second[end[0], number, end[1], site] - first[start[0], number, start[1], site]).total_seconds()
            for site in SITES
        )

    out = sum(longest(centre, ("sent", one.question), sites, ("received", one.question)) for one in stages)
    back = sum(longest(sites, ("sent", one.answer), centre, ("received", one.answer)) for one in stages)
    (train,) = (one for one in stages if one in (TRAIN, UPDATE))
    return Ways(out, longest(sites, ("received", train.question), sites, ("sent", train.answer)), back)


def measure(deployment: Deployment, job: Job, name: str) -> float:
    """Run a job and print what its rounds took; returns the median of seconds beyond training."""
    handed_in = datetime.now(UTC)
    run = deployment.submit(job)
    accepted = (datetime.now(UTC) - handed_in).total_seconds()
    end = time.monotonic() + 600
    while not (run / "model.json").exists():
        assert time.monotonic() < end, f"no model; see {deployment.folder}/*.log"
        time.sleep(0.5)
    reports = history(run)
    assert all(set(report.samples) == set(SITES) and not report.refused for report in reports)
    found = [ways(deployment, job, report.round) for report in reports]
    beyond = [report.seconds - one.training for report, one in zip(reports, found, strict=True)]
    centre = dates(deployment.records("coordinator"), job, "coordinator")
    asked = min(date for key, date in centre.items() if key[0] == "sent")
    median = statistics.median
    later = range(1, len(reports))
    up, down = (sum(sizes.values()) / len(SITES) / 1e6 for sizes in (reports[-1].bytes_up, reports[-1].bytes_down))
    print(
        f"{name:8}{median(reports[n].seconds for n in later):9.2f}{median(found[n].training for n in later):10.2f}"
        f"{median(beyond[1:]):8.2f}{median(beyond[1:]) / LIMIT_S:10.2f}{max(beyond[1:]):8.2f}"
        f"{median(found[n].out for n in later):7.2f}{median(found[n].back for n in later):7.2f}"
        f"{up:7.2f}{down:7.2f}{reports[0].seconds:10.2f}{accepted:10.2f}{(asked - handed_in).total_seconds():10.2f}"
    )
    return median(beyond[1:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6, help="of each job, the first of which is shown apart")
    arguments = parser.parse_args()
    plain = Job(
        task="evolution",
        model="unet",
        context="first_post_rt",
        seed=3,
        rounds=arguments.rounds,
        training=TrainingSettings(batch_size=2),
        limits=Limits(quorum=3, grace_s=60, deadline_s=300, max_update_norm=10.0),
        crop=Crop(spacing_mm=6.0, size=16),
    )
    masked = plain.model_copy(update={"privacy": Privacy(secure_aggregation=True)})
    parameters = sum(array.size for array in initial_arrays(plain).values())
    with tempfile.TemporaryDirectory() as folder, deployed(Path(folder)) as deployment:
        print(f"{len(SITES)} sites, {parameters:,} parameters, {os.cpu_count()} cores; seconds, medians; MB a site")
        print(
            f"{'job':8}{'a round':>9}{'training':>10}{'beyond':>8}{'of limit':>10}{'worst':>8}{'out':>7}{'back':>7}"
            f"{'up':>7}{'down':>7}{'round 0':>10}{'handed in':>10}{'asked':>10}"
        )
        worst = max(measure(deployment, job, name) for name, job in (("plain", plain), ("masked", masked)))
    print("handed in: the command's own time; asked: from its start to the first question")
    print(f"limit {LIMIT_S:g} s beyond training: {'kept' if worst <= LIMIT_S else 'BROKEN'}")
    return 0 if worst <= LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
