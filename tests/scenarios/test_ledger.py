"""Ledgers from the command line: a site's, a coordinator's, and one that somebody has cut short."""

from pathlib import Path

from tests.command import flame
from tests.site.ledgers import coordinator_ledger, site_ledger

from flame.site.ledger import ledger_path


def test_a_ledger_is_shown_and_verified_against_the_other_sides(tmp_path: Path) -> None:
    site_ledger(tmp_path / "site")
    coordinator_ledger(tmp_path / "coordinator")
    shown = flame("site", "ledger", tmp_path / "site")
    assert shown.returncode == 0, shown.stderr
    for word in ("offered", "approved", "physicist", "round 2, update: 96 bytes to coordinator: 1 arrays", "no noise"):
        assert word in " ".join(shown.stdout.replace("│", " ").split())
    checked = flame("verify", tmp_path / "site", "--against", tmp_path / "coordinator")
    assert checked.returncode == 0, checked.stderr
    assert "6 entries of site-1: whole" in checked.stdout


def test_a_cut_ledger_is_told_with_its_own_exit_code(tmp_path: Path) -> None:
    site_ledger(tmp_path / "site")
    coordinator_ledger(tmp_path / "coordinator")
    path = ledger_path(tmp_path / "site")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    checked = flame("verify", tmp_path / "site", "--against", tmp_path / "coordinator")
    assert checked.returncode == 5
    assert "there are 5 entries, but the head knows 6" in checked.stderr
    assert "entry 3 of coordinator: round 2: site-1 has no entry of having sent this" in checked.stderr
    assert "whole" not in checked.stdout
    assert flame("site", "ledger", tmp_path / "site").returncode == 5
