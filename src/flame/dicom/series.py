"""What a series is, by its header: a summary of each series, and the sequence that its name and its timing agree on."""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset

from flame.dicom.geometry import slice_normal
from flame.dicom.header import datasets_of, items, moment, number, text, words
from flame.dicom.identity.names import descriptor, sequence_name
from flame.dicom.images.frames import Frame, frames_of
from flame.dicom.images.sequences import NO_AGENT
from flame.dicom.images.stack import stacked
from flame.errors import DataError

__all__ = ["Plane", "Series", "series_of"]

Plane = Literal["axial", "sagittal", "coronal"]
_PLANES: tuple[Plane, ...] = ("sagittal", "coronal", "axial")
_REFORMATTED = frozenset({"MPR", "REFORMATTED", "CSA RESAMPLED", "CSA MPR", "RESAMPLED", "CSAPARALLEL", "AVERAGE"})
_GROUPS = (
    "MREchoSequence",
    "MRTimingAndRelatedParametersSequence",
    "MRModifierSequence",
    "MRDiffusionSequence",
)
"""Where an enhanced image keeps its timing."""
_FAT = frozenset({"fs", "fatsat", "sat", "spair", "spir", "water", "FS", "SFS", "FATSAT"})


@dataclass(frozen=True)
class Series:
    """One series as its headers describe it; what they do not say is None or empty.

    Attributes:
        uid, study, patient, frame: identifiers, those of the store: keyed ones.
        kind: DICOM's modality, as `MR`.
        date, seconds: when it was acquired: day, and seconds since midnight.
        number: series number.
        names: words of its description, then, where that says nothing, of its protocol; see `names.descriptor`.
        pulse: name of the pulse sequence.
        types: image type.
        echo: `SE`, `GR` or `EP`; a combination of spin echo and inversion is `SE`.
        tr, te, ti: [ms]; flip: [degrees].
        weighted: whether any image is diffusion-weighted.
        agent: whether the header speaks of a contrast agent.
        three_d: acquired as a volume.
        derived: reformatted from another series.
        corrected: whether the scanner corrected distortion, 0 no, 1 in the plane, 2 in all directions.
        fat_suppressed: whether fat is suppressed.
        slices, spacing_mm, extent_mm: of the stack; spacing and extent along columns, rows and slices.
        trouble: why it cannot be converted.
        files: its files, in order of name; empty if made from datasets.
    """

    uid: str
    study: str
    patient: str
    frame: str | None
    kind: str
    date: datetime.date | None
    seconds: float | None
    number: int
    names: tuple[str, ...]
    pulse: str
    types: tuple[str, ...]
    echo: str | None
    tr: float | None
    te: float | None
    ti: float | None
    flip: float | None
    weighted: bool
    agent: bool | None
    three_d: bool
    plane: Plane | None
    derived: bool
    corrected: int
    fat_suppressed: bool
    slices: int
    spacing_mm: tuple[float, float, float] | None
    extent_mm: tuple[float, float, float] | None
    trouble: str | None
    files: tuple[Path, ...] = ()


def series_of(files: Iterable[Path | Dataset]) -> tuple[Series, ...]:
    """Summaries of all series among these files, in order of time and number.

    Raises: DataError: if a file is missing or not readable as DICOM.
    """
    listed = list(files)
    groups: dict[str, list[tuple[Path | None, Dataset]]] = {}
    for file, dataset in zip(listed, datasets_of(listed, pixels=False), strict=True):
        path = None if isinstance(file, Dataset) else file
        groups.setdefault(text(dataset, "SeriesInstanceUID"), []).append((path, dataset))
    found = [_summary(uid, group) for uid, group in groups.items()]
    return tuple(
        sorted(found, key=lambda one: (one.date or datetime.date.max, one.seconds or 0.0, one.number, one.uid))
    )


