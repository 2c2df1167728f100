"""`flame compare` and `flame demo`: was federated training worth it?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flame.imaging.prepare import Context

__all__ = ["compare", "demo"]

Processes = Annotated[
    int, typer.Option(min=1, help="Processes, each with one thread; the numbers do not depend on them.")
]


def compare(
    sites: Annotated[list[Path], typer.Argument(help="Sites' BIDS folders, or one folder that holds them (a trial).")],
    out: Annotated[Path, typer.Option(help="Run folder; an interrupted comparison in it goes on.")],
    held_out: Annotated[
        list[str] | None, typer.Option("--hold-out", help="Site that nobody trains on; the last one by default.")
    ] = None,
    leave_one_site_out: Annotated[
        bool, typer.Option("--leave-one-site-out", help="Hold out every site in turn.")
    ] = False,
    context: Annotated[
        str | None, typer.Option(help="pre_rt or first_post_rt: only models that look at this; both by default.")
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(help="TOML file of all settings, in place of the default ones and of --hold-out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same numbers.")] = 7,
    processes: Processes = 2,
) -> None:
    """Compare every site alone, federated, pooled and plain baselines on sites that nobody trained on."""
    from flame.cli.progress import stages
    from flame.evaluation.comparison import find_sites, run_comparison
    from flame.evaluation.plan import ComparisonSettings
    from flame.evaluation.presets import full_comparison
    from flame.records.dataset import read_site
    from flame.records.sources.overlap import overlaps
    from flame.report.html import write_report
    from flame.settings import read_toml

    folders = find_sites(sites)
    names = [folder.name for folder in folders]
    chosen = names if leave_one_site_out else (held_out or names[-1:])
    if settings is None:
        asked = full_comparison(tuple(chosen), seed, _contexts(context))
    else:
        asked = read_toml(settings, ComparisonSettings)
    for finding in overlaps({folder.name: read_site(folder).patients for folder in folders}):
        if finding.severity == "warning":
            typer.echo(f"Warning: {finding.what}. {finding.what_to_do}", err=True)
    truth = _truth_beside(folders)
    with stages() as show:
        run_comparison(folders, out, asked, processes, show, truth)
    typer.echo(f"Report: {write_report(out)}")


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the demo; the report is report.html in it.")] = Path("runs/demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A smaller trial on a coarser grid: minutes, not results.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same numbers.")] = 7,
    processes: Processes = 2,
) -> None:
    """From nothing to a report: simulate a trial, train both tasks, compare, and write one HTML page."""
    from flame.cli.progress import stages
    from flame.evaluation.comparison import find_sites, run_comparison
    from flame.evaluation.presets import demo_comparison, quick_comparison
    from flame.report.html import write_report
    from flame.virtual.trial import TrialSettings, site_names, write_trial

    count, patients, spacing = (3, 8, 4.0) if quick else (5, 16, 2.0)
    held_out = f"site-{count}"
    trial = TrialSettings(
        sites=count,
        patients=patients,
        seed=seed,
        spacing_mm=spacing,
        confounding=0.5,
        workers=processes,
        counterfactuals=(held_out,),
    )
    make = quick_comparison if quick else demo_comparison
    settings = make((held_out,), seed)
    folder = out / "trial"
    with stages() as show:
        write_trial(folder, trial, lambda done, total, site: show("virtual trial", done, total, site))
        folders = find_sites([folder / "sites" / name for name in site_names(trial)])
        run_comparison(folders, out, settings, processes, show, folder / "truth")
        show("report", 0, 1, "")
        page = write_report(out)
        show("report", 1, 1, "")
    typer.echo(f"Report: {page}")


def _contexts(name: str | None) -> "tuple[Context, ...]":
    from flame.errors import ConfigError
    from flame.imaging.prepare import CONTEXTS

    found = tuple(context for context in CONTEXTS if name in (None, context))
    if not found:
        raise ConfigError(f"--context: {name!r} is none", f"Choose from {', '.join(CONTEXTS)}.")
    return found


def _truth_beside(folders: list[Path]) -> Path | None:
    """The truth folder of a virtual trial, if the sites belong to one; it is read after all training is done."""
    truth = folders[0].parent.parent / "truth"
    return truth if truth.is_dir() and len({folder.parent for folder in folders}) == 1 else None
