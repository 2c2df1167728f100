"""UCSF-ALPTDG (San Francisco): two exams after treatment of each patient; days between events, no dose.

Layout: `100001/100001_time1_{t1,t1ce,t2,flair,seg}.nii.gz`, `_time2_`. Table: `UCSF_PostopGlioma_Table S1*.xlsx`, sheet
`Clinical Info`, in days around the first exam; headers and dictionary contradict each other about signs, and some
values are a century off, so that a day is taken only where its sign and size make sense.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from flame.errors import DataError
from flame.records.finding import Finding
from flame.records.intake import IntakeExam
from flame.records.patient import Resection, Sequence
from flame.records.sources.draft import FLAME_ORDER, Draft, Gathering, LabelFile, PublicSet
from flame.records.sources.overlap import public_name, public_names
from flame.records.sources.spreadsheet import find_table, sex, status, workbook
from flame.records.tables import Row, number

__all__ = ["open_set"]

NAME = "ucsf-alptdg"
SEQUENCES: dict[Sequence, str] = {"T1w": "t1", "T1ce": "t1ce", "T2w": "t2", "FLAIR": "flair"}
BETWEEN = "Days from 1st scan to 2nd scan"
SINCE_SURGERY = "Days from 1st surgery/DX to 1st scan"
FROM_DEATH = "Days from death to 1st scan"
RESECTIONS: dict[str, Resection] = {"gtr": "gross_total", "str": "partial", "bx": "biopsy"}
LONGEST_DAYS = 40 * 365
"""Longer than anybody lives with a glioma; what lies beyond is a slip in a date."""


def open_set(source: Path) -> PublicSet:
    """The set in `source`, which holds the numbered folders; the workbook lies in it or beside.

    Raises: DataError: if there is no patient's folder, or no workbook: without it no day is known.
    """
    folders = sorted(path for path in source.glob("[0-9]*") if path.is_dir() and path.name.isdigit())
    if not folders:
        raise DataError(f"{source} holds no folder of a UCSF-ALPTDG patient", "Name the folder that holds 100001.")
    table = find_table(source, "UCSF_PostopGlioma_Table*.xlsx")
    if table is None:
        raise DataError(f"{source} has no UCSF_PostopGlioma_Table S1*.xlsx", "Put it beside the images.")
    clinical = {row.value("SubjectID", str): row for row in workbook(table, "Clinical Info")}
    people = {row.value("SubjectID", str): row for row in workbook(table, "UCSF-LPTDG")}
    findings: list[Finding] = []
    names = _names(table, findings)
    patients = {
        f"UCSF{one.name}": partial(_draft, one, clinical.get(one.name), people.get(one.name), names.get(one.name, ()))
        for one in folders
    }
    return PublicSet(NAME, patients, tuple(findings))


def _names(table: Path, findings: list[Finding]) -> Mapping[str, tuple[str, ...]]:
    """Names in UCSF-PDGM, from the set's own sheet; a name that two patients bear is taken for both and told."""
    try:
        rows = workbook(table, "UCSF-PDGM Mapping")
    except DataError as error:
        findings.append(Finding("warning", None, error.message, "Who is in UCSF-PDGM too is not known."))
        return {}
    names: dict[str, set[str]] = {}
    for row in rows:
        found = {name for cell in row.cells.values() for name in public_names(cell)}
        for cell in row.cells.values():
            if cell.isdigit() and len(cell) == 6:
                names.setdefault(cell, set()).update(found)
    return {one: tuple(sorted(several)) for one, several in names.items()}


def _draft(folder: Path, row: Row | None, person: Row | None, names: tuple[str, ...]) -> Draft:
    """One patient, in days from the first exam."""
    found = Gathering(f"UCSF{folder.name}")
    if row is None:
        found.say("warning", "no line in the sheet Clinical Info", "Only the first exam has a day.")
    second = row.known(BETWEEN, number) if row else None
    exams = []
    for time, day in (("time1", 0.0), ("time2", second)):
        paths = {name: folder / f"{folder.name}_{time}_{one}.nii.gz" for name, one in SEQUENCES.items()}
        if day is None or day < 0:
            found.say("warning", f"exam {time} is left out: its day is unknown", "Correct the set's table.")
            continue
        images = found.images(time, paths, time)
        labels = LabelFile(folder / f"{folder.name}_{time}_seg.nii.gz", (FLAME_ORDER,))
        outlines = found.labels(time, labels, time, "human")
        if images:
            prepared = frozenset({"skull_stripped", "aligned"})
            exams.append(IntakeExam(day=round(day), images=images, outlines=outlines, already_prepared=prepared))
        else:
            found.say("warning", f"exam {time} is left out: no image", "Download it again.")
    found.say("note", "no course: the set states no dose", "Give it with --courses if known.")
    extent = (row.known("EOR at 1st SX", str) or "").casefold() if row else ""
    return found.draft(
        source=NAME,
        also_known_as=(public_name(NAME, folder.name), *names),
        age=person.known("Patient Age", number) if person else None,
        sex=person.known("Patient Sex", sex) if person else None,
        idh_mutant=row.known("IDH", status) if row else None,
        mgmt_methylated=row.known("MGMT", status) if row else None,
        resection=RESECTIONS.get(extent),
        diagnosis_day=_day(found, row, SINCE_SURGERY, -1),
        death_day=_day(found, row, FROM_DEATH, -1),
        exams=tuple(exams),
    )


def _day(found: Gathering, row: Row | None, column: str, sign: int) -> int | None:
    """A day from the first exam, or None where the table's value cannot be what its column says.

    Both columns are taken as exam minus event: positive for surgery, which came before, negative for death.
    """
    value = row.known(column, number) if row else None
    if value is None:
        return None
    before = column == SINCE_SURGERY
    if (value < 0) == before or abs(value) > LONGEST_DAYS:
        found.say("warning", f"{column} is {value:g}, which cannot be; it is taken as unknown", "Nothing to do.")
        return None
    return sign * round(value)
