"""`flame bundle`: FLAME with all its dependencies as a folder, to install where there is no network."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["bundle"]


def bundle(
    out: Annotated[Path, typer.Argument(help="New folder for the bundle.")],
    wheel: Annotated[Path | None, typer.Option(help="FLAME's wheel, where it was not installed from source.")] = None,
) -> None:
    """Collect wheels of FLAME and of exactly the packages that run here, with a script that installs them offline."""
    import tempfile

    from flame.bundle import build_wheel, make_bundle, own_source

    typer.echo("collecting wheels; most of the time and space goes into torch", err=True)
    with tempfile.TemporaryDirectory() as place:
        total = make_bundle(out, wheel or build_wheel(own_source(), Path(place)))
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    typer.echo(f"{out}: {len(list((out / 'wheels').iterdir()))} wheels, {size / 1e6:.0f} MB")
    typer.echo(f"SHA-256 of its SHA256SUMS: {total}\nTell it to the hospital by another way than the bundle takes.")
    typer.echo(f"There, without a network: sha256sum {out.name}/SHA256SUMS; sh {out.name}/install.sh VENV")
