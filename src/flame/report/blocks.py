"""What a page is made of: sections of paragraphs, banners, tables, figures. Data only; the template draws them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from flame.report.colours import heat
from flame.report.estimates import number

__all__ = [
    "Banner",
    "Block",
    "Cell",
    "Facts",
    "Folded",
    "Heading",
    "Paragraph",
    "Picture",
    "Section",
    "Table",
    "heat_table",
]


@dataclass(frozen=True)
class Paragraph:
    """Plain text; `kind` is empty, "note" (small) or "missing" (a part that is not there)."""

    text: str
    kind: Literal["", "note", "missing"] = ""
    shape: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Heading:
    """A heading below the section's own."""

    text: str
    shape: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Banner:
    """A framed statement that nobody may overlook ("warning") or should know ("note")."""

    title: str
    text: str
    kind: Literal["warning", "note"] = "note"
    shape: ClassVar[str] = "banner"


@dataclass(frozen=True)
class Cell:
    """One cell: text, a class of the style sheet, a background and a text colour (CSS) or none."""

    text: str
    kind: str = ""
    background: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Table:
    """A table: the first `names` columns are names, the others are numbers; the cells of a matrix are shaded."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    names: int = 1
    is_matrix: bool = False
    shape: ClassVar[str] = "table"


@dataclass(frozen=True)
class Picture:
    """A figure: SVG markup made by `flame.report.canvas` and a caption that says what is to be seen."""

    svg: str
    caption: str
    shape: ClassVar[str] = "picture"


@dataclass(frozen=True)
class Facts:
    """Pairs of a name and a value."""

    pairs: Sequence[tuple[str, str]]
    shape: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Folded:
    """Blocks behind a summary that opens on a click, without script."""

    summary: str
    blocks: Sequence["Block"]
    shape: ClassVar[str] = "folded"


Block = Paragraph | Heading | Banner | Table | Picture | Facts | Folded


@dataclass(frozen=True)
class Section:
    """A part of the report with an entry in the table of contents."""

    anchor: str
    title: str
    blocks: Sequence[Block]


def heat_table(
    caption: str, corner: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None]]]
) -> Table:
    """A matrix whose cells are shaded from its lowest to its highest value; None is shown as a dash.

    Args:
        caption: what is to be seen.
        corner: what the first column holds.
        columns: names of the other columns.
        rows: name and one value per column.
    """
    known = [value for _, values in rows for value in values if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)

    def cell(value: float | None) -> Cell:
        if value is None:
            return Cell("–", "blank")
        background, text = heat((value - low) / (high - low) if high > low else 0.5)
        return Cell(number(value), "heat", background, text)

    body: list[Sequence[Cell | str]] = [(row, *(cell(value) for value in values)) for row, values in rows]
    return Table(caption, (corner, *columns), body, is_matrix=True)
