"""Drafts become an intake folder: images are linked, label maps checked, and everything left out is a finding.

A patient's record is written last, so that an import that was cut off goes on with the first patient without one. What
was found about a patient lies beside the record and comes back when the import is started again.
"""

import gzip
import shutil
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ValidationError

from flame.errors import ConfigError, DataError
from flame.files import read_json, write_json
from flame.records.finding import Finding
from flame.records.intake import IntakeExam, IntakePatient, intake_patients, patient_file, read_intake, write_intake
from flame.records.patient import Sequence
from flame.records.sources.draft import Draft, LabelFile, Origin, PublicSet, Rating
from flame.records.sources.label_check import brightening, choose_order, relabelled, swap_check
from flame.records.tables import write_table
from flame.records.volume import Volume, read_native, write_volume

__all__ = ["Imported", "bring_in"]

_HEADER_BYTES = 352
_SIZES = (348, 540)
"""Of the headers of NIfTI-1 and NIfTI-2, which are their first number."""

RATINGS = ("day", "exam", "rano", "reference_day", "reference", "volume_ml", "reference_ml", "reduction")


@dataclass(frozen=True)
class Imported:
    """What came of an import: ids of the patients in the intake folder, and all that was found."""

    patients: tuple[str, ...]
    findings: tuple[Finding, ...]


def bring_in(
    public: PublicSet,
    intake: Path,
    complete: Callable[[Draft], Draft] = lambda draft: draft,
    *,
    copy: bool = False,
    on_patient: Callable[[str], None] = lambda _: None,
) -> Imported:
    """Write a set's patients to an intake folder; those that are there already are left as they are.

    One patient who cannot be brought in stops nobody else: that is a finding of severity `error`.

    Args:
        public: the set.
        intake: folder to write; made if it is not there. `rano.tsv` in it holds the responses that the set publishes.
        complete: adds to a draft what the user knows beyond the set, see `supplement`.
        copy: copy images instead of linking to the set's files.
        on_patient: told each id when it is done.

    Raises: ConfigError: if the folder holds patients of another set.
    """
    present = intake_patients(intake) if intake.is_dir() else ()
    others = {read_intake(intake, one).source for one in present[:1]} - {public.name}
    if others:
        raise ConfigError(f"{intake} holds patients of {others.pop()}", "Give every set an intake folder of its own.")
    findings, ratings, done = list(public.findings), dict[str, tuple[Rating, ...]](), []
    for identity, make in public.patients.items():
        try:
            draft = complete(make())
            findings += _bring(draft, intake, copy)
        except DataError as error:
            findings.append(Finding("error", identity, f"left out: {error.message}", error.hint))
        except ValidationError as error:
            first = error.errors()[0]
            what = f"left out: {'.'.join(map(str, first['loc']))} = {first.get('input')!r}: {first['msg']}"
            findings.append(Finding("error", identity, what, "Correct the set's table."))
        else:
            if patient_file(intake, identity).is_file():
                done.append(identity)
                ratings[identity] = draft.ratings
        on_patient(identity)
    if any(ratings.values()):
        rows = [{"patient": identity, **asdict(rating)} for identity, several in ratings.items() for rating in several]
        write_table(intake / "rano.tsv", ["patient", *RATINGS], rows)
    return Imported(tuple(done), tuple(findings))


def _bring(draft: Draft, intake: Path, copy: bool) -> tuple[Finding, ...]:
    """Write one patient, unless that was done before; what was found."""
    record = patient_file(intake, draft.patient.id)
    notes = record.with_name("findings.json")
    if record.is_file():
        return tuple(Finding(**one) for one in read_json(notes))
    findings, refused = list(draft.findings), set[str]()
    notes_of: dict[str, str] = {}
    for file, origin in draft.origins.items():
        try:
            note = _put(record.parent / file, origin, _partners(draft, file), copy)
        except DataError as error:
            findings.append(Finding("error", draft.patient.id, f"{file} is left out: {error.message}", error.hint))
            refused.add(file)
        else:
            notes_of |= {} if note is None else {file: note}
    findings += [Finding("warning", draft.patient.id, f"{file}: {note}", LOOK) for file, note in notes_of.items()]
    patient = _without(draft.patient, refused)
    if not patient.exams:
        return tuple(findings)
    write_json(notes, [asdict(finding) for finding in findings])
    write_intake(intake, patient)
    return tuple(findings)


