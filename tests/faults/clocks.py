"""A wrong clock for one process and all that it starts, through its environment."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["wrong_clock"]


def wrong_clock(folder: Path, days: float) -> dict[str, str]:
    """Variables that put a process's wall clock forward by some days, or back. Needs a C compiler.

    Args:
        folder: where the library is built that stands before the system's.
        days: how far.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have a C compiler, for a clock that is wrong")
        pytest.skip("needs a C compiler to make a clock that is wrong")
    library = folder / "wrong_clock.so"
    if not library.exists():
        source = Path(__file__).with_name("wrong_clock.c")
        subprocess.run([compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", library, source], check=True)
    return {"LD_PRELOAD": str(library), "WRONG_BY": str(round(days * 86400))}
