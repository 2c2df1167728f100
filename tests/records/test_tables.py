import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame.errors import DataError
from flame.records.tables import number, one_of, read_table, whole_number, write_table, yes


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.tsv"


def _cells(path, *columns):
    return [[row.cells[column] for column in columns] for row in read_table(path, columns[0])]


def test_what_is_written_is_plain_text(path):
    rows = [{"id": "a", "age": 61.0, "weight": 0.1, "well": True}, {"id": "b", "age": None, "weight": 2, "well": False}]
    write_table(path, ["id", "age", "weight", "well"], rows)
    assert path.read_text() == "id\tage\tweight\twell\na\t61\t0.1\tyes\nb\tn/a\t2\tno\n"


@given(st.lists(st.tuples(st.none() | st.floats(allow_nan=False, allow_infinity=False), st.none() | st.booleans())))
@settings(deadline=None, derandomize=True)
def test_numbers_and_yes_come_back(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("table") / "table.tsv"
    write_table(path, ["id", "x", "y"], [{"id": i, "x": x, "y": y} for i, (x, y) in enumerate(values)])
    assert [(row.known("x", number), row.known("y", yes)) for row in read_table(path, "id")] == values


@given(st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"]), min_size=1))
@settings(deadline=None, derandomize=True)
def test_text_comes_back(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("table") / "table.tsv"
    if text == "n/a":
        return
    write_table(path, ["id", "model"], [{"id": 1, "model": text}])
    assert _cells(path, "id", "model") == [["1", text]]


@pytest.mark.parametrize("cell", ["a\tb", "a\nb", "a\r", "", "n/a", float("nan"), float("inf")])
def test_cells_that_would_not_come_back_are_refused(path, cell):
    with pytest.raises(ValueError):
        write_table(path, ["id"], [{"id": cell}])
    assert not path.exists()


def test_tables_of_a_spreadsheet_are_read(path):
    path.write_bytes("\ufeffid\tage\r\na\t61\r\n\r\n".encode())
    assert _cells(path, "id", "age") == [["a", "61"]]


def test_unknown_is_none(path):
    path.write_text("id\ta\tb\n1\tn/a\t\n")
    row = read_table(path, "id")[0]
    assert [row.known(column, number) for column in ("a", "b", "not there")] == [None, None, None]


@pytest.mark.parametrize(
    ("parse", "text", "what"),
    [
        (whole_number, "1.5", "'1.5' is not a whole number"),
        (number, "sixty", "'sixty' is not a number"),
        (number, "nan", "'nan' is not finite"),
        (yes, "Yes", "'Yes' is neither yes nor no"),
    ],
)
def test_a_bad_value_is_named_by_file_line_and_column(path, parse, text, what):
    path.write_text(f"id\tage\na\t61\nb\t{text}\n")
    with pytest.raises(DataError) as raised:
        read_table(path, "id")[1].known("age", parse)
    assert raised.value.message == f"{path}, line 3, column age: {what}"
    assert "n/a" in raised.value.hint


def test_one_of_names_the_choices():
    from flame.records.patient import Arm

    assert one_of(Arm)("carbon") == "carbon"
    with pytest.raises(ValueError, match="is none of photon, proton, carbon"):
        one_of(Arm)("electron")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "no column id"),
        (b"name\tage\n", "no column id"),
        (b"id\tage\na\t61\t3\n", "line 2, column id: 3 cells where the first line has 2"),
        (b"id\tage\na\n", "line 2, column id: 1 cells"),
        (b"id\na\nb\na\n", "line 4, column id: 'a' is on line 2 already"),
        (b"id\n\xff\n", "not UTF-8"),
    ],
)
def test_a_malformed_table_is_refused(path, content, what):
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_table(path, "id")
    assert what in raised.value.message
    assert str(path) in raised.value.message


def test_a_missing_table_and_a_missing_column_are_refused(path):
    with pytest.raises(DataError, match="does not exist"):
        read_table(path, "id")
    path.write_text("id\n1\n")
    with pytest.raises(DataError, match="has no column arm"):
        read_table(path, "id")[0].value("arm", str)
