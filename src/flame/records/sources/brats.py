"""BraTS glioma sets on Synapse: 2023 (before surgery, visits 000 on) and 2024 (after treatment, visits 100 on).

Layout: `BraTS-GLI-00005-100/BraTS-GLI-00005-100-{t1n,t1c,t2w,t2f,seg}.nii.gz`; the last three digits are the visit:
a patient is the name without them. No days, no treatment. Workbooks beside the images tell other names of patients.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from flame.errors import DataError
from flame.records.finding import Finding
from flame.records.intake import IntakeExam
from flame.records.patient import LABELS, Sequence
from flame.records.sources.days import ORDER_ONLY
from flame.records.sources.draft import FLAME_ORDER, Draft, Gathering, LabelFile, PublicSet
from flame.records.sources.label_check import LabelOrder
from flame.records.sources.overlap import public_name, public_names
from flame.records.sources.spreadsheet import find_table, sex, workbook
from flame.records.tables import Row, number

__all__ = ["open_set"]

NAME = "brats"
FOLDER = re.compile(r"BraTS-GLI-(\d{5})-(\d{3})")
SEQUENCES: dict[Sequence, str] = {"T1w": "t1n", "T1ce": "t1c", "T2w": "t2w", "FLAIR": "t2f"}
ORDER_2023: LabelOrder = {1: LABELS["NETC"], 2: LABELS["SNFH"], 3: LABELS["ET"]}
FIRST_OF_2024 = 100
TABLES = ("BraTS-PTG supplementary demographic information and metadata*.xlsx", "BraTS2023*Mapping*.xlsx")
SUBJECT = "BraTS Subject ID"


def open_set(source: Path) -> PublicSet:
    """The set in `source`, which holds the folders of visits, in it or one below.

    Raises: DataError: if there is no such folder, or a workbook is malformed.
    """
    visits: dict[str, dict[int, Path]] = {}
    for path in sorted([*source.glob("BraTS-GLI-*"), *source.glob("*/BraTS-GLI-*")]):
        name = FOLDER.fullmatch(path.name)
        if name is not None and path.is_dir():
            visits.setdefault(name.group(1), {})[int(name.group(2))] = path
    if not visits:
        raise DataError(f"{source} holds no folder of a BraTS glioma", "Name the folder that holds BraTS-GLI-…")
    findings = [
        Finding("warning", None, "the set states no day: only the order of exams is known", "Use no analysis of days.")
    ]
    rows: dict[str, list[Row]] = {}
    for pattern in TABLES:
        table = find_table(source, pattern)
        for row in workbook(table) if table else []:
            for one in {one for cell in row.cells.values() for one in public_names(cell) if one.startswith("brats")}:
                rows.setdefault(one.partition("/")[2], []).append(row)
    if not rows:
        what = "no workbook tells who is in other sets too: BraTS took patients from MU, UCSF, UCSD, UPENN and TCGA"
        findings.append(Finding("warning", None, what, "Put the set's metadata workbook beside the images."))
    patients = {f"BRATS{one}": partial(_draft, one, its, rows.get(one, [])) for one, its in visits.items()}
    return PublicSet(NAME, patients, tuple(findings))


def _draft(one: str, visits: Mapping[int, Path], rows: list[Row]) -> Draft:
    """One patient; days are the numbers of the visits, in their order alone."""
    found = Gathering(f"BRATS{one}")
    exams = []
    for visit, folder in sorted(visits.items()):
        name = f"{visit:03d}"
        paths = {sequence: folder / f"{folder.name}-{file}.nii.gz" for sequence, file in SEQUENCES.items()}
        images = found.images(name, paths, name)
        if not images:
            found.say("warning", f"exam {name} is left out: no image", "Download it again.")
            continue
        order = FLAME_ORDER if visit >= FIRST_OF_2024 else ORDER_2023
        labels = LabelFile(folder / f"{folder.name}-seg.nii.gz", (order,))
        exams.append(
            IntakeExam(
                day=visit,
                day_tolerance=ORDER_ONLY if len(visits) > 1 else 0.0,
                images=images,
                outlines=found.labels(name, labels, name, "human"),
                already_prepared=frozenset({"skull_stripped", "aligned"}),
            )
        )
    names = {name for row in rows for name in _names(row)} - {public_name("brats-gli", one)}
    person = next((row for row in rows if SUBJECT in row.cells), None)
    return found.draft(
        source=NAME,
        also_known_as=(public_name("brats-gli", one), *sorted(names)),
        age=person.known("Patient's Age", number) if person else None,
        sex=person.known("Patient's Sex", sex) if person else None,
        exams=tuple(exams),
    )


def _names(row: Row) -> set[str]:
    """Names of a patient in other sets: any that a cell holds, and the site's own number of the patient."""
    names = {name for cell in row.cells.values() for name in public_names(cell)}
    site, subject = row.cells.get("Site", ""), row.cells.get("Site Subject ID", "")
    if site == "UCSF" and re.fullmatch(r"1\d{6}", subject):  # six digits of the patient, one of the exam
        names.add(public_name("ucsf-alptdg", subject[:6]))
    return names
