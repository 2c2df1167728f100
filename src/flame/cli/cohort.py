"""`flame cohort`: how many patients a study would find, told without telling about any of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flame.federation.statistics import Cohort, CohortCell, SiteStatistics

__all__ = ["cohort"]

KEY = Path(".flame") / "cohort.key"

NOTE = (
    "Each count is rounded by itself to a multiple of the site's smallest cell, so that tables need not add up. "
    "About: right on average, nearly. +/-: its standard error is hardly ever larger. Between: for certain. "
    "Hidden by: sites with fewer patients there than their smallest cell; the sum has them as 0."
)


def cohort(
    sources: Annotated[list[Path], typer.Argument(metavar="SITE_OR_ANSWER...", help="Sites' folders or answers.")],
    min_cell: Annotated[int, typer.Option(min=2, max=1000, help="Smallest cell k: no count below it leaves.")] = 5,
    write: Annotated[Path | None, typer.Option(help="Write a site's answer: this file is all that leaves.")] = None,
    key: Annotated[Path | None, typer.Option(help="A site's secret key; by default .flame/cohort.key in it.")] = None,
    volumes: Annotated[bool, typer.Option(help="Read label maps and count tumour volumes too.")] = False,
) -> None:
    """Count patients by arm, horizon, sequence, age, sex, MGMT and resection, and what is missing, over all sites."""
    from flame.errors import ConfigError
    from flame.federation.statistics import combine, read_answer, write_answer

    folders = [path for path in sources if path.is_dir()]
    if (write is not None or key is not None) and (len(sources) != 1 or not folders):
        raise ConfigError("--write and --key are about one site", "Name one site's folder.")
    if write is not None and write.is_dir():
        raise ConfigError(f"--write: {write} is a folder", "Name a file.")
    answers = [_answer(path, key, min_cell, volumes) if path in folders else read_answer(path) for path in sources]
    together = combine(answers)
    if write is not None:
        write_answer(write, answers[0])
    _show(together)
    if write is not None:
        typer.echo(f"All that leaves this site: {write}")


def _answer(folder: Path, key: Path | None, min_cell: int, volumes: bool) -> "SiteStatistics":
    from flame.federation.statistics import make_answer
    from flame.records.dataset import read_site

    site = read_site(folder)
    answer = make_answer(site, key or folder / KEY, min_cell, volumes)
    if answer.is_again:
        typer.echo(
            f"{site.name}: since an earlier answer the records of fewer than {min_cell} patients have changed; "
            "it is given again.",
            err=True,
        )
    return answer.statistics


def _show(together: "Cohort") -> None:
    from rich.console import Console
    from rich.table import Table

    from flame.federation.statistics import TABLES

    console = Console()
    titles = {table.name: table.title for table in TABLES} | {"horizon": "Label map near a horizon: any arm"}
    number = len(together.sites)
    shown = Table("table", "cell", "about", "+/-", "between", "hidden by", title=f"{number} site{'s'[: number > 1]}")
    for name, title in titles.items():
        for row in _rows(together.tables.get(name, {})):
            shown.add_row(title, *row)
            title = ""
        shown.add_section()
    console.print(shown)
    console.print(f"Sites: {', '.join(together.sites)}", markup=False)
    console.print(NOTE)


def _rows(cells: "Mapping[str, CohortCell]") -> "Iterator[tuple[str, ...]]":
    """The rows of a table; only one if every site hid every cell."""
    hidden = "hidden"
    if cells and all(cell.about == 0 for cell in cells.values()):
        between = f"{min(cell.low for cell in cells.values())} to {max(cell.high for cell in cells.values())}"
        yield "every cell" if len(cells) > 1 else next(iter(cells)), hidden, "", between, "every site"
        return
    for name, cell in cells.items():
        about, error = (str(cell.about), f"{cell.error:.1f}") if cell.about else (hidden, "")
        yield name, about, error, f"{cell.low} to {cell.high}", f"{cell.hidden_by} of {cell.sites}"
