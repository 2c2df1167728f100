"""A comparison's run folder as the report reads it: `comparison.json`, the pictures' arrays, the model cards."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.files import read_json

__all__ = ["ModelCard", "PictureData", "Run", "read_run"]


@dataclass(frozen=True, eq=False)
class PictureData:
    """The content of one `pictures/<kind>-<patient>.npz` and `.json`.

    `arrays` are 2-D slices indexed [x, y] in RAS (probabilities: (3, x, y)); `facts` the JSON object.
    """

    patient: str
    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class ModelCard:
    """`models/<question>/<training>/model.json`."""

    name: str
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """All that the report is made of. `absent` are patients whose pictures are announced but not there; `attacks` is
    None where none were carried out."""

    comparison: Mapping[str, Any]
    predictions: tuple[PictureData, ...]
    montage: tuple[PictureData, ...]
    cards: tuple[ModelCard, ...]
    absent: tuple[str, ...]
    attacks: Mapping[str, Any] | None = None


def read_run(folder: Path) -> Run:
    """Read the run folder of a comparison; pictures and model cards may be missing.

    Raises: DataError: if `comparison.json` is missing, or a file that is there is damaged.
    """
    comparison = read_json(folder / "comparison.json")
    if not isinstance(comparison, dict):
        raise DataError(f"{folder / 'comparison.json'} holds no object", "Make the comparison again.")
    announced: Mapping[str, Any] = comparison.get("pictures") or {}
    absent: list[str] = []
    found: dict[str, list[PictureData]] = {"evolution": [], "montage": []}
    for kind, patients in (("evolution", announced.get("patients")), ("montage", announced.get("montage"))):
        for patient in patients or []:
            data = _read_picture(folder / "pictures", kind, patient)
            if data is None:
                absent.append(f"{kind}-{patient}")
            else:
                found[kind].append(data)
    cards = tuple(
        ModelCard(path.parent.relative_to(folder / "models").as_posix(), read_json(path))
        for path in sorted((folder / "models").glob("**/model.json"))
    )
    path = folder / "attacks.json"
    attacks = read_json(path) if path.exists() else None
    return Run(comparison, tuple(found["evolution"]), tuple(found["montage"]), cards, tuple(absent), attacks)


def _read_picture(folder: Path, kind: str, patient: str) -> PictureData | None:
    arrays_path, facts_path = folder / f"{kind}-{patient}.npz", folder / f"{kind}-{patient}.json"
    if not arrays_path.is_file() or not facts_path.is_file():
        return None
    try:
        with arrays_path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{arrays_path} is damaged: {error}", "Delete it and start the comparison again.") from error
    return PictureData(patient, arrays, read_json(facts_path))
