"""CFB-GBM (Centre François Baclesse): an exam before radiotherapy, and one about 4 and about 6 months later.

Layout: `CFB-GBM/<patient>/<t0|t1|t2>/<patient>_<tX>_<modality>.nii.gz`; the folder's number may be padded with zeros
and the file's not. Tables: `CFB-GBM_<name>_v*_*.tsv`. Everything lies in the frame of the patient's T1-Gd of t0.
Times are in weeks from t0.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from flame.errors import DataError
from flame.records.finding import Finding
from flame.records.intake import IntakeCourse, IntakeExam, IntakeImage
from flame.records.patient import Sequence
from flame.records.sources.days import Span, last_fraction, span
from flame.records.sources.draft import Draft, Gathering, PublicSet, Rating
from flame.records.sources.overlap import public_name
from flame.records.sources.spreadsheet import find_table, integer, sex, spreadsheet
from flame.records.tables import Row, number

__all__ = ["open_set"]

NAME = "cfb-gbm"
EXAMS = ("t0", "t1", "t2")
FRAME = "t0"

SEQUENCES: Mapping[Sequence, tuple[str, ...]] = MappingProxyType(
    {"T1w": ("t1", "t1ge", "t1_ge", "t1-ge"), "T1ce": ("t1gd",), "T2w": ("t2",), "FLAIR": ("flair",)}
)
"""Names of modalities; of several the first that is there. T1-GE is the gradient echo, far more frequent than T1."""

CALLS: Mapping[str, str] = MappingProxyType(
    {"progressive disease": "PD", "stable disease": "SD", "partial response": "PR", "complete response": "CR"}
)
AUTHORS: Mapping[str, Literal["human", "machine"]] = MappingProxyType(
    {"humanSegmentation": "human", "genSegmentation": "machine"}
)
TABLES = ("clinical_data", "treatment_data", "mri_availability", "treatment_imaging_availability", "rano_criteria")
NEEDED = ("treatment_data", "mri_availability")
WEEKS = "time_diff_t0 (weeks)"
DELAY = "delay_t0_to_radiotherapy (weeks)"

Tables = Mapping[str, Mapping[int, list[Row]]]
LOOK = "Correct the set's table, or leave it so."


def open_set(source: Path) -> PublicSet:
    """The set in `source`, which is the folder `CFB-GBM` or holds it.

    Raises: DataError: if there is no such folder, or the tables of treatments or exams are missing or malformed.
    """
    root = source / "CFB-GBM" if (source / "CFB-GBM").is_dir() else source
    folders = {int(path.name): path for path in sorted(root.glob("*")) if path.is_dir() and path.name.isdigit()}
    if not folders:
        raise DataError(f"{source} holds no folder of a CFB-GBM patient", "Name the folder that holds CFB-GBM.")
    findings = [Finding("note", None, "ADC, T2* and features are not brought in", "Nothing to do.")]
    tables = {name: _by_patient(root, name, findings) for name in TABLES}
    absent = set(tables["clinical_data"]) - set(folders)
    if absent:
        what = f"{len(absent)} patients of the clinical table have no folder"
        findings.append(Finding("warning", None, what, "Download them if wanted."))
    patients = {f"CFB{one:03d}": partial(_draft, one, folder, tables) for one, folder in sorted(folders.items())}
    return PublicSet(NAME, patients, tuple(findings))


def _by_patient(root: Path, name: str, findings: list[Finding]) -> dict[int, list[Row]]:
    """Lines of a table by patient."""
    path = find_table(root, f"CFB-GBM_{name}_*.tsv")
    if path is None and name in NEEDED:
        raise DataError(
            f"{root} has no table CFB-GBM_{name}_v*_*.tsv",
            "Put the set's tables beside its images: they hold the days.",
        )
    if path is None:
        what = f"there is no table CFB-GBM_{name}_v*_*.tsv"
        findings.append(Finding("warning", None, what, "Put it beside the images."))
        return {}
    rows: dict[int, list[Row]] = {}
    for row in spreadsheet(path):
        rows.setdefault(row.value("id_patient", integer), []).append(row)
    return rows


def _draft(one: int, folder: Path, tables: Tables) -> Draft:
    """One patient, in days from t0 until the last step."""
    found = Gathering(f"CFB{one:03d}")
    clinical = _only(found, tables, "clinical_data", one)
    treatment = _only(found, tables, "treatment_data", one)
    delay = treatment.known(DELAY, span) if treatment else None
    course = _course(found, folder, treatment, delay)
    uncertain = delay[1] if course and delay else 0.0
    exams, days = [], dict[str, int]()
    for name in EXAMS:
        exam = _exam(found, folder, name, tables, one, uncertain)
        if exam is not None:
            exams.append(exam)
            days[name] = exam.day
    survival = clinical.known("survival (weeks)", span) if clinical else None
    death = None if survival is None else _death(survival, exams)
    age = clinical.known("age_at_t0 (years)", number) if clinical else None
    return found.draft(
        _ratings(tables, one, days),
        source=NAME,
        also_known_as=(public_name(NAME, str(one)),),
        age=age,
        sex=clinical.known("gender", sex) if clinical else None,
        performance_status=clinical.known("who_performance_status", integer) if clinical else None,
        death_day=death,
        exams=tuple(exams),
        courses=() if course is None else (course,),
    )


def _only(found: Gathering, tables: Tables, name: str, one: int) -> Row | None:
    rows = tables[name].get(one, [])
    if len(rows) > 1:
        found.say("warning", f"{len(rows)} lines in {name}; the last counts", LOOK)
    if not rows:
        found.say("warning", f"no line in {name}", LOOK)
    return rows[-1] if rows else None


def _course(found: Gathering, folder: Path, treatment: Row | None, delay: Span | None) -> IntakeCourse | None:
    """The course, if its start, dose and fractions are known; all courses of the set are photons."""
    dose_gy = treatment.known("dose (Gy)", number) if treatment else None
    fractions = treatment.known("fractions_number", integer) if treatment else None
    if delay is None or not dose_gy or not fractions:
        names = ((DELAY, delay), ("dose (Gy)", dose_gy), ("fractions_number", fractions))
        unknown = ", ".join(name for name, value in names if not value)
        found.say("warning", f"no course: {unknown} unknown; days count from t0", "Give it with --courses if known.")
        return None
    dose, ct = (found.image(f"course-1/{name}", _file(folder, "t0", (name,)), FRAME) for name in ("rtdose", "ct"))
    if dose is None:
        found.say("warning", "no dose grid", "Models take the prescription alone.")
    start = round(delay[0])
    return IntakeCourse(
        arm="photon",
        prescription_gy=dose_gy,
        fractions=fractions,
        start_day=start,
        end_day=last_fraction(fractions, start),
        dose=dose,
        ct=ct,
    )


def _exam(found: Gathering, folder: Path, name: str, tables: Tables, one: int, uncertain: float) -> IntakeExam | None:
    """One exam in days from t0, or None if it is not there or its day is not known."""
    images = found.images(name, {key: _file(folder, name, names) for key, names in SEQUENCES.items()}, FRAME)
    lines = [row for row in tables["mri_availability"].get(one, []) if row.cells.get("temporality") == name]
    _missing(found, folder, name, lines)
    if not images:
        return None
    after: Span | None = (0.0, 0.0) if name == "t0" else (lines[-1].known(WEEKS, span) if lines else None)
    if after is None:
        found.say("warning", f"exam {name} is left out: {WEEKS} is unknown", "Add it to mri_availability.")
        return None
    if "T1ce" not in images:
        found.say("warning", f"exam {name}: no T1-Gd", "The tumour is outlined on it.")
    author = _author(tables, one, name)
    outlines = found.outline(name, "GTV", _file(folder, name, ("gtv",)), FRAME, author)
    if not outlines:
        found.say("warning", f"exam {name}: no GTV", "Outline the tumour.")
    outlines += found.outline(name, "brain", _file(folder, name, ("brain_mask",)), FRAME)
    return IntakeExam(
        day=round(after[0]),
        day_tolerance=after[1] + uncertain,
        images=_with_notes(images, folder, name),
        outlines=outlines,
        already_prepared=frozenset({"skull_stripped", "aligned"}),
    )


def _with_notes(images: dict[Sequence, IntakeImage], folder: Path, name: str) -> dict[Sequence, IntakeImage]:
    if "T1w" in images and not _file(folder, name, ("t1",)).is_file():
        images["T1w"] = images["T1w"].model_copy(update={"notes": ("the set's T1-GE, a gradient echo",)})
    return images


def _missing(found: Gathering, folder: Path, name: str, lines: list[Row]) -> None:
    """What the set's table says is there and is not."""
    for modality in (one for names in SEQUENCES.values() for one in names):
        stated = lines[-1].cells.get(modality) if lines else None
        if stated == "1" and not _file(folder, name, (modality,)).is_file():
            found.say("warning", f"exam {name}: {modality} is in the set's table but not on disk", "Download it again.")


