"""Simulate one patient of a virtual trial and write everything: images, label maps, dose, chart, truth."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.files import write_json
from flame.physics.dose import DosePart
from flame.records.layout import DERIVATIVES, brain_mask_path, dose_path, label_map_path, sequence_path
from flame.records.patient import ARMS, LABELS, SEQUENCES, Course, Exam, Patient, Sequence
from flame.records.volume import Volume, write_volume
from flame.seeds import stream
from flame.virtual.assignment import SiteProfile
from flame.virtual.chart import dump_chart
from flame.virtual.course import BASELINE_DAY, HORIZONS
from flame.virtual.followup import acquired, attended, clinical_status, outcome, steroid_mg
from flame.virtual.mri import Canvas, acquire, make_canvas
from flame.virtual.observation import Appearance, label_map
from flame.virtual.simulation import ArmFuture, VirtualPatient, make_patient, read_labels, simulate_arm
from flame.virtual.truth import potential_outcome_path, truth_path
from flame.virtual.tumour import SURGERY_DAY

__all__ = ["PatientJob", "write_patient"]

MISSED_EXAMS = 0.03
DOSE_STEP_GY = 0.01
LETD_STEP = 0.01

CORE = (LABELS["ET"], LABELS["NETC"])


@dataclass(frozen=True)
class PatientJob:
    """All that a worker needs to make one patient. `all_arms`: simulate the other arms' futures too."""

    out: Path
    seed: int
    site: SiteProfile
    patient_id: str
    spacing_mm: float
    confounding: float
    all_arms: bool


@dataclass(frozen=True, eq=False)
class _Writer:
    """Writes a patient's volumes and gives back paths relative to the site's folder."""

    folder: Path
    patient: VirtualPatient

    def put(self, path: Path, array: NDArray[Any], step: float | None = None) -> Path:
        """Write under the site's folder; `path` is relative to it."""
        write_volume(self.folder / path, Volume(array, self.patient.tissue.grid), step)
        return path


def write_patient(job: PatientJob, emit: Callable[[str], None]) -> None:
    """Make one patient, in place of whatever an interrupted attempt left; emits the site's name.

    `truth.json` is written last and marks the patient as complete.
    """
    patient = make_patient(job.seed, job.site, job.patient_id, job.spacing_mm, job.confounding)
    writer = _Writer(job.out / "sites" / job.site.name, patient)
    for left_over in (writer.folder, writer.folder / DERIVATIVES):
        shutil.rmtree(left_over / f"sub-{patient.id}", ignore_errors=True)
    futures: dict[str, Any] = {}
    chart: Patient | None = None
    known: list[DosePart] = []
    for arm in ARMS:
        if arm != patient.arm and not job.all_arms:
            continue
        future = simulate_arm(patient, arm, known=known)
        known += future.plan.parts
        for horizon, seen in future.seen:
            path = potential_outcome_path(job.out, job.site.name, patient.id, arm, horizon)
            write_volume(path, Volume(label_map(seen), patient.tissue.grid))
        futures[arm] = {
            "death_day": future.future.death_day,
            "end_day": future.future.end_day,
            "horizons": [horizon for horizon, _ in future.seen],
            "pseudoprogression": future.pseudoprogression,
        }
        if arm == patient.arm:
            chart = _write_chart(writer, patient, future)
    if chart is None:
        raise ValueError(f"the assigned arm {patient.arm} is not among {ARMS}")
    content = {
        "chart": dump_chart(chart),
        "latents": asdict(patient.person) | {"age_of_tumour_days": patient.tumour.age_days},
        "arm": patient.arm,
        "arms": futures,
    }
    write_json(truth_path(job.out, job.site.name, patient.id), content)
    emit(job.site.name)


