"""What came in of a patient before it is prepared: images as they were acquired, each in its own frame.

An intake folder holds a folder per patient with `patient.json` and the files that it names. It is what a hospital's
DICOM, a public set or a user's own NIfTI files are turned into first; `imaging.intake` turns it into a site's folder.
Faces are still in it: it stays where it was made.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from flame.errors import DataError
from flame.files import read_json, write_json
from flame.records.patient import Arm, ClinicalStatus, Resection, Sequence, Sex
from flame.settings import Settings

__all__ = [
    "Alignment",
    "IntakeCourse",
    "IntakeExam",
    "IntakeImage",
    "IntakePatient",
    "Outline",
    "Shows",
    "intake_patients",
    "patient_file",
    "read_intake",
    "write_intake",
]

Shows = Literal["labels", "NETC", "SNFH", "ET", "RC", "GTV", "WT", "brain", "other"]
"""What an outline shows.

`labels`: a label map, values 0 to 4 as in `records.patient.LABELS`. `GTV`: enhancing tumour and necrosis in one. `WT`:
whole tumour, cavity left out. `brain`: the brain mask. `other`: a target or organ that no label map is made from. All
but `labels` are masks, 1 inside.
"""


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{name!r} is not a path inside the patient's folder")
    return name


File = Annotated[str, AfterValidator(_inside)]
"""A path below the patient's folder, with slashes."""


class IntakeImage(Settings):
    """One image file.

    Attributes:
        file: NIfTI, of any orientation, with its affine to RAS [mm].
        frame: key of its frame of reference; images of one frame need no alignment. None if unknown: then nothing
            vouches that it lies where another image does.
        notes: how it was chosen or changed, in words that tell of nobody.
    """

    file: File
    frame: str | None = None
    notes: tuple[str, ...] = ()


class Outline(Settings):
    """A mask or label map, drawn on an image of frame `frame`; `name` is its name on the whitelist of structures.

    Attributes:
        known: of `labels`, the values that the author tells apart; the others are unknown, not absent.
        author: `human`, `machine` or `rough`; None if unknown.
    """

    file: File
    shows: Shows
    frame: str | None = None
    name: str | None = None
    known: tuple[int, ...] = (1, 2, 3, 4)
    author: Literal["human", "machine", "rough"] | None = None


class Alignment(Settings):
    """A rigid map that the hospital made: position in `source` to position in `target`, RAS [mm], 4 rows of 4."""

    source: str
    target: str
    matrix: tuple[tuple[float, float, float, float], ...] = Field(min_length=4, max_length=4)


class IntakeExam(Settings):
    """One imaging visit; fields as in `records.patient.Exam`. `already_prepared` is what its source did to images."""

    day: int
    day_tolerance: float = Field(default=0.0, ge=0.0)
    images: Mapping[Sequence, IntakeImage] = Field(default_factory=dict)
    outlines: tuple[Outline, ...] = ()
    steroid_mg: float | None = None
    clinical_status: ClinicalStatus | None = None
    surgery: bool | None = None
    already_prepared: frozenset[Literal["skull_stripped", "aligned", "zscored"]] = frozenset()


class IntakeCourse(Settings):
    """One radiotherapy course; fields as in `records.patient.Course`. `ct` is the planning CT [HU]."""

    arm: Arm
    prescription_gy: float = Field(gt=0.0)
    fractions: int = Field(ge=1)
    start_day: int
    end_day: int
    rbe_model: str | None = None
    dose: IntakeImage | None = None
    dose_rbe: IntakeImage | None = None
    letd: IntakeImage | None = None
    ct: IntakeImage | None = None
    outlines: tuple[Outline, ...] = ()


class IntakePatient(Settings):
    """One person; fields as in `records.patient.Patient`, under the site's own pseudonymous id.

    Days count from the start of the first course; from the first exam where there is no course.

    Attributes:
        source: what the patient came from: `dicom`, `nifti`, or the name of a public set.
        also_known_as: the patient's names in public sets, so that nobody is in two sites of one study.
        alignments: made by the hospital, between frames of this patient.
        notes: what was seen on the way in and deserves a look, in words that tell of nobody.
    """

    id: str = Field(pattern=r"^[0-9a-zA-Z]+$")
    source: str
    also_known_as: tuple[str, ...] = ()
    age: float | None = None
    sex: Sex | None = None
    performance_status: int | None = None
    mgmt_methylated: bool | None = None
    idh_mutant: bool | None = None
    resection: Resection | None = None
    diagnosis_day: int | None = None
    death_day: int | None = None
    last_contact_day: int | None = None
    exams: tuple[IntakeExam, ...] = ()
    courses: tuple[IntakeCourse, ...] = ()
    alignments: tuple[Alignment, ...] = ()
    notes: tuple[str, ...] = ()


def patient_file(intake: Path, patient_id: str) -> Path:
    """Where a patient's record lies; the files that it names lie beside and below it."""
    return intake / patient_id / "patient.json"


def intake_patients(intake: Path) -> tuple[str, ...]:
    """Ids of all patients in an intake folder, in order.

    Raises: DataError: if the folder does not exist.
    """
    if not intake.is_dir():
        raise DataError(f"The folder {intake} does not exist", "Check the path.")
    return tuple(sorted(path.parent.name for path in intake.glob("*/patient.json")))


def write_intake(intake: Path, patient: IntakePatient) -> None:
    """Write a patient's record atomically, after the files that it names: without it they do not count.

    Raises: ValueError: if a file that it names is not there.
    """
    path = patient_file(intake, patient.id)
    missing = [name for name in _files(patient) if not (path.parent / name).is_file()]
    if missing:
        raise ValueError(f"{missing[0]} of patient {patient.id} is not there")
    write_json(path, patient.model_dump(mode="json", exclude_defaults=True))


def read_intake(intake: Path, patient_id: str) -> IntakePatient:
    """Read a patient's record.

    Raises: DataError: if it is missing or malformed, or a file that it names is not there.
    """
    path = patient_file(intake, patient_id)
    content = read_json(path)
    try:
        patient = IntakePatient.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(
            f"{path}: {key}: {first['msg']}", "Correct the value, or bring the patient in again."
        ) from error
    if patient.id != patient_id:
        raise DataError(f"{path} is about patient {patient.id}", "Rename the folder, or bring the patient in again.")
    for name in _files(patient):
        if not (path.parent / name).is_file():
            raise DataError(
                f"{path} names {name}, which is not there", "Restore the file, or bring the patient in again."
            )
    return patient


def _files(patient: IntakePatient) -> list[str]:
    files = [image.file for exam in patient.exams for image in exam.images.values()]
    for course in patient.courses:
        files += [one.file for one in (course.dose, course.dose_rbe, course.letd, course.ct) if one is not None]
    files += [outline.file for exam in patient.exams for outline in exam.outlines]
    return files + [outline.file for course in patient.courses for outline in course.outlines]