def _author(tables: Tables, one: int, name: str) -> Literal["human", "machine"] | None:
    for row in tables["treatment_imaging_availability"].get(one, []):
        if row.cells.get("temporality") == name:
            return AUTHORS.get(row.cells.get("gtv_type", ""))
    return None


def _death(survival: Span, exams: list[IntakeExam]) -> int:
    """Day of death from t0; moved behind the last exam where only the rounding to weeks puts it before."""
    day = round(survival[0])
    last = max((exam.day for exam in exams), default=day)
    return last if day < last <= day + survival[1] + 3.5 else day


def _file(folder: Path, exam: str, modalities: tuple[str, ...]) -> Path:
    """The first of some modalities that is there, whether the file's number is padded or not; else the likeliest."""
    numbers = dict.fromkeys((str(int(folder.name)), folder.name, f"{int(folder.name):03d}"))
    likely = [folder / exam / f"{number}_{exam}_{one}.nii.gz" for one in modalities for number in numbers]
    return next((path for path in likely if path.is_file()), likely[0])


def _ratings(tables: Tables, one: int, days: Mapping[str, int]) -> list[Rating]:
    """The set's RANO table, of exams that are brought in."""
    ratings = []
    for row in tables["rano_criteria"].get(one, [])[-1:]:
        sizes = {name: row.known(f"size_{name} (cm3)", number) for name in EXAMS}
        for reference, exam in (("t0", "t1"), ("t0", "t2"), ("t1", "t2")):
            call = row.known(f"rano_{reference}_to_{exam}", str)
            if call is None or not {reference, exam} <= days.keys():
                continue
            ratings.append(
                Rating(
                    day=days[exam],
                    exam=exam,
                    rano=CALLS.get(call.casefold(), call),
                    reference_day=days[reference],
                    reference=reference,
                    volume_ml=sizes[exam],
                    reference_ml=sizes[reference],
                    reduction=row.known(f"reduction_rate_{reference}_to_{exam}", number),
                )
            )
    return ratings
