"""Scores of single predictions, one row each, and the files that keep them."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from flame.errors import DataError
from flame.files import replacing

__all__ = ["ArmScore", "EvolutionScore", "ResponseScore", "read_scores", "write_scores"]


@dataclass(frozen=True)
class ResponseScore:
    """One patient's predicted response.

    `model` is the model's name; `trained` how it was trained (local, federated, pooled); `origin` the site that a local
    model comes from, else the same as `trained`; `responder` the observed endpoint; `probability` in [0, 1].
    """

    context: str
    model: str
    trained: str
    origin: str
    site: str
    patient: str
    responder: bool
    probability: float


@dataclass(frozen=True)
class EvolutionScore:
    """One predicted region of one patient at one horizon [days since the end of radiotherapy].

    Distances in mm, volumes in ml; `change_dice` is None where neither truth nor prediction differs from the last map.
    `trained` is "none" for baselines.
    """

    context: str
    model: str
    trained: str
    origin: str
    site: str
    patient: str
    horizon: int
    region: str
    dice: float
    hd95: float
    surface_dice: float
    change_dice: float | None
    volume_ml: float
    true_volume_ml: float


@dataclass(frozen=True)
class ArmScore:
    """Dice of one region of one patient under one arm at one horizon, against a virtual trial's potential outcome.

    `delivered` says whether the patient was given that arm, `support` on what the prediction rests, `persistence` is
    the Dice of the last map that was seen.
    """

    context: str
    site: str
    patient: str
    arm: str
    delivered: bool
    support: str
    horizon: int
    region: str
    dice: float
    persistence: float


Score = TypeVar("Score", ResponseScore, EvolutionScore, ArmScore)


def write_scores(path: Path, scores: Sequence[ResponseScore] | Sequence[EvolutionScore] | Sequence[ArmScore]) -> None:
    """Write scores as a table (CSV), atomically; equal scores give equal bytes."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if scores:
            writer.writerow([field.name for field in fields(scores[0])])
        writer.writerows(_cells(asdict(score).values()) for score in scores)


def _cells(values: Iterable[object]) -> list[str]:
    return ["" if value is None else repr(value) if isinstance(value, float) else str(value) for value in values]


def read_scores(path: Path, kind: type[Score]) -> list[Score]:
    """Read a table that `write_scores` wrote; floats come back to the last bit.

    Raises: DataError: if the table is damaged.
    """
    types = get_type_hints(kind)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        return [kind(**{name: _value(row[name], types[name]) for name in types}) for row in rows]
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}", "Delete it; it is made again from the models.") from error


def _value(text: str, kind: object) -> Any:
    if kind is bool:
        return {"True": True, "False": False}[text]
    if kind is int:
        return int(text)
    if kind is float:
        return float(text)
    if kind == float | None:
        return float(text) if text else None
    return text
