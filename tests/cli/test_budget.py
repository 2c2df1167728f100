"""`flame site budget` adds up the ledger."""

from pathlib import Path

import pytest
from tests.site.ledgers import JOB, site_ledger

from flame.cli.budget import budget
from flame.errors import ConfigError
from flame.site.budget import Cost, charge, epsilon
from flame.site.entries import Spent, digest
from flame.site.identity import read_identity
from flame.site.ledger import open_ledger

OTHER = digest(b"another job")


def spend(folder: Path) -> None:
    with open_ledger(folder, "site-1", read_identity(folder)) as ledger:
        for job, rounds in ((JOB, 3), (OTHER, 1)):
            for round in range(rounds):
                name = digest(f"{job}{round}".encode())
                spent = Spent(job=job, round=round, occasion=name, noise_multiplier=4, sample_rate=0.4, steps=3)
                charge(folder, ledger, spent)


def test_it_shows_each_job_and_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site_ledger(tmp_path)
    spend(tmp_path)
    (tmp_path / "policy.toml").write_text("max_epsilon = 8.0\ndelta = 1e-6\n")
    budget(tmp_path)
    shown = capsys.readouterr().out
    first, second, both = (epsilon([Cost(4.0, 0.4, steps)], 1e-6) for steps in (9, 3, 12))
    rows = {cells[0]: cells for cells in (line.replace("│", " ").split() for line in shown.splitlines()) if cells}
    assert rows[JOB[:8]] == [JOB[:8], "3", "9", "4", "0.4", f"{first:.3g}"]
    assert rows[OTHER[:8]] == [OTHER[:8], "1", "3", "4", "0.4", f"{second:.3g}"]
    assert f"All jobs together: epsilon {both:.3g} at delta 1e-06." in shown
    assert f"The policy allows 8; {8 - both:.3g} is left." in shown


def test_without_a_limit_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site_ledger(tmp_path)
    budget(tmp_path)
    shown = capsys.readouterr().out
    assert "epsilon 0 at delta 1e-05" in shown
    assert "sets no limit" in shown


def test_a_folder_that_is_no_sites_has_not_spent_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no ledger"):
        budget(tmp_path / "mistyped")
