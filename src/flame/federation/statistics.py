"""How many patients a study would find: each site's answer in counts that may leave it, and all answers together.

The tables are fixed. There is no filter to ask with, and so no pair of questions that differ by one patient. What a
site lets out of its counts is decided in `flame.federation.disclosure`.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Self

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, model_validator

from flame.errors import DataError
from flame.federation.disclosure import (
    History,
    Release,
    Rule,
    earlier,
    history_path,
    possible,
    publish,
    read_history,
    read_key,
    seal,
    write_history,
)
from flame.files import read_json, write_text
from flame.learning.targets import WINDOW_DAYS, horizons_of
from flame.records.dataset import Site
from flame.records.patient import ARMS, REGIONS, SEQUENCES, Exam, Outcome, Patient
from flame.records.volume import read_volume
from flame.settings import Settings

__all__ = [
    "ALL",
    "FORMAT",
    "HORIZONS",
    "TABLES",
    "Answer",
    "Cohort",
    "CohortCell",
    "SiteStatistics",
    "Table",
    "baseline_volume_ml",
    "cells_of",
    "combine",
    "make_answer",
    "read_answer",
    "rules_of",
    "statistics_of",
    "write_answer",
]

FORMAT = "flame-cohort/1"
ALL = "patients/all"
"""The cell of all patients, as table/cell."""

HORIZONS = tuple(f"{horizon} days" for horizon in horizons_of("pre_rt"))
"""Cells of the tables of horizons: days since the end of radiotherapy."""

HORIZON_ARMS = (*ARMS, "several")
AGE_BOUNDS = (40, 50, 60, 70, 80)
VOLUME_BOUNDS_ML = (10, 30, 60, 100)
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Table:
    """One table of an answer.

    Args:
        name: as in the answer's file.
        title: for readers.
        cells: names of its cells.
        whole: the cell, as table/cell, that it divides or that its cells are part of; None for the total alone.
        adds_up: whether every patient of `whole` is in exactly one cell.
    """

    name: str
    title: str
    cells: tuple[str, ...]
    whole: str | None = ALL
    adds_up: bool = True

    @property
    def paths(self) -> tuple[str, ...]:
        """Its cells as table/cell."""
        return tuple(f"{self.name}/{cell}" for cell in self.cells)


def _bands(bounds: Sequence[int]) -> tuple[str, ...]:
    inner = [f"{low} to {high - 1}" for low, high in pairwise(bounds)]
    return (f"below {bounds[0]}", *inner, f"{bounds[-1]} or more")


_MISSING: Mapping[str, Callable[[Patient, Exam | None], bool]] = MappingProxyType(
    {
        "performance status": lambda patient, _: patient.performance_status is None,
        "IDH": lambda patient, _: patient.idh_mutant is None,
        "day of diagnosis": lambda patient, _: patient.diagnosis_day is None,
        "outcome": lambda patient, _: patient.outcome == Outcome(),
        "baseline exam": lambda _, baseline: baseline is None,
        "steroid dose at baseline": lambda _, baseline: baseline is None or baseline.steroid_mg is None,
        "clinical status at baseline": lambda _, baseline: baseline is None or baseline.clinical_status is None,
        "label map at baseline": lambda _, baseline: baseline is None or baseline.label_map is None,
        "dose of a course": lambda patient, _: any(one.prescribed_dose is None for one in patient.courses),
        "LETd of an ion course": lambda patient, _: any(
            one.letd is None and one.arm != "photon" for one in patient.courses
        ),
    }
)

TABLES = (
    Table("patients", "Patients", ("all",), whole=None),
    Table("arm", "Arm", (*ARMS, "several", "no course")),
    *(Table(arm, f"Label map near a horizon: {arm}", HORIZONS, f"arm/{arm}", adds_up=False) for arm in HORIZON_ARMS),
    Table("sequence", "Sequences at baseline", (*SEQUENCES, "all four"), adds_up=False),
    Table("age", "Age [years]", (*_bands(AGE_BOUNDS), UNKNOWN)),
    Table("sex", "Sex", ("F", "M", UNKNOWN)),
    Table("mgmt", "MGMT promoter", ("methylated", "not methylated", UNKNOWN)),
    Table("resection", "Resection", ("biopsy", "partial", "gross total", UNKNOWN)),
    Table("missing", "Not recorded", tuple(_MISSING), adds_up=False),
    Table("volume", "Whole tumour at baseline [ml]", (*_bands(VOLUME_BOUNDS_ML), "no label map")),
)
"""All tables of this format; `volume` is there only if it was asked for, because label maps must be read for it."""

EXTRA = frozenset({"volume"})


class SiteStatistics(Settings):
    """A site's answer: all that leaves it. Counts are multiples of `min_cell`; None is hidden, fewer than `min_cell`.

    Each count is rounded as a cell of its own, so that tables need not add up.

    Args:
        format: changes when the meaning of a table or cell does.
        site: its name, of 1 to 200 printable characters.
        min_cell: k, the smallest cell.
        tables: count by table and cell, for every table and cell of `TABLES`; `volume` may be left out.

    Raises: ValueError: (ValidationError) if a table or cell is unknown or left out, a count is not a multiple of
        `min_cell` above 0, or no true counts could have led to these.
    """

    model_config = ConfigDict(strict=True)

    format: str = Field(default=FORMAT, pattern=f"^{FORMAT}$")
    site: str = Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")
    min_cell: int = Field(ge=2, le=1000)
    tables: dict[str, dict[str, int | None]]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for table in TABLES:
            cells = self.tables.get(table.name)
            if cells is None and table.name in EXTRA:
                continue
            if cells is None or set(cells) != set(table.cells):
                raise ValueError(f"table {table.name!r} is not whole")
            wrong = [
                cell for cell, count in cells.items() if count is not None and (count <= 0 or count % self.min_cell)
            ]
            if wrong:
                raise ValueError(f"{table.name}/{wrong[0]} is not a multiple of {self.min_cell} above 0")
        unknown = set(self.tables) - {table.name for table in TABLES}
        if unknown:
            raise ValueError(f"table {min(unknown)!r} is not known")
        possible(self.published, rules_of(self.tables), self.min_cell)
        return self

    @property
    def published(self) -> dict[str, int | None]:
        """Counts by table/cell."""
        return {f"{table}/{cell}": count for table, cells in self.tables.items() for cell, count in cells.items()}


@dataclass(frozen=True)
class Answer:
    """A site's statistics, and whether it is an earlier answer given again because too few records have changed."""

    statistics: SiteStatistics
    is_again: bool


