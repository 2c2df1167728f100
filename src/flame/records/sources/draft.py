"""What an importer gives of a patient: the record to write, and where each of its files comes from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from flame.records.finding import Finding, Severity
from flame.records.intake import IntakeExam, IntakeImage, IntakePatient, Outline, Shows
from flame.records.patient import LABELS
from flame.records.patient import Sequence as MriSequence
from flame.records.sources.label_check import LabelOrder

__all__ = ["FLAME_ORDER", "Draft", "Gathering", "LabelFile", "Origin", "PublicSet", "Rating", "rebased"]


@dataclass(frozen=True)
class LabelFile:
    """A label map in its source's own order of labels.

    Attributes:
        path: the file.
        orders: those that the set may use, the documented one first.
        volumes_mm3: volumes that the set states for FLAME's labels; they decide between orders. None if it states none.
    """

    path: Path
    orders: tuple[LabelOrder, ...]
    volumes_mm3: Mapping[int, float] | None = None


Origin = Path | LabelFile

FLAME_ORDER: LabelOrder = {value: value for value in LABELS.values()}
"""Labels as FLAME and BraTS 2024 number them."""


@dataclass(frozen=True)
class Rating:
    """A response that the set itself publishes for an exam; days as in the patient's record. Unknown is None.

    Attributes:
        day, exam: of the exam that is called, and the set's own name of it.
        reference_day, reference: of the exam that it is compared with.
        volume_ml, reference_ml: what the set measured there.
        reduction: 1 - volume / reference, as published.
        rano: `CR`, `PR`, `SD` or `PD`, or another word of the set's own.
    """

    day: int
    exam: str
    rano: str | None
    reference_day: int | None = None
    reference: str | None = None
    volume_ml: float | None = None
    reference_ml: float | None = None
    reduction: float | None = None


@dataclass(frozen=True)
class Draft:
    """A patient who could be brought in.

    Attributes:
        patient: the record; a file that turns out to be unusable is taken out of it before it is written.
        origins: by the name of a file in the patient's folder, what it is made from.
        findings: what was left out or deserves a look.
        ratings: responses that the set publishes.
        dose: a dose grid of a patient whose course is not known, so that it has no place in the record yet.
    """

    patient: IntakePatient
    origins: Mapping[str, Origin]
    findings: tuple[Finding, ...] = ()
    ratings: tuple[Rating, ...] = ()
    dose: IntakeImage | None = None

    def shifted(self, patient: IntakePatient, shift: int) -> "Draft":
        """The draft of the same patient on days that are `shift` later."""
        return replace(self, patient=patient, ratings=tuple(_moved(rating, shift) for rating in self.ratings))


@dataclass(frozen=True)
class PublicSet:
    """A set as it lies on disk.

    Attributes:
        name: in the catalogue.
        patients: by the id under which they are brought in, what makes the draft; it raises DataError for a patient
            that cannot be read.
        findings: about the set as a whole.
    """

    name: str
    patients: Mapping[str, Callable[[], Draft]]
    findings: tuple[Finding, ...] = ()


@dataclass(eq=False)
class Gathering:
    """Collects the files of one patient, and what was found on the way."""

    patient: str
    origins: dict[str, Origin] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def say(self, severity: Severity, what: str, what_to_do: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(severity, self.patient, what, what_to_do))

    def image(self, name: str, path: Path, frame: str | None, notes: Sequence[str] = ()) -> IntakeImage | None:
        """An image under the name `name` without suffix, or None where there is no such file."""
        file = self._file(name, path)
        if file is None:
            return None
        self.origins[file] = path
        return IntakeImage(file=file, frame=frame, notes=tuple(notes))

    def images(self, exam: str, paths: Mapping[MriSequence, Path], frame: str | None) -> dict[MriSequence, IntakeImage]:
        """Those sequences of an exam whose files are there."""
        found = {sequence: self.image(f"{exam}/{sequence}", path, frame) for sequence, path in paths.items()}
        return {sequence: image for sequence, image in found.items() if image is not None}

    def outline(
        self,
        exam: str,
        shows: Shows,
        path: Path,
        frame: str | None,
        author: Literal["human", "machine", "rough"] | None = None,
    ) -> tuple[Outline, ...]:
        """A mask of an exam; empty where there is no such file."""
        file = self._file(f"{exam}/{shows}", path)
        if file is None:
            return ()
        self.origins[file] = path
        return (Outline(file=file, shows=shows, frame=frame, author=author),)

    def labels(
        self,
        exam: str,
        labels: LabelFile,
        frame: str | None,
        author: Literal["human", "machine", "rough"] | None = None,
    ) -> tuple[Outline, ...]:
        """A label map of an exam; empty where there is no such file, which is a finding."""
        if not labels.path.is_file():
            self.say("warning", f"exam {exam}: there is no label map {labels.path.name}", "Outline the tumour.")
            return ()
        file = f"{exam}/labels.nii.gz"
        self.origins[file] = labels
        known = {value for order in labels.orders for value in order.values()}
        return (Outline(file=file, shows="labels", frame=frame, known=tuple(sorted(known)), author=author),)

    def _file(self, name: str, path: Path) -> str | None:
        return name + (".nii" if path.suffix == ".nii" else ".nii.gz") if path.is_file() else None

    def draft(self, ratings: Sequence[Rating] = (), dose: IntakeImage | None = None, **fields: Any) -> Draft:
        """The draft, in days from the first course or exam; `fields` are those of `IntakePatient`."""
        patient, shift = rebased(IntakePatient(id=self.patient, **fields))
        if not patient.exams:
            self.say("error", "no exam can be brought in", "Look at the other findings; the patient is left out.")
        named = set(_files(patient)) | ({dose.file} if dose else set())
        origins = {file: origin for file, origin in self.origins.items() if file in named}
        return Draft(patient, origins, tuple(self.findings), tuple(ratings), dose).shifted(patient, shift)


def rebased(patient: IntakePatient) -> tuple[IntakePatient, int]:
    """The record with exams in order, in days from the first course, or from the first exam; and the shift of days.

    Two exams of one day would be one: the later gets the next day, within what its tolerance leaves open.
    """
    exams = sorted(patient.exams, key=lambda exam: exam.day)
    courses = sorted(patient.courses, key=lambda course: course.start_day)
    origin = courses[0].start_day if courses else exams[0].day if exams else 0
    moved: list[IntakeExam] = []
    for exam in exams:
        day = exam.day - origin
        if moved and day <= moved[-1].day:
            day = moved[-1].day + 1
        moved.append(exam.model_copy(update={"day": day}))
    changes: dict[str, Any] = {
        "exams": tuple(moved),
        "courses": tuple(
            course.model_copy(update={"start_day": course.start_day - origin, "end_day": course.end_day - origin})
            for course in courses
        ),
    }
    for name in ("diagnosis_day", "death_day", "last_contact_day"):
        day_known = getattr(patient, name)
        changes[name] = None if day_known is None else day_known - origin
    return patient.model_copy(update=changes), -origin


def _files(patient: IntakePatient) -> Iterator[str]:
    """Names of all files of a record; what was gathered for an exam that is left out is not among them."""
    for exam in patient.exams:
        yield from (image.file for image in exam.images.values())
        yield from (outline.file for outline in exam.outlines)
    for course in patient.courses:
        yield from (one.file for one in (course.dose, course.dose_rbe, course.letd, course.ct) if one is not None)


def _moved(rating: Rating, shift: int) -> Rating:
    reference = None if rating.reference_day is None else rating.reference_day + shift
    return replace(rating, day=rating.day + shift, reference_day=reference)