def _write_chart(writer: _Writer, patient: VirtualPatient, future: ArmFuture) -> Patient:
    """Write what the site sees under the assigned arm; paths in the record are relative to the site's folder."""
    person, end_day = patient.person, future.future.end_day
    death_day = future.future.death_day
    visits = attended(
        stream(patient.seed, "visits", patient.id), person.fate, end_day, HORIZONS, death_day, MISSED_EXAMS
    )
    canvas = make_canvas(
        stream(patient.seed, "canvas", patient.id), patient.tissue, patient.spacing_mm, patient.site.scanner.field_t
    )
    moments = [(BASELINE_DAY, patient.seen)]
    moments += [(end_day + horizon, seen) for horizon, seen in future.seen if horizon in visits]
    exams: list[Exam] = []
    previous = 0.0
    for day, seen in moments:
        months = max(day - end_day, 0) / 30.4
        late = None
        if months > 0:
            share = np.clip(future.plan.dose_rbe_gy / 60.0, 0, 1.3)
            late = (0.10 * patient.tissue.wm * share * min(months, 12.0) / 12).astype(np.float32)
        labels = patient.labels
        if day != BASELINE_DAY:
            labels = read_labels(patient.seed, patient.id, seen, day, patient.spacing_mm)
        core = float(np.isin(labels, CORE).sum()) * patient.spacing_mm**3 / 1000
        exams.append(_write_exam(writer, patient, canvas, day, seen, labels, late, previous if exams else core))
        previous = core
    return Patient(
        id=patient.id,
        age=person.age,
        sex=person.sex,
        performance_status=person.performance_status,
        mgmt_methylated=person.mgmt_methylated,
        idh_mutant=False,
        resection=person.resection,
        diagnosis_day=SURGERY_DAY,
        exams=tuple(exams),
        courses=(_write_course(writer, patient, future),),
        outcome=outcome(person.fate, end_day, HORIZONS[-1], death_day),
    )


def _write_exam(
    writer: _Writer,
    patient: VirtualPatient,
    canvas: Canvas,
    day: int,
    seen: Appearance,
    labels: NDArray[np.uint8],
    late_change: NDArray[np.float32] | None,
    previous_core_ml: float,
) -> Exam:
    """Acquire and write one exam."""
    root, scanner = Path(), patient.site.scanner
    images = acquire(
        stream(patient.seed, "scan", patient.id, day), canvas, seen, scanner, patient.spacing_mm, late_change
    )
    draws = stream(patient.seed, "exam", patient.id, day)
    present = acquired(draws, scanner)
    paths: dict[Sequence, Path] = {}
    for name in SEQUENCES:
        if name in present:
            image = images[name]
            step = float(np.float32(image.max() / 30000))
            paths[name] = writer.put(sequence_path(root, patient.id, day, name), image, step)
    voxel_ml = patient.spacing_mm**3 / 1000
    core_ml = float(np.isin(labels, CORE).sum()) * voxel_ml
    return Exam(
        day=day,
        sequences=paths,
        label_map=writer.put(label_map_path(root, patient.id, day), labels),
        brain_mask=writer.put(brain_mask_path(root, patient.id, day), patient.tissue.brain.astype(np.uint8)),
        steroid_mg=steroid_mg(draws, labels, voxel_ml),
        clinical_status=clinical_status(draws, core_ml, previous_core_ml),
        surgery=day == BASELINE_DAY and patient.person.resection != "biopsy",
    )


def _write_course(writer: _Writer, patient: VirtualPatient, future: ArmFuture) -> Course:
    """Write the dose grids of the assigned arm."""
    plan, root = future.plan, Path()
    return Course(
        arm=future.arm,
        prescription_gy=future.prescription_gy,
        fractions=future.fractions,
        start_day=0,
        end_day=future.future.end_day,
        dose=writer.put(dose_path(root, patient.id, 1, "dose"), plan.dose_gy, DOSE_STEP_GY),
        dose_rbe=writer.put(dose_path(root, patient.id, 1, "dose_rbe"), plan.dose_rbe_gy, DOSE_STEP_GY),
        letd=writer.put(dose_path(root, patient.id, 1, "letd"), plan.letd, LETD_STEP),
        rbe_model=plan.rbe_model,
    )
