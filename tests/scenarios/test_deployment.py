"""Coordinator and sites as separate hosts: the same bytes as on one machine, and no code but the installed one."""

import json
import re
import shutil
import signal
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command import flame, warm_python
from tests.scenarios.deployment import (
    ADMIN,
    PERSON,
    RESEARCHER,
    SITES,
    Deployment,
    deployed,
    model_hash,
    on_one_machine,
    wait,
)

from flame.federation.job import (
    Crop,
    Evaluation,
    FedAvgM,
    Job,
    Limits,
    Privacy,
    Selection,
    TrainingSettings,
    job_hash,
)
from flame.federation.nvflare.job import write_engine_job
from flame.records.dataset import read_site

CROP = Crop(spacing_mm=6.0, size=16)
LIMITS = Limits(quorum=2, grace_s=150, deadline_s=400)  # on a busy machine a site may be late, and has to be there
EVOLUTION = Job(
    task="evolution",
    model="unet",
    context="first_post_rt",
    seed=3,
    rounds=3,
    training=TrainingSettings(batch_size=2),
    aggregation=FedAvgM(momentum=0.5),
    limits=LIMITS,
    crop=CROP,
)
MASKED = EVOLUTION.model_copy(
    update={
        "seed": 8,
        "limits": LIMITS.model_copy(update={"max_update_norm": 10.0}),
        "privacy": Privacy(secure_aggregation=True),
    }
)
RESPONSE = Job(task="response", model="clinical", context="pre_rt", seed=3, rounds=4, limits=LIMITS, crop=CROP)
SCORED = RESPONSE.model_copy(
    update={
        "seed": 9,
        "limits": LIMITS.model_copy(update={"quorum": 3}),  # the site with most patients is waited for
        "selection": Selection(rule="mean", held_back=0.4),
        "evaluation": Evaluation(cross_site="each_site"),
    }
)


