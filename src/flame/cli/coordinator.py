"""`flame coordinator`: make a study's kits, run the coordinator, hand in jobs and see how they stand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from flame.federation.nvflare.runs import Run

__all__ = ["pause", "provision", "resume", "start", "status", "stop", "submit", "supervise", "track"]

_Kit = Annotated[Path, typer.Argument(help="Folder of a start-up kit.")]
_Job = Annotated[Path, typer.Argument(help="The job: a job.toml.")]


def require_engine() -> None:
    """Say how to install the engine if it is missing; it is an extra, which one machine alone does not need.

    Raises: ConfigError: if it is.
    """
    from importlib.util import find_spec

    from flame.errors import ConfigError

    if find_spec("nvflare") is None:
        raise ConfigError(
            "The distributed engine is not installed", "Run: pip install --constraint constraints.txt 'flame[deploy]'"
        )


def provision(
    study: Annotated[Path, typer.Argument(help="Who takes part: a study.toml.")],
    out: Annotated[Path, typer.Option(help="New folder for the kits and for the authority's key.")],
) -> None:
    """Make a start-up kit for the coordinator, each site and each person, with certificates of one authority."""
    require_engine()
    from flame.federation.nvflare.provision import provision as make
    from flame.federation.nvflare.study import read_study

    kits = make(read_study(study), out)
    for name, folder in kits.items():
        typer.echo(f"{name}: {folder}")
    typer.echo(f"Hand each kit to its owner alone. Keep {out / 'authority'} to yourself: it makes new identities.")


def start(kit: _Kit) -> None:
    """Run the coordinator, or either process of a region, until it is stopped by Ctrl-C or a signal."""
    run(kit, "coordinator", "region", "relay")


def run(kit: Path, *kinds: str) -> None:
    """Become the process of a kit of one of these kinds.

    Raises: ConfigError: if the kit is of another kind.
    """
    import os

    from flame.errors import ConfigError
    from flame.federation.nvflare.start import command, settle
    from flame.federation.nvflare.study import read_kit

    require_engine()
    found = read_kit(kit)
    if found.kind not in kinds:
        raise ConfigError(f"{kit} is the kit of a {found.kind}, not of a {kinds[0]}", "Name another kit.")
    settle(kit)
    line = command(kit)
    os.chdir(kit)
    # A site that vanished at a job's end must not keep the next job waiting for its last word.
    settings = {"PYTHONSAFEPATH": "1", "NVFLARE_CLIENT_OUTCOME_WAIT_TIMEOUT": "30"}
    os.execve(line[0], line, {**os.environ, **settings})


def submit(
    kit: _Kit,
    job: _Job,
    site: Annotated[list[str] | None, typer.Option(help="Sites to take part; all of the study by default.")] = None,
) -> None:
    """Hand in a job as the person that the kit belongs to; one that was stopped or interrupted goes on."""
    require_engine()
    from flame.federation.job import job_hash, read_job
    from flame.federation.nvflare.job import submit as hand_in
    from flame.federation.nvflare.study import read_kit

    wanted = read_job(job)
    sites = site or [one.name for one in read_kit(kit).study.sites]
    number = hand_in(kit.resolve(), wanted, sites)
    typer.echo(f"job {job_hash(wanted)[:16]} handed in for {', '.join(sites)}; the engine calls it {number}")


def status(kit: _Kit) -> None:
    """Show sites and jobs: a person's kit asks the coordinator, the coordinator's own reads its runs."""
    from flame.federation.nvflare.study import read_kit

    if read_kit(kit).kind == "coordinator":
        _show_runs(kit)
    else:
        _show_connected(kit)


def _show_runs(kit: Path) -> None:
    """Jobs by their run folders; of one that runs, what it waits for."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from flame.federation.nvflare.runs import read_runs
    from flame.site.page import visible

    console = Console()
    table = Table("job", "learns", "rounds", "answered last", "refused last", "ended by")
    runs = read_runs(kit)
    for one in runs:
        refused = escape(visible("; ".join(f"{site}: {reason}" for site, reason in one.refused.items())))
        learns, rounds = f"{one.job.task} {one.job.model}", f"{one.done} of {one.job.rounds}"
        table.add_row(one.hash[:16], learns, rounds, ", ".join(one.sites), refused, escape(visible(one.failure or "")))
    console.print(table)
    for one in runs:
        if one.watch is not None:
            _show_watch(console, one)


