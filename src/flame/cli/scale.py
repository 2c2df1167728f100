"""`flame scale`: a common scale of intensities over sites, of which no image leaves its site."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["combine", "part"]

KEY = Path(".flame") / "scale.key"


def part(
    site: Annotated[Path, typer.Argument(help="A site's folder, from flame prepare.")],
    out: Annotated[Path, typer.Option(help="File to write: all that leaves the site.")],
    min_cell: Annotated[int, typer.Option(min=2, max=1000, help="Smallest cell k: fewer patients stay untold.")] = 5,
    key: Annotated[Path | None, typer.Option(help="The scale's secret key; by default .flame/scale.key.")] = None,
) -> None:
    """Write a site's part of the scale: mean landmarks of each sequence, over at least k patients."""
    from flame.errors import ConfigError
    from flame.federation.scale import make_part, write_part
    from flame.records.dataset import read_site

    if out.is_dir():
        raise ConfigError(f"--out: {out} is a folder", "Name a file.")
    made = make_part(read_site(site), key or site / KEY, min_cell)
    write_part(out, made.part)
    for name, one in made.part.sequences.items():
        typer.echo(f"{name}: mean landmarks of about {one.patients} patients")
    for name in made.hidden:
        typer.echo(f"{name}: not told, fewer than {min_cell} patients have it")
    for name in made.again:
        typer.echo(f"{name}: of fewer than {min_cell} patients something has changed; told as before", err=True)
    typer.echo(f"All that leaves this site: {out}")


def combine(
    parts: Annotated[list[Path], typer.Argument(metavar="PART...", help="Sites' parts.")],
    out: Annotated[Path, typer.Option(help="The scale's file, for flame prepare --scale at every site.")],
) -> None:
    """Combine sites' parts to the scale, and show how far each site lies from it."""
    from rich.console import Console
    from rich.table import Table

    from flame.errors import ConfigError
    from flame.federation.scale import combine, read_part
    from flame.imaging.nyul import write_scale

    if out.is_dir():
        raise ConfigError(f"--out: {out} is a folder", "Name a file.")
    read = [read_part(path) for path in parts]
    scale = combine(read)
    write_scale(out, scale)
    shown = Table("sequence", "site", "patients, about", "furthest landmark", title="Parts of the scale")
    for name, middle in scale.landmarks.items():
        for one in sorted(read, key=lambda one: one.site):
            if name in one.sequences:
                own = one.sequences[name]
                far = max((value - at for value, at in zip(own.landmarks, middle, strict=True)), key=abs)
                shown.add_row(name, one.site, str(own.patients), f"{far:+.1f} of 100")
    Console().print(shown)
    typer.echo(f"The scale of {', '.join(scale.landmarks)}: {out}")
