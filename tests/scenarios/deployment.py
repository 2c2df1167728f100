"""A study on hosts of their own: kits made, coordinator and sites started by the commands that a hospital uses."""

import contextlib
import functools
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tests.command import flame, warm_python
from tests.scenarios.disks import small_disk
from tests.scenarios.hosts import Host, make_hosts

from flame.federation import embedded
from flame.federation.gate import as_proposal
from flame.federation.job import Crop, Job, job_hash, write_job
from flame.federation.local import SiteTraining, initial_arrays
from flame.federation.rounds import first_state
from flame.imaging.prepare import Context
from flame.learning.samples import build_stores
from flame.records.dataset import read_site
from flame.site.approval import approve, offer
from flame.site.entries import digest
from flame.site.identity import read_identity
from flame.site.ledger import open_ledger
from flame.site.people import Person
from flame.site.policy import read_policy

__all__ = ["REGIONS", "SITES", "Deployment", "deployed", "model_hash", "on_one_machine", "wait"]

SITES = ("site-1", "site-2", "site-3")
ADMIN, RESEARCHER = "ada@coordinator.org", "rae@h1.org"
PORT = 8443

REGIONS = {"north": ("site-1", "site-2"), "south": ("site-3",)}
"""For a study whose sites are in regions."""

STUDY = f"""
name = "rehearsal"
address = "10.77.0.1"
port = {PORT}
sites = [{", ".join(f'{{ name = "{site}", organisation = "h{site[-1]}" }}' for site in SITES)}]
people = [
    {{ email = "{ADMIN}", organisation = "coordinator", role = "coordinator_admin" }},
    {{ email = "{RESEARCHER}", organisation = "h1", role = "researcher" }},
]
"""


POLICY = """
tasks = ["response", "evolution"]
models = ["clinical", "unet"]
min_patients = 2
arrays = ["*"]
"""
PERSON = "dpo"
"""Who decides at every site."""


