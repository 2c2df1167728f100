"""UPENN-GBM (Philadelphia): a baseline before surgery (`_11`) and of some a later exam (`_21`).

Files: `UPENN-GBM-00001_11_{T1,T1GD,T2,FLAIR}.nii.gz`, `_11_automated_approx_segm.nii.gz`, corrected by hand `_11_segm`;
labels 1, 2, 4. The folders around them do not matter. Table: `UPENN-GBM_clinical_info_v*.csv`.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from flame.errors import DataError
from flame.records.finding import Finding
from flame.records.intake import IntakeExam, Outline
from flame.records.patient import LABELS, Sequence
from flame.records.sources.days import DAYS_PER_YEAR, ORDER_ONLY, Span, span
from flame.records.sources.draft import Draft, Gathering, LabelFile, PublicSet
from flame.records.sources.label_check import LabelOrder
from flame.records.sources.overlap import public_name
from flame.records.sources.spreadsheet import find_table, sex, spreadsheet, status
from flame.records.tables import Row, number

__all__ = ["open_set"]

NAME = "upenn"
FILE = re.compile(r"UPENN-GBM-(\d{5})_(11|21)_(T1|T1GD|T2|FLAIR|automated_approx_segm|segm)\.nii\.gz")
SEQUENCES: dict[Sequence, str] = {"T1w": "T1", "T1ce": "T1GD", "T2w": "T2", "FLAIR": "FLAIR"}
ORDER: LabelOrder = {1: LABELS["NETC"], 2: LABELS["SNFH"], 4: LABELS["ET"]}
SURVIVAL = "Survival_from_surgery_days_UPDATED"

Files = Mapping[tuple[str, str], Path]


def open_set(source: Path) -> PublicSet:
    """The set below `source`, in whatever folders.

    Raises: DataError: if there is no image, or the table is malformed.
    """
    files: dict[str, dict[tuple[str, str], Path]] = {}
    for path in sorted(source.rglob("UPENN-GBM-*.nii.gz")):
        name = FILE.fullmatch(path.name)
        if name is not None:
            files.setdefault(name.group(1), {})[name.group(2), name.group(3)] = path
    if not files:
        raise DataError(f"{source} holds no image of UPENN-GBM", "Name the folder that holds images_structural.")
    findings = [
        Finding(
            "note",
            None,
            "no courses: the set states neither dose nor days of radiotherapy",
            "Give them with --courses.",
        )
    ]
    table = find_table(source, "UPENN-GBM_clinical_info*.csv")
    if table is None:
        findings.append(
            Finding("warning", None, "there is no UPENN-GBM_clinical_info_v*.csv", "Put it beside the images.")
        )
    rows = {row.value("ID", str): row for row in spreadsheet(table)} if table else {}
    patients = {f"UPENN{one}": partial(_draft, one, its, rows) for one, its in files.items()}
    return PublicSet(NAME, patients, tuple(findings))


def _draft(one: str, files: Files, rows: Mapping[str, Row]) -> Draft:
    """One patient, in days from the baseline."""
    found = Gathering(f"UPENN{one}")
    lines = {visit: rows.get(f"UPENN-GBM-{one}_{visit}") for visit in ("11", "21")}
    exams = []
    for visit, (day, tolerance) in (("11", (0.0, 0.0)), ("21", _later(found, lines, files))):
        paths = {name: files[visit, file] for name, file in SEQUENCES.items() if (visit, file) in files}
        images = found.images(visit, paths, visit)
        if not images:
            continue
        by_hand = (visit, "segm") in files
        path = files.get((visit, "segm" if by_hand else "automated_approx_segm"))
        outlines: tuple[Outline, ...] = ()
        if path is not None:
            outlines = found.labels(visit, LabelFile(path, (ORDER,)), visit, "human" if by_hand else "machine")
        else:
            found.say("warning", f"exam {visit}: there is no label map", "Outline the tumour.")
        exams.append(
            IntakeExam(
                day=round(day),
                day_tolerance=tolerance,
                images=images,
                outlines=outlines,
                already_prepared=frozenset({"skull_stripped", "aligned"}),
            )
        )
    line = lines["11"] or lines["21"]
    survival = line.known(SURVIVAL, number) if line else None
    fate = (line.known("Survival_Status", str) or "").casefold() if line else ""
    ended = None if survival is None else round(survival)
    return found.draft(
        source=NAME,
        also_known_as=(public_name(NAME, one),),
        age=line.known("Age_at_scan_years", number) if line else None,
        sex=line.known("Gender", sex) if line else None,
        idh_mutant=line.known("IDH1", status) if line else None,
        mgmt_methylated=line.known("MGMT", status) if line else None,
        death_day=ended if fate.startswith("deceased") else None,
        last_contact_day=ended if fate.startswith("alive") else None,
        exams=tuple(exams),
    )


def _later(found: Gathering, lines: Mapping[str, Row | None], files: Files) -> Span:
    """Day of the later exam from the ages at both, as no date is published; else only the order is known."""

    def age(text: str) -> Span:
        return span(text, DAYS_PER_YEAR)

    ages = [row.known("Age_at_scan_years", age) if row else None for row in (lines["11"], lines["21"])]
    first, second = ages
    if first is not None and second is not None and second[0] > first[0]:
        return second[0] - first[0], first[1] + second[1]
    if any(visit == "21" for visit, _ in files):
        found.say(
            "warning", "the day of exam 21 is unknown: ages do not tell it", "Use it for nothing that needs days."
        )
    return 1.0, ORDER_ONLY
