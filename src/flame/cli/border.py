"""The outer border of the command line: no traceback reaches a user, and every kind of error has its exit code."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

import typer

from flame.errors import FlameError

__all__ = ["guarded"]

P = ParamSpec("P")


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Let `command` end in a message and an exit code whatever happens in it; `--debug` lets the error through."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        if "--debug" in sys.argv:
            return command(*args, **kwargs)
        try:
            return command(*args, **kwargs)
        except FlameError as error:
            raise _end(error.message, error.hint, error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("Stopped. Start the same command again: it goes on from here.", err=True)
            raise typer.Exit(130) from None
        except typer.Exit:
            raise
        except Exception as error:  # noqa: BLE001 - the one place where nothing may pass
            message = f"FLAME itself failed ({type(error).__name__}: {error})"
            raise _end(message, "Run the same command as `flame --debug ...` and report what it shows.", 1) from None

    return wrapper


def _end(message: str, hint: str, exit_code: int) -> typer.Exit:
    typer.echo(f"Error: {message}\n  What to do: {hint}", err=True)
    return typer.Exit(exit_code)
