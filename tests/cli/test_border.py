"""The border of the command line: errors, and an interrupt that comes at a bad moment."""

import sys
import time

import pytest
import typer

from flame.cli.border import guarded
from flame.errors import DataError


class Clearing:
    """An object that Ctrl-C hits while it is cleared; Python reports what is raised there and goes on."""

    def __del__(self) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_while_an_object_is_cleared_still_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.unraisablehook
    done = []

    def command() -> None:
        Clearing()
        for _ in range(500):
            time.sleep(0.01)
        done.append(True)

    with pytest.raises(typer.Exit) as ended:
        guarded(command)()
    assert ended.value.exit_code == 130
    assert not done
    assert "Start the same command again" in capsys.readouterr().err
    assert sys.unraisablehook is before


def test_an_error_ends_in_its_message_its_hint_and_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise DataError("No exam", "Add one.")

    with pytest.raises(typer.Exit) as ended:
        guarded(command)()
    assert ended.value.exit_code == DataError.exit_code
    assert capsys.readouterr().err == "Error: No exam\n  What to do: Add one.\n"