def _show_watch(console: "Console", run: "Run") -> None:
    """What a running job waits for, site by site, and what to do about what is stuck."""
    from rich.markup import escape
    from rich.table import Table

    from flame.site.page import visible

    watch = run.watch
    if watch is None:
        return
    title = f"job {run.hash[:16]}, round {watch.round}, {watch.stage}: open for {watch.seconds:.0f} s"
    table = Table("site", "is", "for", "reported last", title=title)
    for site in watch.sites:
        told = ", ".join(f"{name} {value:.4g}" for name, value in run.scalars.get(site.site, {}).items())
        table.add_row(site.site, site.state, f"{site.seconds:.0f} s", escape(visible(told)))
    console.print(table)
    for line in watch.advice:
        console.print(f"[yellow]{line}[/yellow]")


def _show_connected(kit: Path) -> None:
    """Sites and jobs as the engine sees them."""
    from rich.console import Console
    from rich.table import Table

    require_engine()
    from flame.federation.nvflare.job import ask_status
    from flame.federation.nvflare.study import read_kit

    connected, jobs = ask_status(kit.resolve())
    sites, running = Table("site", "connected"), Table("job", "engine's status", "handed in")
    study = read_kit(kit).study
    for name in (*(one.name for one in study.regions), *(one.name for one in study.sites)):
        sites.add_row(name, "yes" if name in connected else "no")
    for job in jobs:
        running.add_row(*job)
    Console().print(sites, running)


def pause(kit: _Kit, job: _Job) -> None:
    """Let a running job end after its present round; `submit` lets it go on."""
    require_engine()
    from flame.federation.job import read_job
    from flame.federation.nvflare.job import pause as ask

    ask(kit.resolve(), read_job(job))
    typer.echo("the job ends after its present round; hand it in again to go on")


def stop(kit: _Kit, job: _Job) -> None:
    """End a running job at once; its present round is lost, and done again after `resume`."""
    require_engine()
    from flame.federation.job import read_job
    from flame.federation.nvflare.job import stop as end

    end(kit.resolve(), read_job(job))
    typer.echo("the job was ended; resume does its present round again")


def resume(
    kit: _Kit,
    job: _Job,
    site: Annotated[list[str] | None, typer.Option(help="Sites to take part, as when it was handed in.")] = None,
) -> None:
    """Let a job go on that was paused, stopped or interrupted: it is handed in again, and goes on where it stood."""
    require_engine()
    from flame.errors import ConfigError
    from flame.federation.job import read_job
    from flame.federation.nvflare.job import is_active

    if is_active(kit.resolve(), read_job(job)):
        raise ConfigError("The job is running", "Pause or stop it first, or let it run.")
    submit(kit, job, site)


def supervise(
    kit: Annotated[Path, typer.Argument(help="The coordinator's kit, on the coordinator's machine.")],
    person: Annotated[Path, typer.Argument(help="The kit of the person who hands the job in.")],
    job: _Job,
    site: Annotated[list[str] | None, typer.Option(help="Sites to take part; all of the study by default.")] = None,
    tries: Annotated[
        int, typer.Option(min=1, help="Ends in a row without a closed round, after which to give up.")
    ] = 5,
) -> None:
    """Hand a job in, and again whenever it ends before its last round, until its model is there."""
    require_engine()
    import logging
    from functools import partial

    from flame.federation.job import read_job
    from flame.federation.nvflare import job as engine
    from flame.federation.nvflare.runs import run_folder
    from flame.federation.nvflare.study import read_kit
    from flame.federation.nvflare.supervisor import Engine
    from flame.federation.nvflare.supervisor import supervise as see_through

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    wanted, owner = read_job(job), person.resolve()
    sites = site or [one.name for one in read_kit(kit).study.sites]
    hand_in = partial(engine.submit, owner, wanted, sites)
    see_through(kit, wanted, Engine(hand_in, partial(engine.is_active, owner, wanted)), tries)
    typer.echo(f"done: {run_folder(kit, wanted)}")


def track(
    run: Annotated[Path, typer.Argument(help="The folder of a job, such as KIT/runs/0123456789abcdef.")],
    uri: Annotated[str, typer.Option(help="MLflow's store or server; a folder in RUN by default.")] = "",
    experiment: Annotated[str, typer.Option(help="Name of MLflow's experiment.")] = "flame",
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the job's model is there.")] = False,
) -> None:
    """Show a job's rounds in MLflow: settings, figures per site and on average, small files. Run it again for more."""
    from flame.report import tracking

    place = uri or tracking.store_of(run)
    if follow:
        for closed in tracking.follow(run, place, experiment):
            typer.echo(f"{closed} rounds tracked")
    else:
        tracking.track(run, place, experiment)
    typer.echo(f"in {tracking.shown(place)}, experiment {experiment}; to look: mlflow ui --backend-store-uri URI")