def _summary(uid: str, group: Sequence[tuple[Path | None, Dataset]]) -> Series:
    datasets = [dataset for _, dataset in group if "LOCALIZER" not in words(dataset, "ImageType")]
    datasets = datasets or [dataset for _, dataset in group]
    first = datasets[0]
    frames, trouble = _stack(datasets)
    spacing, extent = _size(frames)
    types = words(first, "ImageType")
    date, seconds = min((moment(one, "Acquisition", "Content", "Series", "Study") for one in datasets), key=_order)
    names = _names(first)
    return Series(
        uid=uid,
        study=text(first, "StudyInstanceUID"),
        patient=text(first, "PatientID"),
        frame=text(first, "FrameOfReferenceUID") or None,
        kind=text(first, "Modality").upper(),
        date=date,
        seconds=seconds,
        number=int(number(first, "SeriesNumber") or 0),
        names=names,
        pulse=sequence_name(text(first, "SequenceName") or text(first, "PulseSequenceName")),
        types=types,
        echo=_echo(first),
        tr=_any_number(first, "RepetitionTime"),
        te=_any_number(first, "EchoTime") or _any_number(first, "EffectiveEchoTime"),
        ti=_any_number(first, "InversionTime") or _any_number(first, "InversionTimes") or None,
        flip=_any_number(first, "FlipAngle"),
        weighted=any((_any_number(one, "DiffusionBValue") or 0) > 0 for one in datasets),
        agent=_agent(first),
        three_d=text(first, "MRAcquisitionType").upper() == "3D",
        plane=_plane(frames),
        derived="DERIVED" in types
        and bool(_REFORMATTED & set(types) or {"mpr", "reformat", "reformatted"} & set(names)),
        corrected=2 if "DIS3D" in types else 1 if "DIS2D" in types else 0,
        fat_suppressed=bool(_FAT & (set(names) | set(words(first, "ScanOptions")))),
        slices=len(frames),
        spacing_mm=spacing,
        extent_mm=extent,
        trouble=trouble,
        files=tuple(sorted(path for path, _ in group if path is not None)),
    )


def _stack(datasets: Sequence[Dataset]) -> tuple[tuple[Frame, ...], str | None]:
    """Frames in order, or as they came with the reason why they are no stack."""
    try:
        frames = tuple(frames_of(datasets))
    except DataError as error:
        return (), error.message
    try:
        return stacked(frames).frames, None
    except DataError as error:
        return frames, error.message


def _size(
    frames: Sequence[Frame],
) -> tuple[tuple[float, float, float] | None, tuple[float, float, float] | None]:
    if len(frames) < 2:
        return None, None
    first = frames[0]
    depth = np.sort(np.array([frame.position for frame in frames]) @ slice_normal(first.orientation))
    gaps = np.diff(depth)
    step = float(np.median(gaps[gaps > 1e-2])) if (gaps > 1e-2).any() else 0.0
    row, column = first.spacing
    return (column, row, step), (first.columns * column, first.rows * row, float(depth[-1] - depth[0]) + step)


def _plane(frames: Sequence[Frame]) -> Plane | None:
    if not frames:
        return None
    return _PLANES[int(np.abs(slice_normal(frames[0].orientation)).argmax())]


def _order(when: tuple[datetime.date | None, float | None]) -> tuple[datetime.date, float]:
    return when[0] or datetime.date.max, when[1] or 0.0


def _names(dataset: Dataset) -> tuple[str, ...]:
    """Words of the description, else of the protocol: GE writes the name of the whole exam there."""
    return tuple(
        descriptor(text(dataset, "SeriesDescription")).split() or descriptor(text(dataset, "ProtocolName")).split()
    )


def _any_number(dataset: Dataset, keyword: str) -> float | None:
    """A number of a classic header, or of the functional groups of an enhanced one's first frame."""
    found = number(dataset, keyword)
    if found is not None:
        return found
    for level in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        for group in items(dataset, level)[:1]:
            parts = (part for name in _GROUPS for part in items(group, name)[:1])
            found = next((known for known in (number(part, keyword) for part in parts) if known is not None), None)
            if found is not None:
                return found
    return None


def _echo(dataset: Dataset) -> str | None:
    kinds = set(words(dataset, "ScanningSequence"))
    enhanced = {"SPIN": "SE", "GRADIENT": "GR", "BOTH": "EP"}.get(text(dataset, "EchoPulseSequence").upper())
    if kinds & {"EP"} or enhanced == "EP":
        return "EP"
    if kinds & {"GR"}:
        return "GR"
    return "SE" if kinds & {"SE", "IR"} else enhanced


def _agent(dataset: Dataset) -> bool | None:
    """Whether the header speaks of a contrast agent; None if it is silent."""
    told = text(dataset, "ContrastBolusAgent").lower()
    if told:
        return told not in NO_AGENT
    if items(dataset, "ContrastBolusAgentSequence") or (number(dataset, "ContrastBolusVolume") or 0) > 0:
        return True
    return None