@dataclass(frozen=True)
class CohortCell:
    """A cell over all sites that answered its table.

    Args:
        about: sum of what was published, hidden ones as 0; on average nearly the true sum.
        error: k / 2 for each site, added in squares: what the standard error of `about` hardly exceeds (ADR 12).
        low, high: the true sum lies between, for certain.
        hidden_by: number of sites that hid it; each has 0 to k-1.
        sites: number of sites that answered.
    """

    about: int
    error: float
    low: int
    high: int
    hidden_by: int
    sites: int


@dataclass(frozen=True)
class Cohort:
    """All answers together: names of sites in order, and cells by table, the same in whatever order answers came.

    `horizon` is a table that no site answers: the sum over the arms.
    """

    sites: tuple[str, ...]
    tables: Mapping[str, Mapping[str, CohortCell]]


def cells_of(patient: Patient) -> frozenset[str]:
    """The cells, as table/cell, that a patient counts in, those of `volume` left out."""
    arms = {course.arm for course in patient.courses}
    arm = "no course" if not arms else "several" if len(arms) > 1 else next(iter(arms))
    baseline = _baseline(patient)
    found = {ALL, f"arm/{arm}"}
    found |= {f"{arm}/{horizon} days" for horizon in horizons_of("pre_rt") if _was_seen_at(patient, horizon)}
    found |= {f"sequence/{name}" for name in SEQUENCES if baseline and name in baseline.sequences}
    if baseline and all(name in baseline.sequences for name in SEQUENCES):
        found.add("sequence/all four")
    found.add(f"age/{UNKNOWN if patient.age is None else _band(patient.age, AGE_BOUNDS)}")
    found.add(f"sex/{patient.sex or UNKNOWN}")
    mgmt = {True: "methylated", False: "not methylated", None: UNKNOWN}[patient.mgmt_methylated]
    found.add(f"mgmt/{mgmt}")
    found.add(f"resection/{(patient.resection or UNKNOWN).replace('_', ' ')}")
    return frozenset(
        found | {f"missing/{name}" for name, is_missing in _MISSING.items() if is_missing(patient, baseline)}
    )


