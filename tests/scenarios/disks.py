"""Small file systems of their own, and how to fill them. Needs root."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["fill", "small_disk"]

PAGE = 4096


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount an empty file system of `size` bytes at `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        if os.environ.get("CI"):
            pytest.fail("CI must run this as root, so that it can mount a file system")
        pytest.skip("needs root to mount a small file system")
    try:
        yield folder
    finally:
        # Lazily: files of a process that was killed are let go a moment after the process is gone.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, name: str = "filler") -> Path:
    """Fill a file system with one more file; returns it, to delete or to cut."""
    filler = disk / name
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(PAGE))
    return filler
