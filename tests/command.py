"""FLAME's command line as a user runs it."""

import subprocess
import sys
from pathlib import Path

__all__ = ["flame"]


def flame(*arguments: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a process of its own."""
    command = [sys.executable, "-m", "flame", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
