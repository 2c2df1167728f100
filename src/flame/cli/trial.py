"""`flame trial`: write the virtual trial."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["trial"]


def trial(
    out: Annotated[Path, typer.Argument(help="Folder to write: sites/ for all to learn from, truth/ for audits only.")],
    sites: Annotated[int, typer.Option(min=1, help="Number of sites.")] = 5,
    patients: Annotated[int, typer.Option(min=1, help="Patients at each site.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 7,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the bytes do not depend on them.")] = 2,
    spacing: Annotated[float, typer.Option(min=1.0, max=6.0, help="Voxel size [mm].")] = 2.0,
    confounding: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="0: arms are randomised; 1: every site offers one arm only.")
    ] = 0.5,
    dicom: Annotated[
        bool, typer.Option("--dicom", help="Also write dicom/: what the sites' archives would hold, of made-up people.")
    ] = False,
) -> None:
    """Simulate a multi-centre trial of photons, protons and carbon ions, with known truth."""
    from flame.cli.progress import stages
    from flame.virtual.trial import TrialSettings, write_trial

    settings = TrialSettings(
        sites=sites, patients=patients, seed=seed, spacing_mm=spacing, confounding=confounding, workers=workers
    )
    with stages() as show:
        write_trial(out, settings, lambda done, total, site: show("virtual trial", done, total, site))
    typer.echo(f"{sites * patients} patients at {sites} sites: {out / 'sites'}")
    if dicom:
        from flame.virtual.hospital import write_hospital

        with stages() as show:
            write_hospital(out, settings, lambda done, total, site: show("made-up hospitals", done, total, site))
        typer.echo(f"Their DICOM, of people who do not exist: {out / 'dicom'}")
