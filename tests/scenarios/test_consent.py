"""Consent from the command line: from two key pairs to a job that is on, off again, and a patient who is left out."""

import shutil
from pathlib import Path

import pytest
from tests.command import flame
from tests.federation.nvflare.test_study import kit

from flame.federation.job import Job, job_hash, write_job
from flame.records.dataset import Site, write_site
from flame.records.patient import Course, Patient
from flame.site.approval import offer, standing
from flame.site.identity import read_identity
from flame.site.ledger import ledger_path, open_ledger
from flame.site.proposal import OfferedArray, Proposal
from flame.site.withdrawal import withdrawn_patients

POLICY = 'tasks = ["response"]\nmodels = ["clinical"]\nmin_patients = 3\narrays = ["head.*"]\n'
PATIENTS = ("P1xq", "P2xq", "P3xq", "P4xq")


def job(rounds: int, task: str = "response") -> Job:
    return Job(task=task, model="clinical", context="pre_rt", seed=3, rounds=rounds)


def offered(folder: Path, asked: Job, text: str | None = None) -> str:
    """What the engine does when a job arrives; it has no command."""
    write_job(folder / "arrived.toml", asked)
    proposal = Proposal(
        job=job_hash(asked),
        task=asked.task,
        peer="coordinator",
        text=text or (folder / "arrived.toml").read_text(),
        arrays=(OfferedArray(name="head.weight", shape=(3, 4)),),
    )
    with open_ledger(folder, "site-1", read_identity(folder)) as ledger:
        offer(folder, ledger, proposal)
    return proposal.job


