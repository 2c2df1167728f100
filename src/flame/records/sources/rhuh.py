"""RHUH-GBM (Valladolid): before surgery, within three days after it, and at recurrence.

Layout: `RHUH-0001/{0,1,2}/RHUH-0001_0_{t1,t1ce,t2,flair,segmentations}.nii.gz`, skull-stripped and z-scored, so that
background is not 0. Table: `clinical_data_TCIA_RHUH-GBM.csv`. The tumour is labelled 1, 2, 3 by the description and
1, 2, 4 by code that reads it: each file tells which.
"""

from functools import partial
from pathlib import Path

from flame.errors import DataError
from flame.records.finding import Finding
from flame.records.intake import IntakeExam
from flame.records.patient import LABELS, Resection, Sequence
from flame.records.sources.draft import Draft, Gathering, LabelFile, PublicSet
from flame.records.sources.label_check import LabelOrder
from flame.records.sources.overlap import public_name
from flame.records.sources.spreadsheet import find_table, sex, spreadsheet, status
from flame.records.tables import Row, number

__all__ = ["open_set"]

NAME = "rhuh"
SEQUENCES: dict[Sequence, str] = {"T1w": "t1", "T1ce": "t1ce", "T2w": "t2", "FLAIR": "flair"}
NETC, SNFH, ET = LABELS["NETC"], LABELS["SNFH"], LABELS["ET"]
ORDERS: tuple[LabelOrder, ...] = ({1: NETC, 2: SNFH, 3: ET}, {1: NETC, 2: SNFH, 4: ET})
TO_SURGERY = "Days from earliest imaging to surgery"
PFS = "Progression free survival [PFS] (days)"
OS = "Overall survival [OS] (days)"
IDH = "IDH status = (mutant [mut], wild type [wt], NOS)"

AFTER_SURGERY = (2, 1.0)
"""The second exam is from the first 72 hours: day 2, to within a day."""

RECURRENCE_TOLERANCE = 14.0
"""The third exam is taken to be from the day of progression; how far that may be off is not stated (unverified)."""

RESECTIONS: dict[str, Resection] = {"gtr": "gross_total", "ntr": "partial", "str": "partial", "pr": "partial"}


def open_set(source: Path) -> PublicSet:
    """The set in `source`, which holds `RHUH-0001` and so on; the table lies in it or beside.

    Raises: DataError: if there is no patient's folder, or no table: without it no day is known.
    """
    folders = sorted(path for path in source.glob("RHUH-*") if path.is_dir())
    if not folders:
        raise DataError(f"{source} holds no folder of an RHUH-GBM patient", "Name the folder that holds RHUH-0001.")
    table = find_table(source, "clinical_data_TCIA_RHUH-GBM*.csv")
    if table is None:
        raise DataError(f"{source} has no clinical_data_TCIA_RHUH-GBM.csv", "Put it beside the images.")
    rows = {row.value("Patient ID", str): row for row in spreadsheet(table)}
    patients = {one.name.replace("-", ""): partial(_draft, one, rows.get(one.name)) for one in folders}
    note = Finding(
        "note", None, "no courses: the set does not say when radiotherapy began", "Give them with --courses."
    )
    return PublicSet(NAME, patients, (note,))


def _draft(folder: Path, row: Row | None) -> Draft:
    """One patient, in days from the earliest exam until the last step."""
    if row is None:
        raise DataError("the set's table has no line of this patient, so that no day is known", "Add the line.")
    found = Gathering(folder.name.replace("-", ""))
    surgery, progression = row.known(TO_SURGERY, number), row.known(PFS, number)
    operated = round(surgery or 0)
    days: dict[str, tuple[int, float] | None] = {
        "0": (0, 0.0),
        "1": None if surgery is None else (operated + AFTER_SURGERY[0], AFTER_SURGERY[1]),
        "2": None if surgery is None or progression is None else (operated + round(progression), RECURRENCE_TOLERANCE),
    }
    exams = []
    for name, day in days.items():
        stem = folder / name / f"{folder.name}_{name}"
        paths = {sequence: stem.with_name(f"{stem.name}_{one}.nii.gz") for sequence, one in SEQUENCES.items()}
        if not any(path.is_file() for path in paths.values()):
            continue
        if day is None:
            found.say("warning", f"exam {name} is left out: its day is unknown", "Complete the set's table.")
            continue
        labels = LabelFile(stem.with_name(f"{stem.name}_segmentations.nii.gz"), ORDERS)
        exams.append(
            IntakeExam(
                day=day[0],
                day_tolerance=day[1],
                images=found.images(name, paths, folder.name),
                outlines=found.labels(name, labels, folder.name),
                surgery={"0": False, "1": True}.get(name),
                already_prepared=frozenset({"skull_stripped", "aligned", "zscored"}),
            )
        )
    survival, alive = row.known(OS, number), _alive(row)
    ended = None if survival is None else operated + round(survival)
    extent = next((cell for column, cell in row.cells.items() if column.startswith("EOR =")), "")
    return found.draft(
        source=NAME,
        also_known_as=(public_name(NAME, folder.name.removeprefix("RHUH-")),),
        age=row.known("Age", number),
        sex=row.known("Sex", sex),
        idh_mutant=row.known(IDH, status),
        resection=RESECTIONS.get(extent.casefold()),
        death_day=None if alive is not False else ended,
        last_contact_day=ended if alive else None,
        exams=tuple(exams),
    )


def _alive(row: Row) -> bool | None:
    """Whether the patient was alive when last heard of; None where the table does not say."""
    words = [cell.casefold() for column, cell in row.cells.items() if column.startswith("Right Censor")]
    return {"yes": True, "1": True, "no": False, "0": False}.get(words[0]) if words else None
