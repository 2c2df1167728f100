"""Tables as public sets publish them: CSV, TSV or XLSX, headers with stray blanks, many words for unknown."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flame.errors import DataError
from flame.records.patient import Sex
from flame.records.tables import UNKNOWN, Row, number

__all__ = ["find_table", "integer", "sex", "spreadsheet", "status", "truth", "workbook"]

UNKNOWN_WORDS = frozenset(
    {"", "na", "n/a", "n-a", "nan", "none", "null", "unknown", "not available", "not applicable", "missing", "-", "."}
)


def find_table(folder: Path, pattern: str) -> Path | None:
    """The table of a set that fits a pattern of names, in the folder, one below it, or beside it; the last by name.

    Sets number their versions in the name, so that the last one is the newest.
    """
    for place, names in ((folder, pattern), (folder, f"*/{pattern}"), (folder.parent, pattern)):
        found = sorted((path for path in place.glob(names) if not path.name.startswith("~$")), key=lambda one: one.name)
        if found:
            return found[-1]
    return None


def spreadsheet(path: Path) -> list[Row]:
    """The lines of a CSV or TSV file; blanks around headers and cells are dropped, words for unknown become n/a.

    Raises: DataError: if the file is missing, not text, or a line has more cells than the first.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist", "Restore the table.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text", "Save the table as UTF-8.") from error
    first = text.partition("\n")[0]
    delimiter = max("\t;,", key=first.count)
    return _rows(path, csv.reader(io.StringIO(text), delimiter=delimiter))


def workbook(path: Path, sheet: str | None = None) -> list[Row]:
    """The lines of a sheet of an XLSX file, like `spreadsheet`; the first sheet if none is named.

    Raises: DataError: if the file is missing or no workbook, or has no such sheet.
    """
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist", "Restore the table.") from error
    except (zipfile.BadZipFile, KeyError, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise DataError(f"{path} is no XLSX workbook", "Download the table again.") from error
    try:
        names = {name.strip(): name for name in book.sheetnames}
        if sheet is not None and sheet not in names:
            raise DataError(f"{path} has no sheet {sheet!r}, but {list(names)}", "Download the table again.")
        chosen = book[names[sheet] if sheet is not None else book.sheetnames[0]]
        return _rows(path, ([_text(cell) for cell in line] for line in chosen.iter_rows(values_only=True)))
    finally:
        book.close()


def _rows(path: Path, lines: Iterable[list[str]]) -> list[Row]:
    rows: list[Row] = []
    columns: list[str] | None = None
    for line, cells in enumerate(lines, start=1):
        values = [" ".join(cell.split()) for cell in cells]
        if not any(values):
            continue
        if columns is None:
            columns = values
            continue
        if any(values[len(columns) :]):
            raise Row(path, line, {}).error(f"{len(values)} cells where the first line has {len(columns)}")
        known = [UNKNOWN if value.casefold() in UNKNOWN_WORDS else value for value in values]
        named = [(name, value) for name, value in zip(columns, known) if name]
        rows.append(Row(path, line, dict(reversed(named))))  # of two columns of one name the first counts
    return rows


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def integer(text: str) -> int:
    """Parse a whole number, also where a program wrote it as 30.0."""
    value = number(text)
    if not value.is_integer():
        raise ValueError("is not a whole number")
    return int(value)


def sex(text: str) -> Sex:
    """Parse a sex in the words of any set."""
    words: dict[str, Sex] = {"f": "F", "female": "F", "woman": "F", "m": "M", "male": "M", "man": "M"}
    try:
        return words[text.casefold()]
    except KeyError:
        raise ValueError("is neither female nor male") from None


def truth(text: str) -> bool | None:
    """Parse 1 or yes, 0 or no; None for other numbers, which sets use for indeterminate."""
    word = text.casefold()
    if word in ("yes", "no"):
        return word == "yes"
    value = number(text)
    return bool(value) if value in (0, 1) else None


def status(text: str) -> bool | None:
    """Parse a molecular status: whether a gene is mutant, or a promoter methylated. None where the word is neither."""
    word = text.casefold()
    if re.match(r"(wt\b|wild|un-?meth|not meth|negative|intact|0$)", word):
        return False
    return True if re.match(r"(mut|meth|positive|1$)", word) else None
