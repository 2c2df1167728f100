"""From an intake folder to a site's BIDS folder: one grid a patient, faces gone, every step with its traffic light.

Each image is read from its file once and resampled once, through the whole map from where it was acquired to the
patient's grid. A patient counts when their record is written, last; so the work can be killed and started again.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pydantic import Field

import flame
from flame import workers
from flame.errors import DataError
from flame.files import read_json, write_json
from flame.imaging.brain import BrainMethod, has_deepbet
from flame.imaging.dosing import place_dose
from flame.imaging.grids import tight_grid
from flame.imaging.nyul import Scale
from flame.imaging.placing import place
from flame.imaging.prepared import Draw, prepared_exam, prepared_path
from flame.imaging.quality import Light, worst
from flame.records.dataset import Site, read_site, write_site
from flame.records.finding import Finding
from flame.records.intake import IntakePatient, intake_patients, patient_file, read_intake
from flame.records.layout import DERIVATIVES, brain_mask_path, dose_path, label_map_path, sequence_path
from flame.records.patient import Course, Exam, Outcome, Patient
from flame.records.volume import Volume, write_volume
from flame.settings import Settings

__all__ = ["PatientResult", "Preparation", "prepare_intake", "prepare_one"]

DOSE_STEP_GY = 0.01
LETD_STEP = 0.01


class Preparation(Settings):
    """How to prepare: voxel size [mm], width of the rim around the brain [mm], who finds the brain, a scale to use."""

    spacing_mm: float = Field(default=1.0, ge=0.5, le=4.0)
    margin_mm: float = Field(default=6.0, ge=0.0, le=50.0)
    brain: BrainMethod = "auto"
    scale: Scale | None = None


@dataclass(frozen=True)
class PatientResult:
    """What became of a patient: the content of their record (None if they could not be prepared) and what was found."""

    patient: str
    record: dict[str, Any] | None
    findings: tuple[Finding, ...]
    again: bool = False

    @property
    def lights(self) -> dict[int, Light]:
        """The worst light of each prepared exam, by day."""
        exams = [] if self.record is None else self.record["exams"]
        return {one["day"]: worst(figure["light"] for figure in one["quality"]) for one in exams}


@dataclass(frozen=True)
class _Order:
    intake: Path
    site: Path
    patient: str
    settings: Preparation
    draw: Draw | None


def prepare_intake(
    intake: Path,
    site: Path,
    name: str,
    settings: Preparation,
    processes: int = 1,
    draw: Draw | None = None,
    on_patient: Callable[[PatientResult], None] = lambda _: None,
) -> tuple[PatientResult, ...]:
    """Prepare all patients of an intake folder and write the site's tables.

    A patient whose files and settings are those of an earlier call is not prepared again. One who has to be is taken
    out of the site's table first, so that at any time it names whole patients only. One who cannot be prepared is left
    out with a finding, and the others go on. Patients of the site who are not in the intake stay. What a killed call
    left half written is removed, so two calls at a time must not write into one folder.

    Args:
        name: of the site, where the folder is new.
        draw: called with each exam's images to make its picture; a module-level function.
        on_patient: told of each result as it comes.

    Raises: DataError: if the intake folder is missing or holds no patient, or the site's folder is not BIDS.
    """
    patients = intake_patients(intake)
    if not patients:
        raise DataError(f"The intake {intake} holds no patient", "Bring patients in first: flame ingest, flame import.")
    for left_over in site.rglob(".*.partial.*"):
        left_over.unlink()
    old = read_site(site) if (site / "participants.tsv").exists() else Site(name, site, ())
    listed = {one.id for one in old.patients}
    orders = [_Order(intake, site, one, settings, draw) for one in patients]
    whole = {one.patient: result for one in orders if one.patient in listed and (result := _as_before(one)) is not None}
    others = [one for one in old.patients if one.id not in patients]
    if len(others) + len(whole) < len(listed):
        write_site(Site(old.name, site, tuple(one for one in old.patients if one in others or one.id in whole)))
    for result in whole.values():
        on_patient(result)
    fresh = workers.run(_prepare, [one for one in orders if one.patient not in whole], processes, on_patient)
    results = sorted([*whole.values(), *fresh], key=lambda one: patients.index(one.patient))
    done = [_patient(read_intake(intake, one.patient), one.record, site) for one in results if one.record is not None]
    write_site(Site(old.name, site, tuple(sorted([*others, *done], key=lambda one: one.id))))
    return tuple(results)


def _as_before(order: _Order) -> PatientResult | None:
    """The result of an earlier call, if it was made from these files with these settings."""
    try:
        digest = _digest(order.intake, read_intake(order.intake, order.patient), order.settings)
        return _made_before(order.site, order.patient, digest)
    except DataError:  # said when it is the patient's turn
        return None


def _made_before(site: Path, patient_id: str, digest: str) -> PatientResult | None:
    path = _record_path(site, patient_id)
    record: dict[str, Any] | None = read_json(path) if path.exists() else None
    if record is None or record.get("inputs") != digest:
        return None
    return PatientResult(patient_id, record, tuple(Finding(**one) for one in record["findings"]), again=True)


def _prepare(order: _Order, emit: workers.Emit) -> PatientResult:
    try:
        result = prepare_one(order.intake, order.site, order.patient, order.settings, order.draw)
    except DataError as error:
        finding = Finding("error", order.patient, f"not prepared: {error.message}", error.hint)
        result = PatientResult(order.patient, None, (finding,))
    emit(result)
    return result


def prepare_one(
    intake: Path, site: Path, patient_id: str, settings: Preparation, draw: Draw | None = None
) -> PatientResult:
    """Prepare one patient, in place of whatever an earlier attempt left; the site's tables are not written.

    Raises: DataError: if the patient's record or a file cannot be read, no brain is found, or no image can be placed.
    """
    patient = read_intake(intake, patient_id)
    digest = _digest(intake, patient, settings)
    before = _made_before(site, patient_id, digest)
    if before is not None:
        return before
    days = [exam.day for exam in patient.exams]
    if len(set(days)) < len(days) or days != sorted(days):
        raise DataError(f"Patient {patient_id} has exams out of order or two on one day", "Correct the days.")
    folder = patient_file(intake, patient_id).parent
    placed = place(patient, folder, settings.brain)
    for left_over in (site, site / DERIVATIVES):
        shutil.rmtree(left_over / f"sub-{patient_id}", ignore_errors=True)
    grid = tight_grid(placed.brain, settings.spacing_mm, settings.margin_mm, placed.reference.grid)
    doses = [
        place_dose(patient_id, number, course, folder, placed, grid)
        for number, course in enumerate(patient.courses, start=1)
    ]
    exams, findings = [], list(placed.findings)
    for exam in placed.exams:
        made = prepared_exam(patient, exam, placed, doses, grid, folder, settings.scale)
        made.write(site, patient_id)
        if draw is not None:
            draw(prepared_path(site, patient_id, exam.exam.day, "alignment.png"), made)
        exams.append(made.content)
        findings += made.findings
    for number, dose in enumerate(doses, start=1):
        findings += dose.findings
        for kind, array in dose.grids.items():
            step = LETD_STEP if kind == "letd" else DOSE_STEP_GY
            write_volume(dose_path(site, patient_id, number, kind), Volume(array.clip(min=0), grid), step)
    record = {
        "inputs": digest,
        "grid": {"shape": list(grid.shape), "affine": grid.affine.tolist()},
        "exams": exams,
        "courses": [{"grids": sorted(one.grids), **one.content()} for one in doses],
        "findings": [vars(one) for one in findings],
    }
    write_json(_record_path(site, patient_id), record)
    return PatientResult(patient_id, record, tuple(findings))


def _record_path(site: Path, patient_id: str) -> Path:
    return site / DERIVATIVES / f"sub-{patient_id}" / f"sub-{patient_id}_desc-prepared.json"


def _digest(intake: Path, patient: IntakePatient, settings: Preparation) -> str:
    """Of all that the result depends on: the patient's files, the settings, the version, and who finds the brain."""
    path = patient_file(intake, patient.id)
    found = blake2b(digest_size=16)
    method = settings.brain if settings.brain != "auto" else ("deepbet" if has_deepbet() else "atlas")
    found.update(f"{flame.__version__} {settings.model_dump_json(exclude_none=True)} {method}".encode())
    names = sorted(one.relative_to(path.parent).as_posix() for one in path.parent.rglob("*") if one.is_file())
    for name in names:
        found.update(f"\0{name}\0".encode())
        found.update((path.parent / name).read_bytes())
    return found.hexdigest()


