"""Tab-separated tables as BIDS writes them; a value that cannot be read is named by file, line and column."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from flame.errors import DataError
from flame.files import write_text

__all__ = ["Row", "number", "one_of", "read_table", "whole_number", "write_table", "yes"]

UNKNOWN = "n/a"
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One line of a table; cells as text by column."""

    path: Path
    line: int
    cells: Mapping[str, str]

    def value(self, column: str, parse: Callable[[str], T]) -> T:
        """The value of a column that must be there. `parse` raises ValueError with the end of a sentence.

        Raises: DataError: if the column is missing or its value is not readable.
        """
        text = self.cells.get(column)
        if text is None:
            raise DataError(f"{self.path} has no column {column}", "Add the column.")
        try:
            return parse(text)
        except ValueError as error:
            raise self.error(f"column {column}: {text!r} {error}") from error

    def known(self, column: str, parse: Callable[[str], T]) -> T | None:
        """The value of a column, or None where it is n/a, empty or not in the table."""
        return None if self.cells.get(column) in (None, UNKNOWN, "") else self.value(column, parse)

    def error(self, what: str) -> DataError:
        """An error that names this line."""
        return DataError(f"{self.path}, line {self.line}, {what}", "Correct the line; write n/a for what is unknown.")


def read_table(path: Path, key: str) -> list[Row]:
    """Read a table whose column `key` names each line once.

    Raises: DataError: if the file is missing, is not UTF-8, has no column `key`, a line has too many or too few cells,
        or a key appears twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist", "Restore the table.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text", "Save the table as UTF-8.") from error
    lines = [line.split("\t") for line in text.replace("\r\n", "\n").split("\n")]
    columns = lines[0]
    if key not in columns:
        raise DataError(f"{path}, line 1: there is no column {key}, but {columns}", "Add the column.")
    rows: dict[str, Row] = {}
    for number, cells in enumerate(lines[1:], start=2):
        if cells == [""]:
            continue
        row = Row(path, number, dict(zip(columns, cells)))
        if len(cells) != len(columns):
            raise row.error(f"column {key}: {len(cells)} cells where the first line has {len(columns)}")
        name = row.cells[key]
        if name in rows:
            raise row.error(f"column {key}: {name!r} is on line {rows[name].line} already")
        rows[name] = row
    return list(rows.values())


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a table atomically; None becomes n/a.

    Raises: ValueError: if a text is empty, n/a, or holds a tab or a line break, or a number is not finite.
    """
    lines = ["\t".join(columns)]
    lines += ["\t".join(_cell(row[column]) for column in columns) for row in rows]
    write_text(path, "\n".join(lines) + "\n")


def _cell(value: object) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no place in a table; None stands for unknown")
        return str(int(value)) if value.is_integer() else repr(value)
    text = str(value)
    if any(mark in text for mark in "\t\n\r") or text in ("", UNKNOWN):
        raise ValueError(f"{text!r} cannot be the text of a cell")
    return text


def whole_number(text: str) -> int:
    """Parse a whole number."""
    try:
        return int(text)
    except ValueError:
        raise ValueError("is not a whole number") from None


def number(text: str) -> float:
    """Parse a finite number."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError("is not a number") from None
    if not math.isfinite(value):
        raise ValueError("is not finite")
    return value


def yes(text: str) -> bool:
    """Parse yes or no."""
    if text not in ("yes", "no"):
        raise ValueError("is neither yes nor no")
    return text == "yes"


def one_of(kind: Any) -> Callable[[str], Any]:
    """A parser of the words of a Literal type."""
    allowed = get_args(kind)

    def parse(text: str) -> Any:
        if text not in allowed:
            raise ValueError(f"is none of {', '.join(allowed)}")
        return text

    return parse
