"""Traffic and refusals add up."""

from typing import Any

from flame.report.blocks import Folded, Paragraph, Table
from flame.report.traffic import refused_section, traffic_section, training_section


def training(name: str, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "sites": ["a", "b"], "parameters": 250, "samples": 10, "rounds": rounds}


def entry(up: int, down: int, **scalars: float) -> dict[str, Any]:
    return {"bytes_up": up, "bytes_down": down, "scalars": scalars}


ROUNDS = [
    {"round": 1, "seconds": 1.5, "sites": {"a": entry(1000, 2000, loss=1.0), "b": entry(3000, 2000)}, "refused": {}},
    {"round": 2, "seconds": 0.5, "sites": {"a": entry(1000, 2000, loss=0.5)}, "refused": {"b": "norm 9e9 > 1e3"}},
]


def tables(blocks: Any) -> list[Table]:
    found = [block for block in blocks if isinstance(block, Table)]
    return found + [table for block in blocks if isinstance(block, Folded) for table in tables(block.blocks)]


def test_bytes_are_summed_over_sites_and_rounds() -> None:
    totals, per_round = tables(traffic_section([training("q/federated-without-c", ROUNDS)]).blocks)
    assert list(totals.rows[0]) == ["q/federated-without-c", "2", "2", "250", "1.7 kB", "5.0 kB", "6.0 kB"]
    assert [list(row) for row in per_round.rows] == [
        ["1", "1.0 kB / 2.0 kB", "3.0 kB / 2.0 kB"],
        ["2", "1.0 kB / 2.0 kB", "–"],
    ]


def test_only_federated_trainings_send_anything() -> None:
    (block,) = traffic_section([training("q/local-a", ROUNDS), training("q/pooled-without-c", ROUNDS)]).blocks
    assert isinstance(block, Paragraph)
    assert block.kind == "missing"


def test_refusals_are_listed_with_site_round_and_reason() -> None:
    (table,) = tables(refused_section([training("q/federated-without-c", ROUNDS)]).blocks)
    assert [list(row) for row in table.rows] == [["q/federated-without-c", "2", "b", "norm 9e9 > 1e3"]]
    assert table.caption.startswith("1 refused update in 2 federated rounds")


def test_no_refusal_is_said_too() -> None:
    (block,) = refused_section([training("q/federated-without-c", ROUNDS[:1])]).blocks
    assert isinstance(block, Paragraph)
    assert "Nothing was refused in 1 federated round." in block.text


def test_every_training_is_listed_with_its_time() -> None:
    (table,) = tables(training_section([training("q/local-a", ROUNDS)]).blocks)
    assert list(table.rows[0]) == ["q/local-a", "a, b", "10", "2", "2.0"]


def test_a_training_without_loss_is_said_to_have_none() -> None:
    silent = [{"round": 1, "seconds": 1.0, "sites": {"a": entry(1, 1)}, "refused": {}}]
    first, *_ = training_section([training("q/local-a", silent)]).blocks
    assert isinstance(first, Paragraph)
    assert first.text == "Training curves: no training recorded a loss."
