"""The command line: parses, calls, prints. Commands import what they need when they are called."""

import sys

import typer

from flame import __version__
from flame.errors import FlameError

__all__ = ["app", "main"]

app = typer.Typer(
    name="flame",
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


def main() -> None:
    """Run the command line; every error ends in a message for people and its own exit code."""
    from flame.cli import commands

    commands.register(app)
    arguments = sys.argv[1:]
    try:
        app(arguments)
    except FlameError as error:
        if "--debug" in arguments:
            raise
        typer.echo(f"Error: {error.message}\n  What to do: {error.hint}", err=True)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo("Stopped. Start the same command again: it goes on from here.", err=True)
        raise SystemExit(130) from None
    except Exception as error:
        if "--debug" in arguments:
            raise
        kind = type(error).__name__
        typer.echo(f"Error: FLAME itself failed ({kind}: {error})\n  What to do: run again with --debug first, "
                   "and report what it shows.", err=True)
        raise SystemExit(1) from None
