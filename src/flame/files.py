"""Files that are there whole or not at all."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flame.errors import DataError, EngineError

__all__ = ["read_json", "replacing", "write_bytes", "write_json", "write_text"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well it takes the place of `path` in one step.

    The temporary name keeps the suffixes (`map.nii.gz` stays a `.nii.gz`), so that writers which look at them work.
    If the block fails, the temporary file is removed and `path` is as it was.

    Raises: EngineError: if the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.partial.{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        if _says_full(error, path.parent):
            raise EngineError(
                f"The disk is full: {path.name} could not be written to {path.parent}",
                "Free some space or choose another folder, then start the same command again; it goes on from there.",
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _says_full(error: OSError, folder: Path) -> bool:
    """Whether a failed write means that the disk is full; numpy gives no number and a text of its own."""
    if error.errno is None:
        return os.statvfs(folder).f_bavail == 0
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, atomically."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` as indented JSON, atomically. NaN and infinity are refused: JSON has no word for them.

    Raises: ValueError: if `content` holds NaN or infinity.
    """
    write_text(path, json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises: DataError: if it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist", "Check the path.") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} is not valid JSON: {error}", "Restore the file or make it again.") from error