def _baseline(patient: Patient) -> Exam | None:
    """The last exam that is not after the start of the first course."""
    if not patient.courses:
        return None
    return next((exam for exam in reversed(patient.exams) if exam.day <= patient.courses[0].start_day), None)


def _was_seen_at(patient: Patient, horizon: int) -> bool:
    """Whether a label map lies within the window of `learning.targets` around a horizon of any course."""
    return any(
        exam.label_map is not None and abs(exam.day - course.end_day - horizon) <= WINDOW_DAYS
        for course in patient.courses
        for exam in patient.exams
    )


def _band(value: float, bounds: Sequence[int]) -> str:
    return _bands(bounds)[sum(value >= bound for bound in bounds)]


def baseline_volume_ml(patient: Patient) -> float | None:
    """Whole tumour at baseline [ml]; None if there is no baseline exam or it has no label map.

    Raises: DataError: if the label map can't be read.
    """
    baseline = _baseline(patient)
    if baseline is None or baseline.label_map is None:
        return None
    volume = read_volume(baseline.label_map)
    return float(np.isin(volume.array, REGIONS["WT"]).sum()) * math.prod(volume.grid.spacing_mm) / 1000


def _volume_cell(volume_ml: float | None) -> str:
    return f"volume/{'no label map' if volume_ml is None else _band(volume_ml, VOLUME_BOUNDS_ML)}"


def rules_of(tables: Iterable[str]) -> tuple[Rule, ...]:
    """What everybody knows of how the cells of these tables belong together."""
    wanted = set(tables)
    return tuple(
        Rule(table.whole, table.paths, table.adds_up)
        for table in TABLES
        if table.name in wanted and table.whole is not None
    )


def statistics_of(site: str, cells: Iterable[frozenset[str]], min_cell: int, key: bytes) -> SiteStatistics:
    """What may leave of the counts of a site's patients.

    Args:
        site: its name.
        cells: of each patient, as `cells_of` gives them; with the cell of `volume` for all or for none.
        min_cell: k, >= 2.
        key: of the site, 32 bytes.

    Raises: DataError: if there is no patient. PolicyError: if no answer would be safe.
    """
    counts = Counter(name for own in cells for name in own)
    if not counts[ALL]:
        raise DataError(f"{site} has no patients", "Look into participants.tsv.")
    asked = [table for table in TABLES if table.name not in EXTRA or any(counts[path] for path in table.paths)]
    rules = rules_of(table.name for table in asked)
    leaving = publish({path: counts[path] for table in asked for path in table.paths}, rules, ALL, min_cell, key)
    tables = {table.name: {cell: leaving[f"{table.name}/{cell}"] for cell in table.cells} for table in asked}
    return _checked({"format": FORMAT, "site": site, "min_cell": min_cell, "tables": tables}, f"The answer of {site}")


