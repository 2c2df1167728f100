"""The standard scale of intensities over sites: what each site tells of its landmarks, and the scale made of it.

A site tells, of each sequence, the mean of its patients' landmarks and about how many patients that are. Nothing is
told of fewer than k patients, the smallest cell, and two parts of one site differ by no patient or by at least k of
them, so that no difference shows a single one (ADR 12).
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, model_validator

from flame.errors import DataError
from flame.federation.disclosure import (
    History,
    Release,
    earlier,
    history_path,
    publish,
    read_history,
    read_key,
    seal,
    write_history,
)
from flame.files import read_json, write_text
from flame.imaging.nyul import PERCENTILES, Landmarks, Scale, Stretched, stretched
from flame.imaging.prepared import prepared_path
from flame.records.dataset import Site
from flame.records.patient import SEQUENCES, Patient, Sequence
from flame.settings import Settings

__all__ = ["Part", "ScalePart", "SequencePart", "combine", "make_part", "mean_landmarks", "read_part", "write_part"]

_DIGITS = 2
"""Decimals of a landmark that leave."""


class SequencePart(Settings):
    """Of one sequence: number of patients, rounded to a multiple of the smallest cell, and their mean landmarks."""

    model_config = ConfigDict(strict=True)

    patients: int = Field(gt=0, le=1_000_000)
    landmarks: Stretched = Field(strict=False)


class ScalePart(Settings):
    """A site's part of the scale: all that leaves it.

    Args:
        site: its name, of 1 to 200 printable characters.
        min_cell: k, the smallest cell.
        sequences: those that at least k patients have.
    """

    model_config = ConfigDict(strict=True)

    format: Literal["flame-scale-part/1"] = "flame-scale-part/1"
    site: str = Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")
    min_cell: int = Field(ge=2, le=1000)
    sequences: dict[Sequence, SequencePart] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_rounded(self) -> Self:
        wrong = [name for name, one in self.sequences.items() if one.patients % self.min_cell]
        if wrong:
            raise ValueError(f"the number of patients with {wrong[0]} is not a multiple of {self.min_cell}")
        return self


@dataclass(frozen=True)
class Part:
    """A site's part; sequences that are told as before, because too few patients changed; and those of too few."""

    part: ScalePart
    again: tuple[Sequence, ...]
    hidden: tuple[Sequence, ...]


def mean_landmarks(site: Site) -> dict[Sequence, dict[str, Landmarks]]:
    """Of each sequence and patient the mean over the patient's exams of stretched landmarks, as `prepare` kept them.

    Raises: DataError: if an exam's JSON is damaged or holds other percentiles.
    """
    found: dict[Sequence, dict[str, Landmarks]] = {name: {} for name in SEQUENCES}
    for patient in site.patients:
        for name, exams in _exams(site.folder, patient).items():
            found[name][patient.id] = np.mean(exams, axis=0)
    return found


def _exams(folder: Path, patient: Patient) -> Mapping[Sequence, list[Landmarks]]:
    found: dict[Sequence, list[Landmarks]] = {}
    for exam in patient.exams:
        path = prepared_path(folder, patient.id, exam.day, "prepared.json")
        images = read_json(path).get("images", {}) if path.exists() else {}
        for name in SEQUENCES:
            kept = images.get(name, {}).get("landmarks")
            if kept is None:
                continue
            values = np.array(kept["values"], float)
            if tuple(kept["percentiles"]) != PERCENTILES or values.shape != (len(PERCENTILES),):
                raise DataError(
                    f"patient {patient.id}, exam of day {exam.day}: landmarks of another kind",
                    "Prepare the site again by this version of FLAME.",
                )
            if values[-1] > values[0]:
                found.setdefault(name, []).append(stretched(values))
    return found


def make_part(site: Site, key_path: Path, min_cell: int = 5) -> Part:
    """A site's part. It is kept beside the key before it is returned, so that no later one can be subtracted from it.

    Args:
        site: a prepared site.
        key_path: of the secret key of the site's scale, which is made if it does not exist.
        min_cell: k, >= 2.

    Raises: DataError: if no sequence has landmarks of k patients, or a file is damaged. ConfigError: if the key can't
        be used. PolicyError: if the site has answered with another k.
    """
    everybody = mean_landmarks(site)
    told = [name for name in SEQUENCES if len(everybody[name]) >= min_cell]
    if not told:
        many = f"fewer than {min_cell}" if any(everybody.values()) else "no"
        raise DataError(
            f"{site.name} has landmarks of {many} patients in every sequence", "Bring more in by flame prepare."
        )
    key = read_key(key_path)
    sequences, again = {}, []
    for name in told:
        sequences[name], repeated = _told(everybody[name], name, key_path, key, min_cell)
        again += [name] if repeated else []
    hidden = tuple(name for name in SEQUENCES if everybody[name] and name not in told)
    return Part(ScalePart(site=site.name, min_cell=min_cell, sequences=sequences), tuple(again), hidden)


def _told(
    patients: Mapping[str, Landmarks], name: Sequence, key_path: Path, key: bytes, min_cell: int
) -> tuple[SequencePart, bool]:
    """What leaves of one sequence, and whether it is what left before."""
    path = history_path(key_path.with_name(f"{key_path.name}.{name}"))
    history = read_history(path)
    facts = seal(key, {who: frozenset({values.round(6).tobytes().hex()}) for who, values in patients.items()})
    release = Release(min_cell=min_cell, facts=facts)
    before = earlier(history, release)
    if before is not None:
        return SequencePart.model_validate_json(before.answer), True
    count = publish({name: len(patients)}, (), name, min_cell, key)[name]
    mean = np.mean([patients[who] for who in sorted(patients)], axis=0)
    part = SequencePart(patients=count or min_cell, landmarks=_as_told(mean))
    release = release.model_copy(update={"answer": part.model_dump_json()})
    if release not in history.releases:
        write_history(path, History(releases=(*history.releases, release)))
    return part, False


def _as_told(values: Landmarks) -> tuple[float, ...]:
    return tuple(np.round(values, _DIGITS).tolist())


def combine(parts: Iterable[ScalePart]) -> Scale:
    """The scale: of each sequence the mean over sites, weighted by their patients; in whatever order they came.

    Raises: DataError: if there is no part, or two are of one site.
    """
    ordered = sorted(parts, key=lambda part: part.site)
    if not ordered:
        raise DataError("There is no part to combine", "Name the files that sites wrote by flame scale part.")
    twice = [name for name, times in Counter(part.site for part in ordered).items() if times > 1]
    if twice:
        raise DataError(f"Two parts are of the site {twice[0]!r:.80}", "Leave one of them out.")
    found: dict[Sequence, tuple[float, ...]] = {}
    for name in SEQUENCES:
        known = [part.sequences[name] for part in ordered if name in part.sequences]
        if known:
            weights = [one.patients for one in known]
            found[name] = _as_told(np.average([one.landmarks for one in known], axis=0, weights=weights))
    return Scale(landmarks=found)


def write_part(path: Path, part: ScalePart) -> None:
    """Write a part as JSON, atomically; equal parts give equal bytes."""
    write_text(path, part.model_dump_json(indent=1) + "\n")


def read_part(path: Path) -> ScalePart:
    """Read what `write_part` wrote. Nothing in it is believed that was not checked.

    Raises: DataError: if it is missing, damaged or of another format.
    """
    try:
        return ScalePart.model_validate_json(json.dumps(read_json(path)))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(
            f"{path} is no part of a scale: {where}: {first['msg']}", "Ask the site for it again."
        ) from error
