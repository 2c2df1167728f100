"""LUMIERE (Bern): every exam from surgery to progression with an expert's RANO rating; no course, no dose.

Layout: `Imaging/Patient-001/week-000-1/`. Taken are the images that DeepBraTumIA brought to its atlas by a rigid map,
with its label map; where they are missing, the native images with HD-GLIO's. Times are weeks; of two exams in one week
the suffix tells the order.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from flame.errors import DataError
from flame.files import read_json
from flame.records.finding import Finding
from flame.records.intake import IntakeExam
from flame.records.patient import LABELS, Sequence
from flame.records.sources.days import span
from flame.records.sources.draft import Draft, Gathering, LabelFile, PublicSet, Rating
from flame.records.sources.label_check import LabelOrder
from flame.records.sources.overlap import public_name
from flame.records.sources.spreadsheet import find_table, sex, spreadsheet, status
from flame.records.tables import Row, number

__all__ = ["open_set"]

NAME = "lumiere"
EXCLUDED: Mapping[str, str] = MappingProxyType({"Patient-025": "its dates do not belong to its exams"})
SEQUENCES: Mapping[Sequence, str] = MappingProxyType({"T1w": "T1", "T1ce": "CT1", "T2w": "T2", "FLAIR": "FLAIR"})
NETC, SNFH, ET = LABELS["NETC"], LABELS["SNFH"], LABELS["ET"]

DEEPBRATUMIA: tuple[LabelOrder, ...] = ({1: ET, 2: NETC, 3: SNFH}, {1: NETC, 2: ET, 3: SNFH})
"""1 is the enhancing tumour by the volumes that the set states, although some descriptions say the contrary."""

HD_GLIO: tuple[LabelOrder, ...] = ({1: SNFH, 2: ET},)
VOLUMES: Mapping[str, int] = MappingProxyType(
    {"Enhancing_Core": ET, "Necrotic_NonEnhancing": NETC, "Edema_Compartment": SNFH}
)
WEEK = re.compile(r"week-(\d+)(?:-(\d+))?")


def open_set(source: Path) -> PublicSet:
    """The set in `source`, which is the folder `Imaging` or holds it; its CSV files lie beside.

    Raises: DataError: if there is no patient's folder, or a table is malformed.
    """
    root = source / "Imaging" if (source / "Imaging").is_dir() else source
    folders = sorted(path for path in root.glob("Patient-*") if path.is_dir())
    if not folders:
        raise DataError(f"{source} holds no folder of a LUMIERE patient", "Name the folder that holds Imaging.")
    findings = [
        Finding("warning", None, f"{one.name} is left out: {EXCLUDED[one.name]}", "Nothing to do.")
        for one in folders
        if one.name in EXCLUDED
    ]
    ratings, people = _table(root, "LUMIERE-ExpertRating*.csv", findings), _table(root, "LUMIERE-Demo*.csv", findings)
    patients = {
        one.name.replace("Patient-", "LUM"): partial(_draft, one, ratings.get(one.name, []), people.get(one.name, []))
        for one in folders
        if one.name not in EXCLUDED
    }
    return PublicSet(NAME, patients, tuple(findings))


def _table(root: Path, pattern: str, findings: list[Finding]) -> dict[str, list[Row]]:
    path = find_table(root, pattern)
    rows: dict[str, list[Row]] = {}
    if path is None:
        findings.append(Finding("warning", None, f"there is no table {pattern}", "Put it beside the folder Imaging."))
        return rows
    for row in spreadsheet(path):
        rows.setdefault(row.value("Patient", str), []).append(row)
    return rows


def _draft(folder: Path, rated: list[Row], people: list[Row]) -> Draft:
    """One patient, in days from week 0 until the last step."""
    found = Gathering(folder.name.replace("Patient-", "LUM"))
    calls = _calls(found, rated)
    exams, ratings = [], []
    for place in sorted(folder.glob("week-*")):
        week = WEEK.fullmatch(place.name)
        if week is None:
            found.say("warning", f"exam {place.name} is left out: its name tells no week", "Rename it.")
            continue
        rating = calls.pop(place.name, None)
        day, tolerance = span(week.group(1))
        exam = _exam(found, place, round(day) + max(int(week.group(2) or 1) - 1, 0), tolerance, rating)
        if exam.images:
            exams.append(exam)
            ratings += [Rating(exam.day, place.name, rating)] if rating else []
        else:
            found.say("warning", f"exam {place.name} is left out: no image", "Download it again.")
    for name in calls:
        found.say("warning", f"exam {name} is rated but has no folder", "Download it if wanted.")
    person = people[-1] if people else None
    survival = person.known("Survival time (weeks)", span) if person else None
    return found.draft(
        ratings,
        source=NAME,
        also_known_as=(public_name(NAME, folder.name.removeprefix("Patient-")),),
        age=person.known("Age at surgery (years)", number) if person else None,
        sex=person.known("Sex", sex) if person else None,
        idh_mutant=person.known("IDH (WT: wild type)", status) if person else None,
        mgmt_methylated=person.known("MGMT qualitative", status) if person else None,
        death_day=None if survival is None else round(survival[0]),
        exams=tuple(exams),
    )


def _calls(found: Gathering, rated: list[Row]) -> dict[str, str | None]:
    """Ratings by the name of the exam; of two lines for one exam the last counts."""
    calls: dict[str, str | None] = {}
    for row in rated:
        name = row.value("Date", str)
        column = next((one for one in row.cells if one.startswith("Rating (")), "Rating")
        if name in calls:
            found.say("warning", f"exam {name} is rated twice; the last line counts", "Nothing to do.")
        calls[name] = row.known(column, str)
    return calls


def _exam(found: Gathering, place: Path, day: int, tolerance: float, rating: str | None) -> IntakeExam:
    """One exam. Only a rating tells whether it is from before or after surgery; the earliest may well be after."""
    words = (rating or "").split("/")
    surgery = True if "Post-Op" in words else False if "Pre-Op" in words else None
    deep = place / "DeepBraTumIA-segmentation" / "atlas"
    atlas = {name: deep / "skull_strip" / f"{one.lower()}_skull_strip.nii.gz" for name, one in SEQUENCES.items()}
    if atlas["T1ce"].is_file() and (deep / "segmentation" / "seg_mask.nii.gz").is_file():
        frame = place.name
        labels = LabelFile(deep / "segmentation" / "seg_mask.nii.gz", DEEPBRATUMIA, _volumes(found, deep, place.name))
        outlines = found.labels(place.name, labels, frame, "machine")
        outlines += found.outline(place.name, "brain", deep / "skull_strip" / "brain_mask.nii.gz", frame)
        images = found.images(place.name, atlas, frame)
        aligned = {"skull_stripped", "aligned"}
    else:
        images = {}
        for name, one in SEQUENCES.items():  # each in its own frame: native images were not aligned
            images |= found.images(place.name, {name: place / f"{one}.nii.gz"}, f"{place.name}-{name}")
        native = place / "HD-GLIO-AUTO-segmentation" / "native" / "segmentation_CT1_origspace.nii.gz"
        outlines = found.labels(place.name, LabelFile(native, HD_GLIO), f"{place.name}-T1ce", "machine")
        aligned = {"skull_stripped"}
    return IntakeExam(
        day=day,
        day_tolerance=tolerance,
        images=images,
        outlines=outlines,
        surgery=surgery,
        already_prepared=frozenset(aligned),
    )


def _volumes(found: Gathering, deep: Path, exam: str) -> dict[int, float] | None:
    """Volumes that the set states [mm3] by FLAME's label, or None where it states none that can be read."""
    path = deep / "segmentation" / "measured_volumes_in_mm3.json"
    if path.is_file():
        content = read_json(path)
        if isinstance(content, dict) and all(isinstance(content.get(name), int | float) for name in VOLUMES):
            return {label: float(content[name]) for name, label in VOLUMES.items()}
    found.say("warning", f"exam {exam}: no volumes are stated", "The order of labels rests on the images alone.")
    return None
