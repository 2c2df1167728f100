"""Tables as sets publish them: stray blanks, words for unknown, two columns of one name, several versions."""

import pytest
from tests.records.sources.layouts import table
from tests.records.sources.layouts import workbook as make_workbook

from flame.errors import DataError
from flame.records.sources.spreadsheet import find_table, integer, sex, spreadsheet, status, truth, workbook
from flame.records.tables import number


def test_blanks_in_headers_and_cells_are_dropped(tmp_path):
    book = make_workbook(tmp_path / "a.xlsx", {"One": [["  Days   to MRI ", "Sex"], [12.0, " Male "], [None, None]]})
    (row,) = workbook(book)
    assert row.cells == {"Days to MRI": "12", "Sex": "Male"}


@pytest.mark.parametrize("word", ["na", "n/a", "N-A", "NA", "nan", "None", "", "Not Available", " "])
def test_words_for_unknown(tmp_path, word):
    (row,) = spreadsheet(table(tmp_path / "a.csv", ["a", "b"], [[word, "1"]], ","))
    assert row.known("a", number) is None
    assert row.known("b", number) == 1


def test_commas_inside_a_header(tmp_path):
    path = table(
        tmp_path / "a.csv", ["Patient", "Rating (according to RANO, PD: Progressive disease)"], [["1", "PD"]], ","
    )
    (row,) = spreadsheet(path)
    assert row.cells["Rating (according to RANO, PD: Progressive disease)"] == "PD"


def test_of_two_columns_of_one_name_the_first_counts(tmp_path):
    (row,) = spreadsheet(table(tmp_path / "a.csv", ["a", "v", "v"], [["1", "2", "3"]], ","))
    assert row.cells["v"] == "2"


def test_errors_name_line_and_column(tmp_path):
    rows = spreadsheet(table(tmp_path / "a.tsv", ["a"], [["1"], ["many"]]))
    with pytest.raises(DataError, match=r"a\.tsv, line 3, column a: 'many' is not a number"):
        rows[1].value("a", number)
    with pytest.raises(DataError, match="line 2, 3 cells where the first line has 1"):
        spreadsheet(table(tmp_path / "b.tsv", ["a"], [["1", "2", "3"]]))


def test_no_workbook_and_no_sheet(tmp_path):
    (tmp_path / "a.xlsx").write_text("no")
    with pytest.raises(DataError, match="is no XLSX workbook"):
        workbook(tmp_path / "a.xlsx")
    with pytest.raises(DataError, match="does not exist"):
        workbook(tmp_path / "b.xlsx")
    with pytest.raises(DataError, match="has no sheet 'Two'"):
        workbook(make_workbook(tmp_path / "c.xlsx", {"One": [["a"]]}), "Two")


def test_the_newest_version_is_taken_wherever_it_lies(tmp_path):
    (tmp_path / "set").mkdir()
    table(tmp_path / "T_v03_2026-01-29.tsv", ["a"], [])
    assert find_table(tmp_path / "set", "T_*.tsv") == tmp_path / "T_v03_2026-01-29.tsv"
    table(tmp_path / "set" / "T_v04_2026-09-11.tsv", ["a"], [])
    table(tmp_path / "set" / "T_v03_2026-01-29.tsv", ["a"], [])
    assert find_table(tmp_path / "set", "T_*.tsv") == tmp_path / "set" / "T_v04_2026-09-11.tsv"
    assert find_table(tmp_path / "set", "U_*.tsv") is None


@pytest.mark.parametrize(
    ("word", "means"),
    [("WT", False), ("mut", True), ("Wildtype", False), ("Mutated", True), ("unmethylated", False), ("positive", True),
     ("not methylated", False), ("Methylated", True), ("1", True), ("0", False), ("NOS/NEC", None),
     ("indeterminate", None)],
)  # fmt: skip
def test_words_of_molecular_status(word, means):
    assert status(word) is means


def test_other_words():
    assert sex("female") == sex("F") == "F"
    assert integer("30.0") == 30
    assert truth("2") is None
    assert (truth("1"), truth("no")) == (True, False)
    with pytest.raises(ValueError, match="neither female nor male"):
        sex("x")
    with pytest.raises(ValueError, match="not a whole number"):
        integer("2.5")