def signing(folder: Path) -> tuple[str | Path, ...]:
    return ("--as", "ada", "--key", folder / "ada")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with a policy, four patients, and Ada, who may decide; all through the command line but the patients."""
    out = tmp_path_factory.mktemp("made")
    folder, register = out / "site", ("site", "register", out / "site", "ada", out / "ada" / "identity.pub")
    course = Course(arm="photon", prescription_gy=60.0, fractions=30, start_day=0, end_day=42)
    write_site(Site("site-1", out / "data", tuple(Patient(id=one, courses=(course,)) for one in PATIENTS)))
    for keys in (folder, out / "ada", out / "mallory"):
        assert flame("site", "key", keys).returncode == 0
    (folder / "policy.toml").write_text(POLICY)
    early = flame(*register)
    assert early.returncode == 4
    assert "holds no ledger yet" in early.stderr
    done = flame(*register, "--site", "site-1")
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "site"


def test_a_job_is_read_approved_and_withdrawn(site: Path, tmp_path: Path) -> None:
    first, second = offered(site, job(20)), offered(site, job(30))
    listed = flame("site", "jobs", site)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count("offered") == 2
    approved = flame("site", "approve", site, first[:8], *signing(tmp_path), "--data", tmp_path / "data")
    assert approved.returncode == 0, approved.stderr
    assert f"Job {first[:8]} is approved by ada" in approved.stdout
    assert standing(site, first).is_approved

    shown = flame("site", "show", site, second[:10])
    assert shown.returncode == 0, shown.stderr
    page = " ".join(shown.stdout.split())
    for words in (
        f"Job {second[:8]}: may this hospital take part?",
        "30 rounds. In each",
        "12 numbers, 48 bytes; over the whole job 1.4 kB",
        "It does not forbid this job",
        f"differ from those of job {first[:8]}: 1.",
        "rounds 20 30",
        "It stands: offered.",
    ):
        assert words in page
    written = flame("site", "show", site, second, "--html", tmp_path / "page.html")
    assert written.returncode == 0, written.stderr
    assert f"<h1>Job {second[:8]}: may this hospital take part?</h1>" in (tmp_path / "page.html").read_text()

    declined = flame("site", "decline", site, second[:8], *signing(tmp_path), "--reason", "too [bold]many rounds")
    assert declined.returncode == 0, declined.stderr
    back = flame("site", "withdraw", site, first[:8], *signing(tmp_path))
    assert back.returncode == 0, back.stderr
    assert (standing(site, first).state, standing(site, second).state) == ("withdrawn", "declined")
    states = " ".join(flame("site", "jobs", site).stdout.replace("│", " ").split())
    assert f"{first[:8]} withdrawn response coordinator by ada" in states
    assert f"{second[:8]} declined response coordinator by ada" in states
    ledger = flame("site", "ledger", site)
    assert ledger.returncode == 0, ledger.stderr
    words = ledger.stdout.replace("│", " ").split()
    events = [word for word in words if word in ("registered", "offered", "approved", "declined", "withdrawn")]
    assert events == ["registered", "offered", "offered", "approved", "declined", "withdrawn"]


def test_what_may_not_be_is_refused_with_a_hint_and_its_exit_code(site: Path, tmp_path: Path) -> None:
    asked, forbidden = offered(site, job(20)), offered(site, job(20, "evolution"))
    before = ledger_path(site).read_bytes()
    ada, data = signing(tmp_path), ("--data", tmp_path / "data")
    mallory = ("--as", "mallory", "--key", tmp_path / "mallory")
    as_ada = ("--as", "ada", "--key", tmp_path / "mallory")
    for arguments, code, says in (
        (("approve", site, asked[:8], *mallory, *data), 5, "Nobody is registered here as 'mallory'"),
        (("approve", site, asked[:8], *as_ada, *data), 5, "signature is not the one of 'ada'"),
        (("approve", site, forbidden[:8], *ada, *data), 5, "task 'evolution' is not allowed here"),
        (("approve", site, asked[:8], *ada), 4, "--data"),
        (("approve", site, asked[:7], *ada, *data), 4, "8 to 64"),
        (("withdraw", site, "0" * 64, *ada), 4, "No job that was offered"),
        (("register", site, "ada", tmp_path / "mallory" / "identity.pub"), 5, "another key"),
    ):
        done = flame("site", *arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert says in done.stderr
        assert "What to do:" in done.stderr
    assert ledger_path(site).read_bytes() == before
    assert not standing(site, asked).is_approved


def test_a_text_that_is_not_the_job_of_its_hash_is_neither_shown_nor_approved(site: Path, tmp_path: Path) -> None:
    write_job(tmp_path / "other.toml", job(3))
    asked = offered(site, job(20), text=(tmp_path / "other.toml").read_text())
    for arguments in (
        ("show", site, asked[:8]),
        ("approve", site, asked[:8], *signing(tmp_path), "--data", tmp_path / "data"),
    ):
        done = flame("site", *arguments)
        assert done.returncode == 5
        assert "is that of another job" in done.stderr
        assert "3 rounds" not in done.stdout
    assert not standing(site, asked).is_approved
    assert flame("site", "decline", site, asked[:8], *signing(tmp_path), "--reason", "a lie").returncode == 0


def test_a_patient_is_withdrawn_and_named_nowhere(site: Path, tmp_path: Path) -> None:
    asked = offered(site, job(20))
    ada, data = signing(tmp_path), ("--data", tmp_path / "data")
    mistyped = flame("site", "withdraw-patient", site, "P9xq", *ada, *data)
    assert (mistyped.returncode, withdrawn_patients(site)) == (4, frozenset())
    shown = [mistyped]
    for patient in PATIENTS[:2]:
        done = flame("site", "withdraw-patient", site, patient, *ada, *data)
        assert done.returncode == 0, done.stderr
        shown.append(done)
    assert withdrawn_patients(site) == set(PATIENTS[:2])
    few = flame("site", "approve", site, asked[:8], *ada, *data)  # two of four are left, the policy asks for three
    assert few.returncode == 5
    assert "fewer than 3 patients" in few.stderr
    ledger = flame("site", "ledger", site)
    assert ledger.returncode == 0, ledger.stderr
    assert ledger.stdout.count("patient_withdr") == 2
    shown += [few, ledger, flame("site", "withdraw-patient", site, f"sub-{PATIENTS[2]}", *ada)]
    for text in (ledger_path(site).read_text(), *(one.stdout + one.stderr for one in shown)):
        assert "xq" not in text


def test_a_site_that_leaves_withdraws_all_its_jobs_and_its_kit_starts_no_more(site: Path, tmp_path: Path) -> None:
    job_hashes = [offered(site, job(rounds)) for rounds in (20, 30)]
    for one in job_hashes[:1]:
        done = flame("site", "approve", site, one[:8], *signing(tmp_path), "--data", tmp_path / "data")
        assert done.returncode == 0, done.stderr
    start_up = kit(tmp_path)
    (start_up / "flame.toml").write_text(f'data = "{tmp_path / "data"}"\nwork = "{site}"\n')
    left = flame("site", "leave", start_up, *signing(tmp_path))
    assert left.returncode == 0, left.stderr
    assert "1 approved jobs were withdrawn" in left.stdout
    assert standing(site, job_hashes[0]).state == "withdrawn"
    assert standing(site, job_hashes[1]).state == "offered"
    again = flame("site", "start", start_up)
    assert again.returncode != 0
    assert "has not been enrolled" in again.stderr