def _patient(patient: IntakePatient, record: dict[str, Any], site: Path) -> Patient:
    """The patient's record of the site, of what was prepared."""
    given = {exam.day: exam for exam in patient.exams}
    exams = []
    for one in record["exams"]:
        exam = given[one["day"]]
        exams.append(
            Exam(
                day=exam.day,
                sequences={name: sequence_path(site, patient.id, exam.day, name) for name in one["images"]},
                label_map=label_map_path(site, patient.id, exam.day) if one["label_map"] else None,
                brain_mask=brain_mask_path(site, patient.id, exam.day),
                steroid_mg=exam.steroid_mg,
                clinical_status=exam.clinical_status,
                surgery=exam.surgery,
                regions=None if one["regions"] is None else tuple(one["regions"]),
                day_tolerance=exam.day_tolerance,
            )
        )
    courses = []
    for number, (course, one) in enumerate(zip(patient.courses, record["courses"], strict=True), start=1):
        grids: dict[str, Any] = {kind: dose_path(site, patient.id, number, kind) for kind in one["grids"]}
        facts = course.model_dump(include={"arm", "prescription_gy", "fractions", "start_day", "end_day", "rbe_model"})
        courses.append(Course(**facts, **grids))
    return Patient(
        id=patient.id,
        age=patient.age,
        sex=patient.sex,
        performance_status=patient.performance_status,
        mgmt_methylated=patient.mgmt_methylated,
        idh_mutant=patient.idh_mutant,
        resection=patient.resection,
        diagnosis_day=patient.diagnosis_day,
        exams=tuple(exams),
        courses=tuple(courses),
        outcome=Outcome(patient.death_day, patient.last_contact_day),
        also_known_as=patient.also_known_as,
    )