def wait(condition: Callable[[], bool], seconds: float, what: str, pause_s: float = 0.2) -> None:
    """Wait until a condition holds, and look again after each pause."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(pause_s)


@dataclass(frozen=True)
class Deployment:
    """Running coordinator and sites; `folder` holds kits, work folders and logs."""

    folder: Path
    hosts: dict[str, Host]
    trial: Path
    regions: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def kit(self, owner: str) -> Path:
        """The folder of somebody's kit."""
        return self.folder / "study" / "kits" / owner

    def work(self, site: str) -> Path:
        """A site's work folder."""
        return self.folder / "work" / site

    def start(self, owner: str, environment: Mapping[str, str] | None = None) -> None:
        """Start the coordinator, or a site, as its owner would."""
        group = "site" if owner in SITES else "coordinator"
        command = [warm_python(), "-m", "flame", group, "start", self.kit(owner)]
        self.hosts[owner].start(command, self.folder, self.folder / f"{owner}.log", environment)
        if owner in self.regions:  # it has two processes
            relay = [*command[:-1], self.kit(f"{owner}-relay")]
            self.hosts[owner].start(relay, self.folder, self.folder / f"{owner}-relay.log", environment)

    def flame(self, *words: str | Path) -> str:
        """Run a command of FLAME's on the coordinator's host; it has to succeed."""
        done = self.hosts["coordinator"].flame(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def connected(self) -> int:
        """How many sites are connected."""
        done = self.hosts["coordinator"].flame("coordinator", "status", self.kit(ADMIN))
        return done.stdout.count(" yes ")

    def joined(self) -> Counter[str]:
        """How often each site and region has joined, or come back, by the coordinator's log."""
        log = self.folder / "coordinator.log"
        text = log.read_text() if log.exists() else ""
        return Counter(re.findall(r"(?:New client |Re-activate the client: )([^\s@]+)", text))

    def await_joined(self, owners: Sequence[str], before: Mapping[str, int]) -> None:
        """Wait until some have joined once more than `before`, and all are connected.

        A command that looks whether they are costs a second of a processor, and more while nobody answers it.
        """
        told = f"connected; see {self.folder}/*.log"
        wait(lambda: all(self.joined()[owner] > before.get(owner, 0) for owner in owners), 600, told)
        there = len(self.regions) + len(SITES)
        wait(lambda: self.connected() == there, 600, f"all {told}", pause_s=1)

    def peer(self, site: str) -> str:
        """Who asks a site: the coordinator, or the site's region."""
        return next((region for region, sites in self.regions.items() if site in sites), "coordinator")

    def decider(self, site: str) -> Person:
        """The person who decides at a site."""
        return Person(PERSON, read_identity(self.folder / "people" / site))

    def approve(self, job: Job, site: str) -> None:
        """Let a site's person approve a job that they were given on another way, before it is handed in."""
        work = self.work(site)
        proposal = as_proposal(first_state(job, SITES, initial_arrays(job)), self.peer(site))
        with open_ledger(work, site, read_identity(work)) as ledger:
            offer(work, ledger, proposal)
            approve(work, ledger, proposal.job, self.decider(site), read_policy(work / "policy.toml"), patients=4)

    def submit(self, job: Job, approved_by: Sequence[str] = SITES) -> Path:
        """Hand a job in as a researcher, approved by some sites; returns its run folder at the coordinator."""
        for site in approved_by:
            self.approve(job, site)
        path = self.folder / f"{job_hash(job)[:16]}.toml"
        write_job(path, job)
        self.flame("coordinator", "submit", self.kit(RESEARCHER), path)
        return self.kit("coordinator") / "runs" / job_hash(job)[:16]

    def finish(self, run: Path, seconds: float = 600) -> str:
        """Wait for a job's final model; the hash of its bytes."""
        wait((run / "model.json").exists, seconds, f"a model; see {self.folder}/*.log")
        return model_hash(run)


def model_hash(run: Path) -> str:
    """Of the bytes of a run folder's model: where megabytes differ, pytest would look for the place for an hour."""
    return digest((run / "model.safetensors").read_bytes())


@contextlib.contextmanager
def deployed(
    trial: Path,
    folder: Path,
    disks: Mapping[str, int] = MappingProxyType({}),
    environments: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    prepare: Callable[[Deployment], None] = lambda _: None,
    regions: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Iterator[Deployment]:
    """Hosts with a coordinator and three sites that are connected, to it or to their regions' coordinators.

    Args:
        trial: a virtual trial of three sites.
        folder: for kits, work folders and logs.
        disks: folder below `folder` -> size of a file system of its own [bytes].
        environments: owner -> variables that its processes get beside those of this one.
        prepare: called when the hosts are there and nothing runs in them.
        regions: name -> its sites, if there are regions.
    """
    (folder / "study.toml").write_text(STUDY + _regions(regions))
    done = flame("coordinator", "provision", folder / "study.toml", "--out", folder / "study")
    assert done.returncode == 0, done.stderr
    with contextlib.ExitStack() as stack:
        for path, size in disks.items():
            stack.enter_context(small_disk(folder / path, size))
        deployment = Deployment(
            folder, stack.enter_context(make_hosts(("coordinator", *regions, *SITES))), trial, regions
        )
        for site in SITES:
            _open_site(deployment, site)
        prepare(deployment)
        for owner in ("coordinator", *regions, *SITES):
            deployment.start(owner, environments.get(owner))
        deployment.await_joined((*regions, *SITES), {})
        yield deployment


def _regions(regions: Mapping[str, Sequence[str]]) -> str:
    """The regions' part of a study; their hosts come after the coordinator's."""
    tables = [
        f'[[regions]]\nname = "{name}"\norganisation = "{name}"\naddress = "10.77.0.{number}"\n'
        f"port = {PORT}\nsites = {list(sites)}\n"
        for number, (name, sites) in enumerate(regions.items(), 2)
    ]
    return "\n".join(tables)


def on_one_machine(job: Job, trial: Path, folder: Path) -> str:
    """The hash of the model of the embedded engine, without regions."""
    participants = {site: SiteTraining(job, site, (_store(trial, site, job.context, job.crop),)) for site in SITES}
    list(embedded.run(job, participants, folder / "run", initial_arrays(job)))
    return model_hash(folder / "run")


@functools.cache
def _store(trial: Path, site: str, context: Context, crop: Crop) -> Path:
    """A site's samples beside the trial, made once by this process for all jobs that look at the same."""
    store = trial.parent / f"samples-{os.getpid()}-{trial.name}" / f"{context}-{crop.spacing_mm:g}mm-{crop.size}" / site
    build_stores(read_site(trial / "sites" / site), {context: store}, crop)
    return store


def _open_site(deployment: Deployment, site: str) -> None:
    """Enrol a site, with a person who decides and a policy."""
    data, work = deployment.trial / "sites" / site, deployment.work(site)
    key = deployment.folder / "people" / site
    for words in (
        ("enrol", deployment.kit(site), "--data", data, "--work", work),
        ("key", key),
        ("register", work, PERSON, key / "identity.pub", "--site", site),
    ):
        done = flame("site", *words)
        assert done.returncode == 0, done.stderr
    (work / "policy.toml").write_text(POLICY)