def make_answer(site: Site, key_path: Path, min_cell: int = 5, with_volumes: bool = False) -> Answer:
    """A site's answer. It is kept beside the key before it is returned, so that no later one can be subtracted from it.

    Args:
        site: the site's records.
        key_path: of its secret key, which is made if it does not exist.
        min_cell: k, >= 2.
        with_volumes: whether label maps are read for the table of volumes.

    Raises: DataError: if there is no patient, or a label map or the history can't be read. ConfigError: if the key
        can't be used. PolicyError: if no answer may be made.
    """
    if not site.patients:
        raise DataError(f"{site.name} has no patients", "Look into participants.tsv.")
    core = {patient.id: cells_of(patient) for patient in site.patients}
    measured = site.patients if with_volumes else ()
    extra = {patient.id: frozenset({_volume_cell(baseline_volume_ml(patient))}) for patient in measured}
    key = read_key(key_path)
    history = read_history(history_path(key_path))
    release = Release(min_cell=min_cell, facts=seal(key, core), extra=seal(key, extra))
    before = earlier(history, release)
    if before is not None:
        return Answer(_checked(json.loads(before.answer), "An earlier answer"), is_again=True)
    cells = [own | extra.get(name, frozenset()) for name, own in core.items()]
    statistics = statistics_of(site.name, cells, min_cell, key)
    release = release.model_copy(update={"answer": statistics.model_dump_json()})
    if release not in history.releases:
        write_history(history_path(key_path), History(releases=(*history.releases, release)))
    return Answer(statistics, is_again=False)


def write_answer(path: Path, statistics: SiteStatistics) -> None:
    """Write an answer as JSON, atomically; equal answers give equal bytes."""
    write_text(path, statistics.model_dump_json(indent=1) + "\n")


def read_answer(path: Path) -> SiteStatistics:
    """Read what `write_answer` wrote. Nothing in it is believed that was not checked.

    Raises: DataError: if it is missing, damaged, of another format, or holds a count that no site may let out.
    """
    return _checked(read_json(path), str(path))


def _checked(content: object, what: str) -> SiteStatistics:
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise DataError(
            f"{what} is not of the format {FORMAT}, but {found!r:.80}",
            "Ask the site for it again; its FLAME and yours must be of one version.",
        )
    try:
        return SiteStatistics.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "tables"
        raise DataError(f"{what} is damaged: {where}: {first['msg']}", "Ask the site for it again.") from error


def combine(answers: Iterable[SiteStatistics]) -> Cohort:
    """Add up sites' answers.

    Raises: DataError: if there is none, or two are of one site.
    """
    ordered = sorted(answers, key=lambda answer: answer.site)
    names = tuple(answer.site for answer in ordered)
    if not names:
        raise DataError("There is no answer to combine", "Name a site's folder or the file of an answer.")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise DataError(f"Two answers are of the site {twice[0]!r:.80}", "Leave one of them out.")
    everybody = [(one, possible(one.published, rules_of(one.tables), one.min_cell)) for one in ordered]
    tables = {}
    for table in TABLES:
        said = [(one, bounds) for one, bounds in everybody if table.name in one.tables]
        if said:
            tables[table.name] = {cell: _added([f"{table.name}/{cell}"], said) for cell in table.cells}
    tables["horizon"] = {cell: _added([f"{arm}/{cell}" for arm in HORIZON_ARMS], everybody) for cell in HORIZONS}
    return Cohort(names, tables)


def _added(paths: Sequence[str], said: Sequence[tuple[SiteStatistics, Mapping[str, tuple[int, int]]]]) -> CohortCell:
    counts = [[answer.published[path] for path in paths] for answer, _ in said]
    return CohortCell(
        about=sum(count or 0 for own in counts for count in own),
        error=math.hypot(*(answer.min_cell / 2 for answer, _ in said for _ in paths)),
        low=sum(bounds[path][0] for _, bounds in said for path in paths),
        high=sum(bounds[path][1] for _, bounds in said for path in paths),
        hidden_by=sum(None in own for own in counts),
        sites=len(said),
    )
