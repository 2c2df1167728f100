"""The part on attacks says what was got, and is left out where nothing was tried."""

import json
from pathlib import Path
from typing import Any

from tests.report.test_html import Render, text_of

from flame.report.attacks import attacks_section
from flame.report.blocks import Paragraph, Table
from flame.report.html import write_report


def figure(value: float) -> dict[str, float]:
    return {"estimate": value, "low": value - 0.1, "high": value + 0.1}


ABOUT = {"task": "response", "model": "network", "rounds": 15, "clip_norm": 1.0}
PLAIN, NOISY = ABOUT | {"noise": 0.0, "epsilon": None}, ABOUT | {"noise": 4.0, "epsilon": 4.567}
MEMBERS = {"attacker": "loss", "sees": "the model", "members": 54, "others": 53}
CONTENT: dict[str, Any] = {
    "delta": 1e-5,
    "patients": {"site-1": 30, "site-2": 29},
    "membership": [
        PLAIN | MEMBERS | {"auroc": figure(0.71), "found": figure(0.3)},
        NOISY | MEMBERS | {"auroc": figure(0.5), "found": figure(0.1)},
    ],
    "inversion": [
        {"task": "response", "model": "network", "attack": "one patient's gradient", "patients": 6}
        | {"correlation": figure(0.6), "own": figure(0.5), "psnr_db": figure(16.44), "is_first": figure(0.8333)}
    ],
    "worth": [
        NOISY | {"score": "AUROC", "value": figure(0.62), "patients": 23},
        {"task": "evolution", "model": "last map", "noise": None, "epsilon": None, "score": "Dice"}
        | {"value": figure(0.7), "patients": 23},
    ],
}


def tables(content: dict[str, Any]) -> list[Table]:
    return [block for block in attacks_section(content).blocks if isinstance(block, Table)]


def test_every_attack_has_a_row_with_its_protection() -> None:
    membership, inversion, worth = tables(CONTENT)
    assert list(membership.rows[0][2:6]) == ["loss", "none", "no bound", "0.71 (0.61–0.81)"]
    assert list(membership.rows[1][3:6]) == ["4", "4.57", "0.50 (0.40–0.60)"]
    assert "54 members and 53 others" in membership.caption
    assert list(inversion.rows[0][-2:]) == ["16.4 (16.3–16.5)", "83 %"]
    assert list(worth.rows[1]) == ["last map", "Dice", "–", "–", "0.70 (0.60–0.80)", "23"]
    for table in (membership, inversion, worth):
        assert all(len(row) == len(table.head) for row in table.rows)


def test_what_was_not_tried_is_not_shown() -> None:
    blocks = attacks_section({"delta": 1e-5}).blocks
    assert [type(block) for block in blocks] == [Paragraph]


def test_a_run_folder_with_attacks_shows_them(bare_comparison: dict[str, Any], render: Render, tmp_path: Path) -> None:
    assert "Was this patient trained on?" not in text_of(render(bare_comparison))
    (tmp_path / "attacks.json").write_text(json.dumps(CONTENT))
    text = text_of(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "Was this patient trained on?" in text
    assert "a failed attack proves nothing" in text
