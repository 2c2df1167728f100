"""A hospital's de-identified instances on disk: `dicom/<patient>/<study>/<series>/<instance>.dcm` in an intake folder.

All names are pseudonyms. An instance is de-identified in memory and written whole or not at all; nothing else of what
came in is written, not even the name of its file.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset

from flame.dicom.deidentify import deidentify
from flame.dicom.identity.pseudonym import Key
from flame.dicom.identity.quarantine import Quarantined
from flame.dicom.reading import MALFORMED, read_instance, silence
from flame.files import read_json, replacing, write_json

__all__ = [
    "Admitted",
    "Known",
    "Refused",
    "admit",
    "as_bytes",
    "instances",
    "keep_refusals",
    "read_instance",
    "refusals",
    "series_folders",
]

_FOLDER = "dicom"
_REFUSED = "refused.json"


@dataclass(frozen=True)
class Admitted:
    """An instance that was new, and where it lies now."""

    path: Path


@dataclass(frozen=True)
class Known:
    """An instance that was there already, just the same."""

    path: Path


@dataclass(frozen=True)
class Refused:
    """An instance that was not kept: `reason` is one of a few fixed phrases."""

    reason: str


def admit(store: Path, dataset: Dataset, key: Key) -> Admitted | Known | Refused:
    """De-identify an instance and keep it, unless it is there already or may not pass.

    The same instance with other content is refused (`conflicting duplicate`): the first one counts, as results may
    have been made from it.

    Args:
        store: the intake folder.
        dataset: as it was read or received; it is not changed.
        key: the site's.

    Raises: EngineError: if the disk is full.
    """
    try:
        clean = deidentify(dataset, key)
    except Quarantined as error:
        return Refused(error.reason)
    content = as_bytes(clean)
    if content is None:
        return Refused("damaged")
    patient = store / _FOLDER / str(clean.PatientID)
    path = patient / str(clean.StudyInstanceUID) / str(clean.SeriesInstanceUID) / f"{clean.SOPInstanceUID}.dcm"
    if path.exists():
        return Known(path) if path.read_bytes() == content else Refused("conflicting duplicate")
    if _lies_in(patient, path.name):
        return Refused("conflicting duplicate")
    _make_private(store / _FOLDER, path.parent)
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_bytes(content)
    return Admitted(path)


def as_bytes(clean: Dataset) -> bytes | None:
    """A de-identified instance as a DICOM file with an empty preamble; None if it can't be written as one."""
    file = BytesIO()
    try:
        with silence():
            dcmwrite(file, clean, enforce_file_format=True)
    except MALFORMED:
        return None
    return file.getvalue()


def series_folders(store: Path) -> tuple[Path, ...]:
    """Folders of all series, in order; each holds the files of one series."""
    return tuple(sorted(path for path in (store / _FOLDER).glob("*/*/*") if path.is_dir()))


def instances(store: Path) -> Iterator[Path]:
    """Files of all instances, in order of patient, study, series and instance."""
    for folder in series_folders(store):
        yield from sorted(path for path in folder.glob("*.dcm") if not path.name.startswith("."))


def keep_refusals(store: Path, counts: Mapping[str, int]) -> None:
    """Write how many instances were refused in an intake, by reason; it takes the place of what was known before."""
    _make_private(store / _FOLDER, store / _FOLDER)
    write_json(store / _FOLDER / _REFUSED, dict(sorted(counts.items())))


def refusals(store: Path) -> dict[str, int]:
    """How many instances were refused in the last intake, by reason. Raises: DataError: if the file is damaged."""
    path = store / _FOLDER / _REFUSED
    return {str(reason): int(count) for reason, count in read_json(path).items()} if path.exists() else {}


def _lies_in(patient: Path, name: str) -> bool:
    """Whether any series of a patient holds a file of this name."""
    return any((series / name).exists() for study in _folders(patient) for series in _folders(study))


def _folders(folder: Path) -> list[Path]:
    """What lies in a folder; nothing if it is none. Of a patient's store that is folders only, which saves a look."""
    try:
        return [folder / name for name in os.listdir(folder)]  # noqa: PTH208 - it names them without a look at each
    except (FileNotFoundError, NotADirectoryError):
        return []


def _make_private(top: Path, folder: Path) -> None:
    """Make `folder`, and what is missing above it, for its owner's eyes only."""
    if folder.is_dir():
        return
    if folder != top:
        _make_private(top, folder.parent)
    folder.mkdir(mode=0o700, parents=folder == top, exist_ok=True)
