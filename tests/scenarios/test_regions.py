"""A study in regions: each site speaks to its region's coordinator alone, and the model has the same bytes."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command import flame
from tests.scenarios.deployment import REGIONS, SITES, Deployment, deployed, on_one_machine, wait

from flame.federation.folder import history
from flame.federation.job import Crop, FedAvgM, Job, Limits, job_hash

JOB = Job(
    task="response",
    model="clinical",
    context="pre_rt",
    seed=3,
    rounds=3,
    aggregation=FedAvgM(momentum=0.5),
    limits=Limits(quorum=3, grace_s=150, deadline_s=400),
    crop=Crop(spacing_mm=6.0, size=16),
)


@pytest.fixture(scope="module")
def deployment(trial: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(trial, tmp_path_factory.mktemp("regions"), regions=REGIONS) as found:
        yield found


def has_all(run: Path) -> bool:
    """Whether a closed round has the updates of all sites."""
    return any(set(report.samples) == set(SITES) for report in history(run))


def peers(deployment: Deployment, owner: str) -> set[str]:
    """Addresses that a host has connections with, its own and the loopback's left out."""
    lines = deployment.hosts[owner].run(["cat", "/proc/net/tcp"]).stdout.splitlines()[1:]
    found = {bytes.fromhex(line.split()[2].split(":")[0])[::-1] for line in lines if line.split()[3] == "01"}
    own = {deployment.hosts[owner].address, "127.0.0.1"}
    return {".".join(map(str, address)) for address in found} - own


def test_a_job_ends_with_the_bytes_that_it_has_without_regions(
    deployment: Deployment, trial: Path, tmp_path: Path
) -> None:
    run = deployment.submit(JOB)
    assert deployment.finish(run) == on_one_machine(JOB, trial, tmp_path)
    reports = history(run)
    assert [set(report.samples) for report in reports] == [set(SITES)] * JOB.rounds
    assert all(set(report.scalars[site]) == {"loss"} for report in reports for site in SITES)
    assert [set(report.bytes_up) for report in reports] == [set(REGIONS)] * JOB.rounds


def test_a_site_has_a_line_to_its_region_alone_and_the_coordinator_to_regions(deployment: Deployment) -> None:
    for region, sites in REGIONS.items():
        for site in sites:
            assert peers(deployment, site) == {deployment.hosts[region].address}
    assert peers(deployment, "coordinator") == {deployment.hosts[region].address for region in REGIONS}


def test_ledgers_agree_on_both_ways_and_no_update_reached_the_coordinator(deployment: Deployment) -> None:
    top = deployment.kit("coordinator") / "ledger"
    for region, sites in REGIONS.items():
        ledger = deployment.kit(region) / "ledger"
        for one, other in [*((deployment.work(site), ledger) for site in sites), (ledger, top)]:
            done = flame("verify", one, "--against", other)
            assert done.returncode == 0, done.stderr
    received = [
        (what["peer"], what["kind"])
        for what in (json.loads(line)["what"] for line in (top / "ledger.jsonl").read_text().splitlines())
        if what["event"] == "received" and what["job"] == job_hash(JOB)
    ]
    assert sorted(received) == sorted((region, "region sum") for region in REGIONS for _ in range(JOB.rounds))


@pytest.fixture(scope="module")
def cut_off(deployment: Deployment) -> Path:
    """The run of a job during which the region `south` was killed; the region is back by now."""
    job = JOB.model_copy(update={"seed": 6, "rounds": 6, "limits": Limits(quorum=2, grace_s=3)})
    run = deployment.submit(job)
    wait(lambda: has_all(run), 600, "a round of all sites")
    deployment.hosts["south"].kill(signal.SIGKILL)
    deployment.finish(run)
    assert len(history(run)) == job.rounds
    joined = deployment.joined()
    deployment.start("south")
    deployment.await_joined(["south"], joined)  # its site too is back by then
    return run


@pytest.fixture(scope="module")
def bereft(deployment: Deployment, cut_off: Path) -> Path:  # noqa: ARG001  it is the next job
    """The run of the following job, during which site-2 was killed after a round of all sites."""
    job = JOB.model_copy(update={"seed": 8, "rounds": 8, "limits": Limits(quorum=2, grace_s=3)})
    run = deployment.submit(job)
    wait(lambda: has_all(run), 600, "a round of all sites")
    deployment.hosts["site-2"].kill(signal.SIGKILL)
    deployment.finish(run)
    return run


def test_a_region_that_vanishes_costs_its_sites_and_is_there_again_for_the_next_job(
    deployment: Deployment, cut_off: Path, bereft: Path
) -> None:
    """The round under way closes with the others; the model, the ledgers and the region's own records stay whole."""
    assert set(history(cut_off)[-1].samples) == set(REGIONS["north"])
    assert has_all(bereft)
    done = flame("verify", deployment.kit("south") / "ledger", "--against", deployment.kit("coordinator") / "ledger")
    assert done.returncode == 0, done.stderr


def test_a_site_that_vanishes_costs_itself_alone(bereft: Path) -> None:
    assert set(history(bereft)[-1].samples) == {"site-1", "site-3"}
