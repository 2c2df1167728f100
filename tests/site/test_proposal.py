"""What was offered is kept as it came, found by its first digits, and refused if it is not a job."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.site.consents import JOB, TEXT, proposal

from flame.errors import ConfigError, DataError, PolicyError
from flame.site.entries import digest
from flame.site.proposal import (
    Proposal,
    find_job,
    job_folder,
    offered_jobs,
    proposal_digest,
    read_proposal,
    write_proposal,
)


def test_it_is_kept_as_it_came(tmp_path: Path) -> None:
    path = write_proposal(tmp_path, proposal())
    found = read_proposal(tmp_path, JOB)
    assert found == proposal()
    assert (found.model, found.rounds, found.settings["training"]) == ("clinical", 30, {"epochs": 2})
    assert offered_jobs(tmp_path) == (JOB,)
    assert proposal_digest(tmp_path, JOB) == digest(path.read_bytes())
    assert job_folder(tmp_path, JOB) == path.parent


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("task = ", "not TOML"),
        ("x = " + "[" * 50_000, "not TOML"),
        (TEXT.replace("response", "evolution"), "task 'evolution', offered as 'response'"),
        (TEXT.replace("model", "mode1"), "names no model"),
        (TEXT.replace('"clinical"', "3"), "names no model"),
        (TEXT.replace("rounds = 30", "rounds = true"), "no whole number of rounds"),
        (TEXT.replace("rounds = 30", "rounds = 0"), "no whole number of rounds"),
        (TEXT + "#" * 100_000, "at most 100000"),
    ],
)
def test_what_is_no_job_is_no_proposal(text: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        proposal(text)


@pytest.mark.parametrize("job", ["", "..", "../../etc", JOB[:-1], JOB.upper(), JOB + "\n"])
def test_a_hash_is_no_path(tmp_path: Path, job: str) -> None:
    for ask in (job_folder, read_proposal, proposal_digest):
        with pytest.raises(PolicyError, match="not the hash of a job"):
            ask(tmp_path, job)
    with pytest.raises(ValidationError):
        Proposal(job=job, task="response", peer="coordinator", text=TEXT, arrays=())


def test_a_job_is_found_by_a_beginning_that_only_it_has(tmp_path: Path) -> None:
    one, other = "12345678" + "a" * 56, "12345678" + "b" * 56
    write_proposal(tmp_path, proposal().model_copy(update={"job": one}))
    assert find_job(tmp_path, "12345678") == find_job(tmp_path, one) == one
    write_proposal(tmp_path, proposal().model_copy(update={"job": other}))
    assert find_job(tmp_path, "12345678b") == other
    for prefix, says in (
        ("12345678", "2 jobs begin"),
        ("1234567", "not the beginning"),
        ("87654321", "No job that was offered"),
        ("1234567*", "not the beginning"),
    ):
        with pytest.raises(ConfigError, match=says):
            find_job(tmp_path, prefix)


def test_what_was_never_offered_or_is_damaged_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="never offered"):
        read_proposal(tmp_path, JOB)
    path = write_proposal(tmp_path, proposal())
    other = proposal(TEXT.replace("30", "29"))
    for content in (b"", b"{}", path.read_bytes()[:-5], write_proposal(tmp_path, other).read_bytes()):
        path.write_bytes(content)
        with pytest.raises(DataError, match="was damaged"):
            read_proposal(tmp_path, JOB)
