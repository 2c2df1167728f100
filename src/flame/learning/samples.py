"""Samples of a site, prepared once and read from memory-mapped arrays.

A store holds one site's patients in one context:

    index.json      patients, exclusions, horizons, and a fingerprint of the source files
    volumes.npy     float16 (patients, channels, x, y, z), see `models.encoding`
    halved.npy      float16 (patients, channels, x/2, y/2, z/2)
    scalars.npy     float32 (patients, values)
    labels.npy      uint8 (patients, horizons, x, y, z): the truth
    days.npy        float32 (patients, horizons): when it was seen [days since the end of the course], NaN if never
    responder.npy   float32 (patients,): 1, 0 or NaN if not known
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.files import read_json, replacing, write_json
from flame.imaging.prepare import FIRST_POST_RT_DAYS, Context, Crop, PreparedPatient, prepare_patient
from flame.learning.endpoint import is_responder
from flame.learning.targets import horizons_of, targets
from flame.models.encoding import encode
from flame.records.dataset import Site
from flame.records.patient import Arm, Patient

__all__ = ["SampleStore", "build_stores", "open_store"]

_ARRAYS = ("volumes", "halved", "scalars", "labels", "days", "responder")
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class SampleStore:
    """Memory-mapped samples of one site in one context; arrays as in the module's description."""

    site: str
    patients: tuple[str, ...]
    arms: tuple[Arm, ...]
    excluded: tuple[tuple[str, str], ...]
    volumes: NDArray[np.float16]
    halved: NDArray[np.float16]
    scalars: NDArray[np.float32]
    labels: NDArray[np.uint8]
    days: NDArray[np.float32]
    responder: NDArray[np.float32]

    def offered(self) -> dict[Arm, int]:
        """Number of patients by arm."""
        return {arm: self.arms.count(arm) for arm in dict.fromkeys(self.arms)}


def build_stores(site: Site, folders: Mapping[Context, Path], crop: Crop) -> dict[Context, SampleStore]:
    """Prepare a site's patients for some contexts, or open what was prepared before from the same files.

    A patient's files are read once for all contexts. A patient who lacks what a context needs is excluded from it,
    with the reason; so is one whose files can't be used.

    Raises: DataError: if no patient is left for a context.
    """
    prints = {context: _fingerprint(site, crop, context) for context in folders}
    stale = [context for context, folder in folders.items() if not _is_current(folder, prints[context])]
    for context in stale:
        (folders[context] / "index.json").unlink(missing_ok=True)
    drafts = {context: _Draft([], []) for context in stale}
    for patient in site.patients if stale else ():
        _add(patient, crop, drafts)
    for context, draft in drafts.items():
        _write(site, folders[context], context, draft, prints[context])
    return {context: open_store(folder) for context, folder in folders.items()}


def open_store(folder: Path) -> SampleStore:
    """Open a finished store; arrays stay on disk until they are looked at.

    Raises: DataError: if the store is missing or not whole.
    """
    index = read_json(folder / "index.json")
    try:
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS}
    except (FileNotFoundError, ValueError) as error:
        raise DataError(f"{folder} is not a whole sample store: {error}", "Delete it; it is made again.") from error
    excluded = tuple((patient, reason) for patient, reason in index["excluded"])
    return SampleStore(index["site"], tuple(index["patients"]), tuple(index["arms"]), excluded, **arrays)


@dataclass(frozen=True, eq=False)
class _Sample:
    patient: str
    arm: Arm
    arrays: dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class _Draft:
    """What a store in the making holds: samples, and who was excluded why."""

    samples: list[_Sample]
    excluded: list[tuple[str, str]]


def _is_current(folder: Path, fingerprint: str) -> bool:
    index = folder / "index.json"
    return index.exists() and read_json(index).get("fingerprint") == fingerprint


def _add(patient: Patient, crop: Crop, drafts: Mapping[Context, _Draft]) -> None:
    """Add a patient to the draft of every context that can use them."""
    try:
        prepared = _prepared(patient, crop)
    except DataError as error:
        for draft in drafts.values():
            draft.excluded.append((patient.id, error.message))
        return
    for context, draft in drafts.items():
        try:
            draft.samples.append(_sample(prepared, context))
        except DataError as error:
            draft.excluded.append((patient.id, error.message))


def _write(site: Site, folder: Path, context: Context, draft: _Draft, fingerprint: str) -> None:
    """Write a store; its index, which makes it whole, comes last."""
    if not draft.samples:
        reasons = "; ".join(reason for _, reason in draft.excluded[:3])
        raise DataError(
            f"No patient of {site.name} can be used for context {context}: {reasons or 'the site has no patients'}",
            "Run `flame check` on the site's folder.",
        )
    for name in _ARRAYS:
        with replacing(folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, np.stack([sample.arrays[name] for sample in draft.samples]), allow_pickle=False)
    content = {
        "fingerprint": fingerprint,
        "site": site.name,
        "context": context,
        "patients": [sample.patient for sample in draft.samples],
        "arms": [sample.arm for sample in draft.samples],
        "excluded": draft.excluded,
        "horizons": horizons_of(context),
    }
    write_json(folder / "index.json", content)


def _prepared(patient: Patient, crop: Crop) -> PreparedPatient:
    if not patient.courses:
        raise DataError(f"Patient {patient.id} has no radiotherapy course", "Add the course or leave the patient out.")
    for exam in patient.exams:
        if exam.label_map is not None and exam.unknown_regions:
            raise DataError(
                f"Patient {patient.id}, exam of day {exam.day}: the label map does not show "
                f"{', '.join(exam.unknown_regions)}",
                "Outline all regions: what is unknown can't be told from what is absent.",
            )
    return prepare_patient(_without_later_images(patient), crop)


def _sample(prepared: PreparedPatient, context: Context) -> _Sample:
    course = prepared.courses[0]
    inputs = encode(prepared, course, context)
    labels, days = _truth(prepared, context)
    responder = is_responder(prepared, course)
    arrays: dict[str, NDArray[Any]] = {
        "volumes": inputs.volumes,
        "halved": inputs.halved,
        "scalars": inputs.scalars,
        "labels": labels,
        "days": days,
        "responder": np.array(np.nan if responder is None else responder, np.float32),
    }
    return _Sample(prepared.patient.id, course.course.arm, arrays)


def _without_later_images(patient: Patient) -> Patient:
    """The patient without the images that no context shows; of later exams only the label map is wanted."""
    last = patient.courses[0].end_day + FIRST_POST_RT_DAYS[1]
    exams = (exam if exam.day <= last else replace(exam, sequences={}) for exam in patient.exams)
    return replace(patient, exams=tuple(exams))


def _truth(patient: PreparedPatient, context: Context) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    horizons = horizons_of(context)
    labels = np.zeros((len(horizons), *patient.grid.shape), np.uint8)
    days = np.full(len(horizons), np.nan, np.float32)
    for target in targets(patient, patient.courses[0], horizons):
        number = horizons.index(target.nominal)
        labels[number], days[number] = target.label_map, target.horizon
    return labels, days


def _files(patients: Sequence[Patient]) -> Iterator[Path]:
    for patient in patients:
        for exam in patient.exams:
            yield from (path for path in (*exam.sequences.values(), exam.label_map, exam.brain_mask) if path)
        for course in patient.courses:
            yield from (path for path in (course.dose, course.dose_rbe, course.letd) if path)


def _fingerprint(site: Site, crop: Crop, context: Context) -> str:
    """Changes when a record, a file's size or time, the grid or the context does."""
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in _files(site.patients)]
    content = [_FORMAT, repr(site.patients), stats, crop.model_dump(), context]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
