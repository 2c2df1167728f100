"""Sites, settings and cards."""

from flame.report.about import cards_section, settings_section, sites_section
from flame.report.blocks import Facts, Folded, Table
from flame.report.run import ModelCard


def test_nested_settings_become_dotted_names() -> None:
    settings = {"seed": 7, "a": {"b": None, "c": True}, "many": [{"x": 1}, {"x": 2}], "flat": [1, 2], "none": []}
    versions, table = settings_section({"flame": "1.0", "versions": {"torch": "2.13"}, "settings": settings}).blocks
    assert isinstance(versions, Table)
    assert isinstance(table, Table)
    assert list(versions.rows) == [("flame", "1.0"), ("torch", "2.13")]
    assert list(table.rows) == [
        ("seed", "7"),
        ("a.b", "not set"),
        ("a.c", "yes"),
        ("many.1.x", "1"),
        ("many.2.x", "2"),
        ("flat", "1, 2"),
        ("none", "none"),
    ]


def test_sites_are_listed_with_arms_exclusions_and_whether_they_were_held_out() -> None:
    sites = [
        {"name": "a", "patients": 3, "responders": None, "arms": {"proton": 1}, "excluded": []},
        {
            "name": "b",
            "patients": 2,
            "responders": 1,
            "arms": {"photon": 2},
            "excluded": [{"patient": "p", "reason": "r"}],
        },
    ]
    table, excluded = sites_section({"sites": sites, "held_out": ["b"]}).blocks
    assert isinstance(table, Table)
    assert isinstance(excluded, Table)
    assert table.head[3:5] == ("photons", "protons")
    assert list(table.rows) == [("a", "3", "–", "0", "1", "0", "no"), ("b", "2", "1", "2", "0", "1", "yes")]
    assert list(excluded.rows) == [("b", "p", "r")]


def test_federated_models_come_first_and_cards_are_complete() -> None:
    cards = [ModelCard("q/local-a", {"task": "response"}), ModelCard("q/federated-without-b", {"training": {"n": 3}})]
    _, first, second = cards_section(cards).blocks
    assert isinstance(first, Folded)
    assert isinstance(second, Folded)
    assert (first.summary, second.summary) == ("q/federated-without-b", "q/local-a")
    assert list(first.blocks) == [Facts([("training.n", "3")])]