@pytest.fixture(scope="module")
def trial(trial: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trial, with every patient of site-1 there three times under other names: enough to hold some back."""
    out = tmp_path_factory.mktemp("crowded") / "trial"
    shutil.copytree(trial, out)
    site = out / "sites" / "site-1"
    for path in sorted(one for one in site.rglob("*") if one.is_file()):
        name = path.relative_to(site).as_posix()
        for more in ("b", "c") if "sub-" in name else ():
            copy = site / re.sub(r"(sub-s1p\d+)", rf"\1{more}", name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    table = site / "participants.tsv"
    head, *rows = table.read_text().splitlines()
    rows = [re.sub(r"^(sub-s1p\d+)", rf"\1{more}", row) for more in ("", "b", "c") for row in rows]
    table.write_text("\n".join([head, *rows]) + "\n")
    return out


@pytest.fixture(scope="module")
def deployment(trial: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(trial, tmp_path_factory.mktemp("deployment")) as found:
        for site in SITES:
            with (found.work(site) / "policy.toml").open("a") as policy:
                policy.write("own_model = true\n")
        yield found


def rounds(run: Path) -> list[dict[str, object]]:
    """Lines of closed rounds."""
    path = run / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in lines if "samples" in line]


def taking_part(run: Path) -> list[set[str]]:
    """The sites whose updates are in each closed round."""
    return [set(line["samples"]) for line in rounds(run)]  # type: ignore[call-overload]


def closed(run: Path) -> int:
    """How many rounds are closed for good: the next one's state is there. A round's line comes a moment before."""
    states = (run / "rounds").glob("state-*.safetensors")
    return max((int(path.stem.removeprefix("state-")) for path in states), default=0)


@pytest.fixture(scope="module")
def masked(deployment: Deployment) -> Path:
    """MASKED's run."""
    run = deployment.submit(MASKED)
    deployment.finish(run)
    return run


@pytest.fixture(scope="module")
def bereft(deployment: Deployment, masked: Path) -> Path:  # noqa: ARG001  stores of samples are there by now
    """The run of a job during which site-3 was killed; it is back by now.

    Before that it is in a round, which need not be the first: a busy machine may start it late.
    """
    job = EVOLUTION.model_copy(update={"seed": 6, "rounds": 6, "limits": Limits(quorum=2, grace_s=3)})
    run = deployment.submit(job)
    wait(lambda: set(SITES) in taking_part(run), 600, "a round of all sites")
    deployment.hosts["site-3"].kill(signal.SIGKILL)
    deployment.finish(run)
    assert len(rounds(run)) == job.rounds
    before = deployment.joined()
    deployment.start("site-3")
    deployment.await_joined(["site-3"], before)
    return run


@pytest.fixture(scope="module")
def unapproved(deployment: Deployment, bereft: Path) -> str:  # noqa: ARG001  it is the next job
    """What ended SCORED, handed in while site-3 had not approved it."""
    run = deployment.submit(SCORED, approved_by=SITES[:2])
    wait((run / "failure.json").exists, 600, "the round that can't reach its quorum")
    shown = deployment.flame("coordinator", "status", deployment.kit("coordinator"))
    assert f"0 of {SCORED.rounds}" in shown
    assert not (run / "model.json").exists()
    return str(json.loads((run / "failure.json").read_text())["message"])


@pytest.fixture(scope="module")
def scored(deployment: Deployment, unapproved: str) -> Path:  # noqa: ARG001  it goes on
    """SCORED's run, ended after the third site's person has approved it with the commands for that."""
    number, work = job_hash(SCORED)[:8], deployment.work("site-3")
    shown = flame("site", "show", work, number)
    assert shown.returncode == 0, shown.stderr
    data, person = deployment.trial / "sites" / "site-3", deployment.folder / "people" / "site-3"
    done = flame("site", "approve", work, number, "--as", PERSON, "--key", person, "--data", data)
    assert done.returncode == 0, done.stderr
    run = deployment.submit(SCORED, approved_by=())
    deployment.finish(run)
    return run


def ends_as_on_one_machine(job: Job, run: Path, deployment: Deployment, trial: Path, folder: Path) -> None:
    """The model, the scores at the end, and who took part; compared with the embedded engine's run below `folder`."""
    assert model_hash(run) == on_one_machine(job, trial, folder)
    assert taking_part(run) == [set(SITES)] * job.rounds
    results = [one / "cross_site.json" for one in (run, folder / "run")]
    assert [result.exists() for result in results] == [job == SCORED] * 2
    if job == SCORED:
        assert results[0].read_bytes() == results[1].read_bytes()
    shown = deployment.flame("coordinator", "status", deployment.kit("coordinator"))
    assert f"{job.rounds} of {job.rounds}" in shown


@pytest.mark.parametrize(("job", "name"), [(MASKED, "masked"), (SCORED, "scored")], ids=["masked", "response"])
def test_jobs_end_with_the_bytes_of_the_embedded_engine(
    job: Job, name: str, deployment: Deployment, trial: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Evolution without masks is the job of the coordinator that was killed, below."""
    ends_as_on_one_machine(job, request.getfixturevalue(name), deployment, trial, tmp_path)


def test_every_model_is_scored_where_patients_were_held_back(deployment: Deployment, scored: Path) -> None:
    """The last and the best model and those that sites trained alone; two sites have too few patients to score any."""
    models = json.loads((scored / "cross_site.json").read_text())["models"]
    assert [(one["trained"], one["site"]) for one in models] == [("federated", None)] * 2 + [
        ("local", site) for site in SITES
    ]
    for one in models:
        assert list(one["scores"]) == ["site-1"]
        assert one["scores"]["site-1"]["patients"] == 5
        assert set(one["refused"].values()) == {"too few patients are held back here to score a model"}
    (kept,) = [one for one in models if one["kept"]]
    assert kept["rounds"] == json.loads((scored / "model.json").read_text())["rounds"]
    lines = (deployment.work("site-2") / "ledger.jsonl").read_text().splitlines()
    kinds = [what["kind"] for what in (json.loads(line)["what"] for line in lines) if what["event"] == "sent"]
    assert kinds.count("own model") == 1


@pytest.mark.usefixtures("scored", "masked")
def test_what_was_sent_and_received_is_in_both_ledgers_and_they_agree(deployment: Deployment) -> None:
    own = deployment.kit("coordinator") / "ledger"
    for site in SITES:
        work = deployment.work(site)
        done = flame("verify", work, "--against", own)
        assert done.returncode == 0, done.stderr
        entries = [json.loads(line)["what"] for line in (work / "ledger.jsonl").read_text().splitlines()]
        updates = ("update", "masked update")
        sent = [what for what in entries if what["event"] == "sent" and what["kind"] in updates]
        assert len(sent) >= SCORED.rounds + MASKED.rounds
        assert all(what["samples"] and what["arrays"] for what in sent)
        patients = [one.id.encode() for one in read_site(deployment.trial / "sites" / site).patients]
        assert not any(patient in (work / "ledger.jsonl").read_bytes() for patient in patients)


def test_of_a_masked_job_only_the_sum_is_seen(deployment: Deployment, masked: Path) -> None:
    """No update of its own left any site, and nothing at the coordinator says how many samples each one has.

    A round ends with the quorum's help to unmask, so that any site may come too late with its own.
    """
    helped: Counter[int] = Counter()
    for site in SITES:
        lines = (deployment.work(site) / "ledger.jsonl").read_text().splitlines()
        whats = [what for what in (json.loads(line)["what"] for line in lines) if what.get("job") == job_hash(MASKED)]
        sent = [(what["round"], what["kind"]) for what in whats if what["event"] == "sent"]
        asked = [(number, kind) for number in range(MASKED.rounds) for kind in ("keys", "shares", "masked update")]
        assert [one for one in sent if one[1] != "unmasking"] == asked
        unmasked = [number for number, kind in sent if kind == "unmasking"]
        assert len(set(unmasked)) == len(unmasked)
        helped.update(unmasked)
    assert all(helped[number] >= LIMITS.quorum for number in range(MASKED.rounds))
    assert [line["samples"] for line in rounds(masked)] == [dict.fromkeys(SITES)] * MASKED.rounds
    assert all(not isinstance(line["scalars"].get(site), dict) for line in rounds(masked) for site in SITES)  # type: ignore[attr-defined]


def test_a_site_that_has_not_approved_takes_no_part_until_it_has(unapproved: str, scored: Path) -> None:
    assert f"site-3: the job {job_hash(SCORED)[:8]} is offered at site-3, not approved" in unapproved
    assert taking_part(scored) == [set(SITES)] * SCORED.rounds


def test_a_site_that_vanishes_in_mid_job_costs_that_site_alone_and_is_there_again_for_the_next(
    bereft: Path, scored: Path
) -> None:
    assert set(SITES) in taking_part(bereft)
    assert taking_part(bereft)[-1] == {"site-1", "site-2"}
    assert taking_part(scored) == [set(SITES)] * SCORED.rounds


def test_a_coordinator_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    deployment: Deployment, trial: Path, tmp_path: Path
) -> None:
    job = EVOLUTION.model_copy(update={"rounds": 6})
    run = deployment.submit(job)
    wait(lambda: closed(run) >= 1, 600, "a closed round")
    deployment.hosts["coordinator"].kill(signal.SIGKILL)
    assert not (run / "model.json").exists()
    before, joined = rounds(run)[: closed(run)], deployment.joined()
    assert before
    deployment.start("coordinator")
    deployment.await_joined(SITES, joined)  # by themselves
    assert deployment.submit(job) == run
    deployment.finish(run)
    ends_as_on_one_machine(job, run, deployment, trial, tmp_path)
    assert rounds(run)[: len(before)] == before


def test_code_from_outside_is_refused(deployment: Deployment, tmp_path: Path) -> None:
    """Neither another class, even FLAME's own command line, nor a job that brings its own code is run."""
    marks = [tmp_path / "key", tmp_path / "code"]
    soon = RESPONSE.model_copy(update={"limits": Limits(quorum=2, deadline_s=15)})  # no site will answer
    folders = [write_engine_job(soon.model_copy(update={"seed": n}), SITES, tmp_path) for n in (91, 92)]
    path = folders[0] / "app" / "config" / "config_fed_client.json"
    config = json.loads(path.read_text())
    words = {"args": ["site", "key", str(marks[0])], "standalone_mode": False}
    config["components"] = [{"id": "x", "path": "flame.cli.app", "args": words}]
    path.write_text(json.dumps(config))
    code = folders[1] / "app" / "custom" / "brought.py"
    code.parent.mkdir()
    code.write_text(f"open({str(marks[1])!r}, 'w').close()\n")
    command = [warm_python(), "-m", "tests.scenarios.hand_in", deployment.kit(RESEARCHER), *folders]
    done = deployment.hosts["coordinator"].run(command, timeout=1200)
    ends = [line for line in done.stdout.splitlines() if line.startswith("ended")]
    assert len(ends) == 2, done.stdout + done.stderr
    assert not any("COMPLETED" in end for end in ends)
    assert not any(mark.exists() for mark in marks)
    logs = "".join(path.read_text() for path in deployment.folder.glob("*.log"))
    assert "BYOC not permitted" in logs
    assert re.search("'flame.cli.app' at .* is not in allow_list", logs)


def test_keys_are_for_their_owners_eyes_only(deployment: Deployment) -> None:
    keys = list((deployment.folder / "study").rglob("*.key"))
    assert len(keys) >= len(SITES) + 3
    assert all(stat.S_IMODE(key.stat().st_mode) == 0o600 for key in keys if "kits" in key.parts)
    assert stat.S_IMODE((deployment.folder / "study" / "authority").stat().st_mode) == 0o700


def test_a_kit_of_the_wrong_kind_is_refused_with_what_to_do(deployment: Deployment) -> None:
    done = flame("site", "start", deployment.kit(ADMIN))
    assert done.returncode == 4
    assert "kit of a person" in done.stderr
