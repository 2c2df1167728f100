"""The virtual trial as hospitals' archives would hold it: DICOM of people who do not exist.

`OUT/dicom/<site>/<patient's number>/` holds a folder per series of MR exams (four sequences, a localiser, an ADC map,
SEG of the label map and of the brain) and of the planning study (CT, RTSTRUCT, RTDOSE, RTPLAN or RT Ion Plans,
treatment records, at some sites a registration). `OUT/truth/<site>/<patient>/` says what is hidden in it:
`identity.json` who the person is and which texts would tell, `poses.json` where the head lay in every exam.

The first exam lies where the trial's own images lie; every later one is turned and shifted, and the planning CT is
shifted, each in a frame of reference of its own. No voxel is interpolated. LETd has no home in DICOM and is left out.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from flame.files import write_json
from flame.physics.dose import Margins, targets
from flame.records.patient import LABELS, SEQUENCES, Course, Exam, Patient, Sequence
from flame.records.volume import Volume, read_volume
from flame.seeds import stream
from flame.virtual.assignment import make_site
from flame.virtual.chart import load_chart
from flame.virtual.dicom_bytes import elements, encode, file_meta
from flame.virtual.dicom_file import Chart, Series, Study
from flame.virtual.dicom_mr import MrExam, mr_exam
from flame.virtual.dicom_plan import plan_dataset, plan_parts, treatment_records
from flame.virtual.dicom_rt import Planning, ct_images, dose_grid, registration, structures
from flame.virtual.dicom_seg import brain_segmentation, label_segmentation
from flame.virtual.head import Head, ct_numbers, make_head
from flame.virtual.identity import make_identity
from flame.virtual.simulation import PLANNED
from flame.virtual.slices import Matrix, pose
from flame.virtual.trial import Progress, TrialSettings, site_folder, site_names
from flame.virtual.truth import truth_folder, truth_path
from flame.virtual.vendors import department
from flame.workers import run

__all__ = ["hospital_folder", "poses_path", "write_hospital"]

PLANNING_DAY = -7
_TURN_DEGREES, _SHIFT_MM = 3.0, 4.0
_COUCH_MM = (np.array([-15.0, 120.0, -420.0]), np.array([15.0, 180.0, -250.0]))
"""Least and largest shift of the head on the CT's couch, in steps of 0.1 mm."""


@dataclass(frozen=True)
class _Stay:
    """One patient to write; `index` is the site's, from 0."""

    out: Path
    seed: int
    site: str
    index: int
    patient_id: str


@dataclass(frozen=True, eq=False)
class _Writer:
    """Writes data sets into a folder per series."""

    folder: Path
    made: set[str] = field(default_factory=set)

    def put(self, datasets: Iterable[Dataset], study: Study) -> None:
        """Write single data sets."""
        for dataset in datasets:
            meta = file_meta(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID))
            content = encode(meta.values(), elements(dataset).values())
            self._write(study, int(dataset.SeriesNumber), int(dataset.get("InstanceNumber", 1)), content)

    def put_slices(self, files: Iterable[tuple[Series, bytes]], study: Study) -> None:
        """Write the files of series of slices, numbered in their order."""
        counts: Counter[int] = Counter()
        for series, content in files:
            counts[series.number] += 1
            self._write(study, series.number, counts[series.number], content)

    def _write(self, study: Study, series: int, instance: int, content: bytes) -> None:
        folder = f"{self.folder}/ST{study.number:02d}/SE{series:03d}"
        if folder not in self.made:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.made.add(folder)
        Path(f"{folder}/IM{instance:04d}.dcm").write_bytes(content)


def hospital_folder(out: Path, site: str) -> Path:
    """The DICOM folder of a site."""
    return out / "dicom" / site


def poses_path(out: Path, site: str, patient_id: str) -> Path:
    """Where the head lay; written last, so it exists when all DICOM of the patient does.

    JSON: `exams` maps a day to 4 rows of 4, from the trial's positions to the scanner's, RAS [mm]; `ct` is the same for
    the planning CT and the dose.
    """
    return truth_folder(out, site, patient_id) / "poses.json"


def write_hospital(out: Path, settings: TrialSettings, progress: Progress = lambda _done, _total, _site: None) -> None:
    """Write the DICOM of a trial that `write_trial` has finished; patients that are complete are left as they are.

    Same trial, same bytes.

    Raises: DataError: if a file of the trial is missing or damaged.
    """
    stays = [
        _Stay(out, settings.seed, site, index, load_chart(path).id)
        for index, site in enumerate(site_names(settings))
        for path in sorted(truth_folder(out, site, "").glob("*/truth.json"))
    ]
    todo = [stay for stay in stays if not poses_path(out, stay.site, stay.patient_id).exists()]
    done = len(stays) - len(todo)

    def count(site: str) -> None:
        nonlocal done
        done += 1
        progress(done, len(stays), site)

    run(_write_stay, todo, settings.workers, count)


def _write_stay(stay: _Stay, emit: Callable[[str], None]) -> None:
    """Write one patient's DICOM into a folder aside, move it to its place, then say where the head lay."""
    patient = load_chart(truth_path(stay.out, stay.site, stay.patient_id))
    draws = stream(stay.seed, "hospital", stay.site, patient.id)
    identity = make_identity(draws, patient, stay.index + 1)
    chart = Chart(stay.seed, stay.site, patient.id, identity, department(stay.index))
    final = hospital_folder(stay.out, stay.site) / identity.patient_id
    aside = final.with_name(f".{final.name}.partial")
    for left_over in (aside, final):
        shutil.rmtree(left_over, ignore_errors=True)
    poses = _write_patient(_Writer(aside), chart, patient, site_folder(stay.out, stay.site), stay.index, draws)
    aside.rename(final)
    truth = truth_folder(stay.out, stay.site, patient.id)
    write_json(
        truth / "identity.json",
        {
            "patient_id": identity.patient_id,
            "day_zero": identity.day_zero.isoformat(),
            "planted": [*identity.planted, chart.department.institution, chart.department.institution_address],
        },
    )
    write_json(poses_path(stay.out, stay.site, patient.id), poses)
    emit(stay.site)


