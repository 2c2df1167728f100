"""A study's feasibility from the command line: what leaves a site, what several answers say, and what is refused."""

import json
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command import flame

from flame.records.dataset import read_site, write_site


def sites(trial: Path, to: Path) -> list[Path]:
    """Copies of the trial's sites, each with its folder's key still to be made."""
    return [Path(shutil.copytree(site, to / site.name)) for site in sorted((trial / "sites").glob("site-*"))]


def numbers(content: object) -> Iterator[int]:
    if isinstance(content, dict):
        for value in content.values():
            yield from numbers(value)
    elif isinstance(content, int):
        yield content


@pytest.mark.parametrize("min_cell", [2, 5])
def test_answers_leave_their_sites_and_are_combined(trial: Path, tmp_path: Path, min_cell: int) -> None:
    answers = []
    for site in sites(trial, tmp_path):
        ids = [patient.id for patient in read_site(site).patients]
        assert ids
        before = {path for path in site.rglob("*") if path.is_file()}
        answer = tmp_path / "out" / f"{site.name}.json"
        done = flame("cohort", site, "--min-cell", str(min_cell), "--volumes", "--write", answer)
        assert done.returncode == 0, done.stderr
        assert f"All that leaves this site: {answer}" in done.stdout
        text = answer.read_text()
        assert not [name for name in ids if name in text]
        found = json.loads(text)
        assert found["min_cell"] == min_cell
        counts = list(numbers(found["tables"]))
        assert not [count for count in counts if count < min_cell or count % min_cell]
        made = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file() and path not in before}
        assert made == {".flame/cohort.key", ".flame/cohort.key.history.json"}
        assert all(stat.S_IMODE((site / path).stat().st_mode) == 0o600 for path in made)
        answers.append(answer)
    assert len(list((tmp_path / "out").iterdir())) == 3  # and no partial file
    done = flame("cohort", *answers)
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.replace("│", " ").split())
    for words in ("3 sites", "Sites: site-1, site-2, site-3", "tables need not add up", "Whole tumour"):
        assert words in shown
    assert flame("cohort", *reversed(answers)).stdout == done.stdout


def test_asking_again_after_one_patient_has_gone_gives_the_same_bytes(trial: Path, tmp_path: Path) -> None:
    site = sites(trial, tmp_path)[0]
    assert flame("cohort", site, "--write", tmp_path / "before.json").returncode == 0
    found = read_site(site)
    write_site(type(found)(found.name, site, found.patients[1:]))
    done = flame("cohort", site, "--write", tmp_path / "after.json")
    assert done.returncode == 0, done.stderr
    assert "fewer than 5 patients have changed" in done.stderr
    assert (tmp_path / "before.json").read_bytes() == (tmp_path / "after.json").read_bytes()
    other = flame("cohort", site, "--min-cell", "2", "--write", tmp_path / "other.json")
    assert other.returncode == 5
    assert "Use --min-cell 5" in other.stderr
    assert not (tmp_path / "other.json").exists()


def test_what_cannot_be_used_is_told_and_nothing_is_written(trial: Path, tmp_path: Path) -> None:
    site, second, _ = sites(trial, tmp_path)
    answer = tmp_path / "answer.json"
    assert flame("cohort", site, "--write", answer).returncode == 0
    text = answer.read_text()
    cut, newer, small = tmp_path / "cut.json", tmp_path / "newer.json", tmp_path / "small.json"
    cut.write_text(text[: len(text) // 2])
    newer.write_text(text.replace("flame-cohort/1", "flame-cohort/2"))
    small.write_text(text.replace("null", "3", 1))
    empty = tmp_path / "empty"
    shutil.copytree(second, empty, ignore=shutil.ignore_patterns("sub-*"))
    table = empty / "participants.tsv"
    table.write_text(table.read_text().splitlines()[0] + "\n")
    out = tmp_path / "never.json"
    for arguments, code, message in (
        ((answer, cut), 3, "is not valid JSON"),
        ((answer, newer), 3, "'flame-cohort/2'"),
        ((answer, small), 3, "is not a multiple of 5"),
        ((answer, answer), 3, "Two answers are of the site"),
        ((tmp_path / "nowhere.json",), 3, "does not exist"),
        ((empty, "--write", out), 3, "has no patients"),
        ((site, second, "--write", out), 4, "about one site"),
        ((answer, "--write", out), 4, "about one site"),
        ((site, "--write", tmp_path), 4, "is a folder"),
        ((site, "--key", site / "participants.tsv", "--write", out), 4, "chmod 600"),
    ):
        done = flame("cohort", *arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert message in done.stderr
        assert "What to do:" in done.stderr
        assert not done.stdout
    assert not out.exists()
    assert not (empty / ".flame").exists()
    assert not list(tmp_path.glob(".*partial*"))
