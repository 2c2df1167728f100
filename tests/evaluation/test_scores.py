"""Score tables come back to the last bit."""

from pathlib import Path

import pytest

from flame.errors import DataError
from flame.evaluation.scores import EvolutionScore, ResponseScore, read_scores, write_scores

EVOLUTION = EvolutionScore(
    "pre_rt", "unet", "local", "site-1", "site-2", "s2p001", 91, "ET", 0.1 + 0.2, 3.5, 1 / 3, None, 2.0, 1e-9
)
RESPONSE = ResponseScore("pre_rt", "network", "federated", "federated", "site-2", "s2p001", True, 2 / 3)


def test_scores_survive_the_file_exactly(tmp_path: Path) -> None:
    write_scores(tmp_path / "e.csv", [EVOLUTION])
    write_scores(tmp_path / "r.csv", [RESPONSE])
    assert read_scores(tmp_path / "e.csv", EvolutionScore) == [EVOLUTION]
    assert read_scores(tmp_path / "r.csv", ResponseScore) == [RESPONSE]


def test_no_scores_are_an_empty_table(tmp_path: Path) -> None:
    write_scores(tmp_path / "e.csv", [])
    assert read_scores(tmp_path / "e.csv", EvolutionScore) == []


def test_a_damaged_table_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    write_scores(path, [RESPONSE])
    path.write_text(path.read_text().replace("True", "Maybe"))
    with pytest.raises(DataError, match=r"r\.csv is damaged"):
        read_scores(path, ResponseScore)
