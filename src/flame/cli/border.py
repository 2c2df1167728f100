"""The outer border of the command line: no traceback reaches a user, and every kind of error has its exit code."""

import _thread
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
            with _no_lost_interrupt():
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


@contextmanager
def _no_lost_interrupt() -> Iterator[None]:
    """Let Ctrl-C end the block even if it falls into the clearing of an object, where Python only reports exceptions.

    A pool of processes clears many objects as it ends, so that happens. The interrupt is sent again a moment later.
    """
    before = sys.unraisablehook

    def again(ignored: "sys.UnraisableHookArgs") -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            threading.Timer(0.05, _thread.interrupt_main).start()
        else:
            before(ignored)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before


def _end(message: str, hint: str, exit_code: int) -> typer.Exit:
    typer.echo(f"Error: {message}\n  What to do: {hint}", err=True)
    return typer.Exit(exit_code)
