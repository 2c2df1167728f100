"""A folder of DICOM files as instances, in whatever order and under whatever names they lie."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flame.dicom.header import text
from flame.dicom.reading import read_instance
from flame.dicom.receive import Desk
from flame.errors import ConfigError, DataError

__all__ = ["FolderCounts", "files_below", "receive_folder"]

_DIRECTORY = "1.2.840.10008.1.3.10"
_HEAD = 132
_NO_PREAMBLE = (b"\x02\x00", b"\x08\x00")
"""First tags of files that begin without the 128 bytes of DICOM's preamble."""


@dataclass(frozen=True)
class FolderCounts:
    """What lay in a folder.

    Attributes:
        files: all that were looked at.
        taken: instances that were new.
        known: instances that had been handed in before, or came twice.
        other: files that are not DICOM, and DICOMDIR.
        damaged: DICOM files that could not be read.
        closed: folders below that could not be looked into.
    """

    files: int = 0
    taken: int = 0
    known: int = 0
    other: int = 0
    damaged: int = 0
    closed: int = 0


def receive_folder(
    folder: Path, desk: Desk, show: Callable[[int, int], None] = lambda _done, _all: None
) -> FolderCounts:
    """Hand in every instance below a folder; no name of a file or folder is kept or shown.

    What the desk knows from an earlier call is not looked at again; what comes twice in one call is, for it may differ.

    Raises: ConfigError: if the folder does not exist. EngineError: if the desk cannot go on.
    """
    if not folder.is_dir():
        raise ConfigError(f"The folder {folder} does not exist", "Check the path.")
    closed: list[OSError] = []
    files = sorted(files_below(folder, closed.append))
    counts = {"taken": 0, "known": 0, "other": 0, "damaged": 0, "closed": len(closed)}
    seen: set[str] = set()
    for number, path in enumerate(files, 1):
        counts[_hand_in(path, desk, seen)] += 1
        show(number, len(files))
    return FolderCounts(len(files), **counts)


def files_below(folder: Path, closed: Callable[[OSError], None] = lambda _: None) -> Iterator[Path]:
    """All regular files below a folder, each directory once, however links lead to it.

    Args:
        closed: told of each directory that cannot be looked into. The error quotes a path, which may hold a name.
    """
    seen: set[tuple[int, int]] = set()
    for root, folders, names in os.walk(folder, onerror=closed, followlinks=True):
        try:
            about = Path(root).stat()
        except OSError as error:
            closed(error)
            continue
        if (about.st_dev, about.st_ino) in seen:
            folders.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        for name in names:
            path = Path(root) / name
            if os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises where it may not look, and names the file
                yield path


def _hand_in(path: Path, desk: Desk, seen: set[str]) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return "damaged"
    if head[128:] != b"DICM" and head[:2] not in _NO_PREAMBLE:
        return "other"
    try:
        dataset = read_instance(path)
    except DataError:
        return "damaged"
    if text(getattr(dataset, "file_meta", dataset), "MediaStorageSOPClassUID") == _DIRECTORY:
        return "other"
    uid = text(dataset, "SOPInstanceUID")
    if not uid:
        return "damaged"
    if uid not in seen and desk.knows(uid):
        return "known"
    seen.add(uid)
    return "taken" if desk.take(dataset) else "known"