def _write_patient(
    writer: _Writer, chart: Chart, patient: Patient, site: Path, index: int, draws: np.random.Generator
) -> dict[str, Any]:
    field_t = make_site(chart.seed, index).scanner.field_t
    first: tuple[MrExam, Exam, Head] | None = None
    poses: dict[str, Matrix] = {}
    known: tuple[Volume, Head] | None = None
    for number, exam in enumerate(patient.exams, start=1):
        brain = read_volume(site / _known(exam.brain_mask))
        if known is None or not _same(brain, known[0]):
            known = brain, make_head(brain)
        head = known[1]
        moved = _pose(draws, brain) if first else np.eye(4)
        study = Study(chart.uid("study", exam.day), number, exam.day, "IRM CEREBRALE")
        written, files = mr_exam(chart, study, head, _images(site, exam), moved, field_t, draws)
        writer.put_slices(files, study)
        labels = read_volume(site / _known(exam.label_map))
        writer.put(
            (label_segmentation(chart, written, labels, moved), brain_segmentation(chart, written, brain, moved)), study
        )
        poses[str(exam.day)] = moved
        first = first or (written, exam, head)
    if first is None:
        raise ValueError(f"patient {patient.id} has no exam")
    couch = np.eye(4)
    for number, course in enumerate(patient.courses, start=len(patient.exams) + 1):
        couch = _write_course(writer, chart, site, course, first, number, draws)
    return {"exams": {day: moved.tolist() for day, moved in poses.items()}, "ct": couch.tolist()}


def _write_course(
    writer: _Writer,
    chart: Chart,
    site: Path,
    course: Course,
    baseline: tuple[MrExam, Exam, Head],
    number: int,
    draws: np.random.Generator,
) -> Matrix:
    """Write the planning study; returns the map from the trial's positions to the couch."""
    mr, exam, head = baseline
    study = Study(chart.uid("planning", number), number, PLANNING_DAY, "SCANNER DE REPERAGE")
    shared = chart.department.ct_frame == "same"
    couch = np.eye(4)
    if not shared:
        couch[:3, 3] = draws.uniform(*_COUCH_MM).round(1)
    frame = mr.frame if shared else chart.uid("frame", study.uid)
    ct = Volume(ct_numbers(draws, head, read_volume(site / exam.sequences["T1ce"])), head.grid)
    planning = Planning.of(chart, study, frame, couch, ct)
    writer.put_slices(ct_images(chart, planning), study)
    writer.put([structures(chart, planning, _masks(chart, site, exam))], study)
    if chart.department.ct_frame == "registered":
        writer.put([registration(chart, planning, mr.frame)], study)
    parts = plan_parts(chart, planning, course)
    writer.put((plan_dataset(chart, planning, part, 5 + at) for at, part in enumerate(parts)), study)
    plans = {part.instance: part.sop_class for part in parts}
    grids = [("PHYSICAL", course.dose)] + ([("EFFECTIVE", course.dose_rbe)] if course.arm != "photon" else [])
    for at, (kind, path) in enumerate(grids):
        dose = read_volume(site / _known(path))
        writer.put([dose_grid(chart, planning, dose, kind, plans, 10 + at)], study)
    writer.put(treatment_records(chart, planning, parts), study)
    return couch


def _same(one: Volume, other: Volume) -> bool:
    return one.grid.matches(other.grid) and np.array_equal(one.array, other.array)


def _images(site: Path, exam: Exam) -> dict[Sequence, Volume]:
    return {name: read_volume(site / exam.sequences[name]) for name in SEQUENCES if name in exam.sequences}


def _masks(chart: Chart, site: Path, exam: Exam) -> dict[str, tuple[str, Volume]]:
    """What the planner outlined: tumour core as GTV, the targets of tumour and cavity, the brain."""
    labels, brain = read_volume(site / _known(exam.label_map)), read_volume(site / _known(exam.brain_mask))
    core = np.isin(labels.array, (LABELS["ET"], LABELS["NETC"]))
    margins, grid = Margins(), labels.grid
    ctv, ptv = targets(np.isin(labels.array, PLANNED), brain.array > 0, grid, margins.ctv, margins.ptv)
    kinds = ("GTV", "CTV", "PTV", "ORGAN")
    arrays = (core, ctv, ptv, brain.array > 0)
    return {
        name: (kind, Volume(array, grid))
        for name, kind, array in zip(chart.department.structures, kinds, arrays)
        if array.any()
    }


def _pose(draws: np.random.Generator, brain: Volume) -> Matrix:
    centre = brain.grid.affine[:3, :3] @ (np.array(brain.grid.shape) / 2) + brain.grid.affine[:3, 3]
    turn = np.clip(draws.normal(0, _TURN_DEGREES, 3), -2 * _TURN_DEGREES, 2 * _TURN_DEGREES)
    shift = np.clip(draws.normal(0, _SHIFT_MM, 3), -2 * _SHIFT_MM, 2 * _SHIFT_MM)
    return pose(turn, shift, centre)


def _known(path: Path | None) -> Path:
    if path is None:
        raise ValueError("the virtual trial writes every file of its patients")
    return path