CONTRAST: tuple[Sequence, ...] = ("T1w", "T1ce")
LOOK = "Look at the label map over T1ce before anything is learnt from it."


def _put(target: Path, origin: Origin, partners: Mapping[str, Path], copy: bool) -> str | None:
    """Put one file into its place; what deserves a look about it, or None."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if isinstance(origin, LabelFile):
        return _put_labels(target, origin, partners)
    _check_header(origin)
    if copy:
        shutil.copyfile(origin, target)
    else:
        target.symlink_to(origin.resolve())
    return None


def _put_labels(target: Path, origin: LabelFile, partners: Mapping[str, Path]) -> str | None:
    """Write a label map in FLAME's order once its own is known.

    Raises: DataError: if it holds unknown values, contradicts the volumes that the set states, or the images say that
        labels are swapped and no stated volume says that they are not.
    """
    volume = read_native(origin.path)
    voxel = volume.grid.spacing_mm
    chosen = choose_order(volume.array, voxel[0] * voxel[1] * voxel[2], origin.orders, origin.volumes_mm3)
    labels = relabelled(volume.array, chosen.order)
    images = {name: read_native(path) for name, path in partners.items()}
    verdict = "unknown"
    if set(CONTRAST) <= images.keys() and all(one.grid.matches(volume.grid) for one in images.values()):
        brain = images["brain"].array > 0 if "brain" in images else None
        verdict = swap_check(brightening(labels, images["T1w"].array, images["T1ce"].array, brain))
    if verdict == "swapped" and not chosen.vouched:
        raise DataError(
            "another label brightens more with contrast agent than the enhancing tumour does: labels look swapped",
            LOOK,
        )
    write_volume(target, Volume(labels, volume.grid))
    if chosen.vouched and chosen.order is not origin.orders[0]:
        return "its labels are in another order than documented; the volumes that the set states decided"
    if verdict in ("swapped", "doubtful"):
        return "what it calls enhancing is not what brightens most with contrast agent"
    return None


def _partners(draft: Draft, file: str) -> dict[str, Path]:
    """The images that a label map is checked against: T1w, T1ce and brain mask of its exam."""
    for exam in draft.patient.exams:
        if any(outline.file == file and outline.shows == "labels" for outline in exam.outlines):
            names: dict[str, str] = {one: exam.images[one].file for one in CONTRAST if one in exam.images}
            names |= {outline.shows: outline.file for outline in exam.outlines if outline.shows == "brain"}
            paths = {name: draft.origins[one] for name, one in names.items()}
            return {name: path for name, path in paths.items() if isinstance(path, Path)}
    return {}


def _check_header(path: Path) -> None:
    """Refuse a file that does not begin like a NIfTI file; its voxels are not read.

    Raises: DataError: if it is no NIfTI file or its compressed beginning is damaged.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}", "Copy the file again from its source.") from error
    size = head[:4]
    if len(head) < _HEADER_BYTES or not {int.from_bytes(size, "little"), int.from_bytes(size, "big")} & set(_SIZES):
        raise DataError(f"{path} is not a NIfTI file", "Copy the file again from its source.")


def _without(patient: IntakePatient, refused: set[str]) -> IntakePatient:
    """The record without files that could not be used, and without exams of which no image is left."""
    exams = []
    for exam in patient.exams:
        kept = _exam_without(exam, refused)
        if kept.images:
            exams.append(kept)
    courses = []
    for course in patient.courses:
        grids = {name: getattr(course, name) for name in ("dose", "dose_rbe", "letd", "ct")}
        gone = {name: None for name, one in grids.items() if one is not None and one.file in refused}
        courses.append(course.model_copy(update=gone))
    return patient.model_copy(update={"exams": tuple(exams), "courses": tuple(courses)})


def _exam_without(exam: IntakeExam, refused: set[str]) -> IntakeExam:
    return exam.model_copy(
        update={
            "images": {name: image for name, image in exam.images.items() if image.file not in refused},
            "outlines": tuple(outline for outline in exam.outlines if outline.file not in refused),
        }
    )
