"""MU-Glioma-Post (University of Missouri): exams after treatment, with days, dose and fractions.

Layout: `PatientID_0001/Timepoint_1/PatientID_0001_Timepoint_1_{brain_t1n,brain_t1c,brain_t2w,brain_t2f,tumorMask}`.
Table: `MU-Glioma-Post_ClinicalData-*.xlsx`, in days from diagnosis, with blanks around some headers.
"""

import re
from functools import partial
from pathlib import Path

from flame.errors import DataError
from flame.records.intake import IntakeCourse, IntakeExam
from flame.records.patient import Arm, Sequence
from flame.records.sources.days import last_fraction
from flame.records.sources.draft import FLAME_ORDER, Draft, Gathering, LabelFile, PublicSet
from flame.records.sources.overlap import public_name
from flame.records.sources.spreadsheet import find_table, sex, status, truth, workbook
from flame.records.tables import Row, number

__all__ = ["open_set"]

NAME = "mu-glioma-post"
SEQUENCES: dict[Sequence, str] = {"T1w": "t1n", "T1ce": "t1c", "T2w": "t2w", "FLAIR": "t2f"}
START = "Number of days from Diagnosis to Radiation Therapy Start date"
END = "Number of days from Diagnosis to Radiation Therapy end date"
OTHER = "Other Types of Therapy (LITT, more chemo, proton therapy)"
OTHER_START = "Number of Days from Diagnosis to Start Other Additional Therapy"
DEATH = "Number of days from Diagnosis to death (Days)"
TIMEPOINT = re.compile(r"Number of Days from Diagnosis to .*\(Timepoint_(\d+)\)")
DOSE = re.compile(r"(\d+(?:\.\d+)?)\s*(c?gy)?", re.IGNORECASE)


def open_set(source: Path) -> PublicSet:
    """The set in `source`, which is the folder `MU-Glioma-Post` or holds it; the workbook lies in it or beside.

    Raises: DataError: if there is no patient's folder, or no workbook: without it no day is known.
    """
    root = source / "MU-Glioma-Post" if (source / "MU-Glioma-Post").is_dir() else source
    folders = sorted(path for path in root.glob("PatientID_*") if path.is_dir())
    if not folders:
        raise DataError(f"{source} holds no folder of an MU-Glioma-Post patient", "Name the folder MU-Glioma-Post.")
    table = find_table(root, "MU-Glioma-Post_ClinicalData*.xlsx")
    if table is None:
        raise DataError(f"{root} has no MU-Glioma-Post_ClinicalData-*.xlsx", "Put it beside the images.")
    rows = {row.value("Patient_ID", str): row for row in workbook(table)}
    patients = {one.name.replace("PatientID_", "MU"): partial(_draft, one, rows.get(one.name)) for one in folders}
    return PublicSet(NAME, patients)


def _draft(folder: Path, row: Row | None) -> Draft:
    """One patient, in days from diagnosis until the last step."""
    if row is None:
        raise DataError("the set's table has no line of this patient, so that no day is known", "Add the line.")
    found = Gathering(folder.name.replace("PatientID_", "MU"))
    days = {
        found_in.group(1): row.known(column, number) for column in row.cells if (found_in := TIMEPOINT.match(column))
    }
    exams = []
    for place in sorted(folder.glob("Timepoint_*"), key=lambda path: int(path.name.removeprefix("Timepoint_"))):
        day = days.get(place.name.removeprefix("Timepoint_"))
        if day is None:
            found.say("warning", f"exam {place.name} is left out: its day is unknown", "Add it to the set's table.")
            continue
        stem = f"{folder.name}_{place.name}"
        paths = {name: place / f"{stem}_brain_{one}.nii.gz" for name, one in SEQUENCES.items()}
        images = found.images(place.name, paths, place.name)
        outlines = found.labels(
            place.name, LabelFile(place / f"{stem}_tumorMask.nii.gz", (FLAME_ORDER,)), place.name, "human"
        )
        if images:
            exams.append(
                IntakeExam(
                    day=round(day),
                    images=images,
                    outlines=outlines,
                    already_prepared=frozenset({"skull_stripped", "aligned"}),
                )
            )
        else:
            found.say("warning", f"exam {place.name} is left out: no image", "Download it again.")
    death = row.known(DEATH, number) if row.known("Overall Survival (Death)", truth) else None
    course = _course(found, row)
    genes = [row.known(column, status) for column in ("IDH1 mutation", "IDH2 mutation")]
    return found.draft(
        source=NAME,
        also_known_as=(public_name(NAME, folder.name.removeprefix("PatientID_")),),
        age=row.known("Age at diagnosis", number),
        sex=row.known("Sex at Birth", sex),
        idh_mutant=True if True in genes else genes[0],
        mgmt_methylated=row.known("MGMT methylation", status),
        diagnosis_day=0,
        death_day=None if death is None else round(death),
        exams=tuple(exams),
        courses=() if course is None else (course,),
    )


def _course(found: Gathering, row: Row) -> IntakeCourse | None:
    """The course, if its start, dose and fractions are known."""
    start, dose_gy, fractions = (
        row.known(START, number),
        row.known("Dose", _gray),
        row.known("Number of Fractions", number),
    )
    if start is None or dose_gy is None or fractions is None or fractions < 1:
        if row.known("Radiation Therapy", truth) is not False:
            names = ((START, start), ("Dose", dose_gy), ("Number of Fractions", fractions))
            unknown = ", ".join(name for name, value in names if not value)
            found.say("warning", f"no course: {unknown} unknown", "Give it with --courses if known.")
        return None
    first, end = round(start), row.known(END, number)
    if end is None or end < start:
        found.say("warning", "the end of the course is unknown; five fractions a week are taken", "Correct the table.")
        end = last_fraction(round(fractions), first)
    return IntakeCourse(
        arm=_arm(found, row, first),
        prescription_gy=dose_gy,
        fractions=round(fractions),
        start_day=first,
        end_day=round(end),
    )


def _arm(found: Gathering, row: Row, start: int) -> Arm:
    """Protons only where the table says so of this very course; a later proton therapy has no dose, hence no course."""
    other = row.known(OTHER, str)
    if other is not None and "proton" in other.casefold():
        day = row.known(OTHER_START, number)
        if day is not None and round(day) == start:
            return "proton"
        when = "on an unknown day" if day is None else f"{round(day) - start} days after the first course"
        found.say("warning", f"a proton therapy {when} is not brought in: no dose is stated", "Add it with --courses.")
    return "photon"


def _gray(text: str) -> float:
    """A dose [Gy], whether it is written `60`, `60 Gy` or `6000 cGy`."""
    match = DOSE.fullmatch(text)
    if match is None:
        raise ValueError("is not a dose")
    value = float(match.group(1)) / (100 if (match.group(2) or "").casefold() == "cgy" else 1)
    if not value > 0:
        raise ValueError("is not a dose above 0")
    return value
