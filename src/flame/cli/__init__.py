"""The command line: parses, calls, prints. A command imports what it needs when it is called."""

import typer

from flame import __version__
from flame.cli import (
    budget,
    bundle,
    cohort,
    compare,
    consent,
    coordinator,
    data,
    doctor,
    enrol,
    export,
    import_,
    ingest,
    predict,
    prepare,
    rano,
    scale,
    service,
    site,
    trial,
)
from flame.cli.border import guarded
from flame.cli.page import Page

__all__ = ["app", "main"]

app = typer.Typer(
    name="flame",
    cls=Page,
    help="Train models of glioblastoma across hospitals; no patient's data leaves its site. Research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"flame {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    _ = version, debug


for name, command in (
    ("demo", compare.demo),
    ("compare", compare.compare),
    ("trial", trial.trial),
    ("ingest", ingest.ingest),
    ("import", import_.import_),
    ("prepare", prepare.prepare),
    ("check", data.check),
    ("cohort", cohort.cohort),
    ("predict", predict.predict),
    ("export", export.export),
    ("rano", rano.rano),
    ("verify", site.verify),
    ("doctor", doctor.doctor),
    ("service", service.service),
    ("bundle", bundle.bundle),
):
    app.command(name)(guarded(command))

at_site = typer.Typer(cls=Page, help="What a hospital keeps and decides.", no_args_is_help=True)
for word, decision in (
    ("enrol", enrol.enrol),
    ("start", enrol.start),
    ("leave", enrol.leave),
    ("ledger", site.ledger),
    ("budget", budget.budget),
    ("key", consent.key),
    ("register", consent.register),
    ("jobs", consent.jobs),
    ("show", consent.show),
    ("approve", consent.approve),
    ("decline", consent.decline),
    ("withdraw", consent.withdraw),
    ("withdraw-patient", consent.withdraw_patient),
):
    at_site.command(word)(guarded(decision))
app.add_typer(at_site, name="site")

at_coordinator = typer.Typer(cls=Page, help="Run a study over many sites.", no_args_is_help=True)
for word, step in (
    ("provision", coordinator.provision),
    ("start", coordinator.start),
    ("submit", coordinator.submit),
    ("status", coordinator.status),
    ("pause", coordinator.pause),
    ("resume", coordinator.resume),
    ("stop", coordinator.stop),
    ("supervise", coordinator.supervise),
    ("track", coordinator.track),
):
    at_coordinator.command(word)(guarded(step))
app.add_typer(at_coordinator, name="coordinator")

of_scale = typer.Typer(cls=Page, help="A common scale of intensities over sites.", no_args_is_help=True)
of_scale.command("part")(guarded(scale.part))
of_scale.command("combine")(guarded(scale.combine))
app.add_typer(of_scale, name="scale")


def main() -> None:
    """Entry point of the `flame` command."""
    app()
