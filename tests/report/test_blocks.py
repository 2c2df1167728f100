"""The matrix that is shaded by its values."""

from flame.report.blocks import Cell, heat_table
from flame.report.colours import heat


def test_cells_are_shaded_from_the_lowest_to_the_highest_value() -> None:
    table = heat_table("caption", "trained by", ["a", "b"], [("x", [0.2, None]), ("y", [0.4, 0.6])])
    assert table.head == ("trained by", "a", "b")
    assert table.rows[0] == ("x", Cell("0.20", "heat", *heat(0.0)), Cell("–", "blank"))
    assert table.rows[1][0] == "y"
    assert table.rows[1][2] == Cell("0.60", "heat", *heat(1.0))


def test_equal_values_get_one_shade_and_an_empty_matrix_none() -> None:
    table = heat_table("caption", "by", ["a", "b"], [("x", [0.5, 0.5])])
    assert table.rows[0][1] == table.rows[0][2] == Cell("0.50", "heat", *heat(0.5))
    assert heat_table("caption", "by", ["a"], [("x", [None])]).rows[0][1] == Cell("–", "blank")
