"""Cross-site matrices."""

from flame.report.matrix import cross_site_table


def test_the_caption_names_the_worst_and_the_best_site_of_federated_models() -> None:
    rows = [("persistence", [0.2, 0.2, 0.2]), ("federated", [0.71, None, 0.64]), ("a", [None, 0.9, 0.1])]
    table = cross_site_table("whole tumour", "mean Dice", ["a", "b", "c"], rows)
    assert table.caption.startswith("Whole tumour: mean Dice at each site")
    assert table.caption.endswith("Federated: from 0.64 (c) to 0.71 (a).")
    assert table.is_matrix
    assert [row[0] for row in table.rows] == ["a", "federated", "persistence"]


def test_one_site_has_no_spread() -> None:
    assert "Federated: from" not in cross_site_table("x", "AUROC", ["a"], [("federated", [0.7])]).caption
