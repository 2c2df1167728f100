"""From the store to a patient's record: exams, courses and outlines as NIfTI files, in their own frames and days."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic import ValidationError

from flame.dicom.convert import Converted, convert
from flame.dicom.header import datasets_of, number, text
from flame.dicom.images.choice import Decision, decide
from flame.dicom.images.exams import by_courses
from flame.dicom.images.overrides import Override
from flame.dicom.radiotherapy import CourseDoses, DatedCourse
from flame.dicom.series import Series, series_of
from flame.dicom.therapy.dose import Dose
from flame.dicom.therapy.outlines import Drawn, draw_outlines
from flame.dicom.therapy.treatment import Treatment, doses_of, planning_ct, read_treatment
from flame.errors import DataError
from flame.files import read_json, write_json
from flame.records.finding import Finding
from flame.records.intake import (
    IntakeCourse,
    IntakeExam,
    IntakeImage,
    IntakePatient,
    Outline,
    patient_file,
    write_intake,
)
from flame.records.patient import Sex
from flame.records.volume import Volume, write_volume

__all__ = ["Assembled", "assemble", "patient_series"]

_VERSION = 2
_REMEMBERED = 6
_INT16 = 32767
_SAY = "Say in overrides.tsv which exam it belongs to."


@dataclass(frozen=True)
class Assembled:
    """What became of a patient: lines of `series.tsv`, findings, and whether nothing had changed since last time."""

    patient: str
    exams: int
    courses: int
    rows: tuple[Mapping[str, Any], ...]
    findings: tuple[Finding, ...]
    again: bool = False


def patient_series(intake: Path, patient: str) -> tuple[Series, ...]:
    """Headers of all that the store holds of a patient. Raises: DataError: if a file is damaged."""
    files = (intake / "dicom" / patient).glob("*/*/*.dcm")
    return series_of(sorted(path for path in files if not path.name.startswith(".")))  # half written when killed


def assemble(intake: Path, patient: str, series: Sequence[Series], overrides: Mapping[str, Override]) -> Assembled:
    """Write a patient's record and the images that it names; nothing is done if nothing changed since last time.

    Args:
        intake: folder with the store.
        patient: the site's id.
        series: all of the patient; see `patient_series`.
        overrides: by uid of a series.

    Returns: what was made and found. What cannot be used becomes a finding; a patient without any image gets no record.
    Raises: DataError: if overrides contradict each other. EngineError: if the disk is full.
    """
    folder = patient_file(intake, patient).parent
    digest = _digest(intake / "dicom" / patient, series, overrides)
    before = _before(folder, digest, patient)
    if before is not None:
        return before
    making = _Making(patient, folder, tuple(series))
    made = making.record(overrides)
    patient_file(intake, patient).unlink(missing_ok=True)
    if made is not None:
        write_intake(intake, made)
    _tidy(folder, making.files)
    rows, findings = making.rows, tuple(making.findings)
    result = Assembled(patient, len(made.exams) if made else 0, len(made.courses) if made else 0, rows, findings)
    write_json(folder / "ingest.json", {"digest": digest, **asdict(result)})
    return result


class _Making:
    """One patient while the record is made."""

    def __init__(self, patient: str, folder: Path, series: tuple[Series, ...]) -> None:
        self.patient, self.folder, self.series = patient, folder, series
        self.findings: list[Finding] = []
        self.rows: tuple[Mapping[str, Any], ...] = ()
        self.files: set[str] = set()
        self._converted: dict[str, Converted] = {}

    def record(self, overrides: Mapping[str, Override]) -> IntakePatient | None:
        """Write all images, and return the record that names them; None if there is no image."""
        make_private(self.folder)
        decision = decide(self.patient, self.series, overrides, self.volume)
        self.rows, treatment = decision.rows, read_treatment(self.patient, self.series)
        self.findings += [*decision.findings, *treatment.findings]
        days = [choice.exam.date for choice in decision.exams if choice.chosen]
        if not days:
            what = "there is no exam with a sequence that FLAME uses"
            self.findings.append(
                Finding("error", self.patient, what, "Bring in T1w, T1ce, T2w or FLAIR; see series.tsv.")
            )
            return None
        origin = treatment.courses[0].start if treatment.courses else days[0]
        # From here on files change that the record of an earlier call names; without it they do not count.
        (self.folder / "patient.json").unlink(missing_ok=True)
        drawn, found = draw_outlines(
            self.patient, self.folder, treatment.files, self.series, treatment.alignments, self.volume
        )
        self.findings += found
        exams = self._exams(decision, drawn, origin)
        courses = self._courses(treatment, drawn, origin)
        self._keep_outlines(exams, courses, drawn)
        self._place_rows(decision, courses, origin)
        sex, age = self._person(decision, origin)
        try:
            return IntakePatient(
                id=self.patient,
                source="dicom",
                sex=sex,
                age=age,
                exams=exams,
                courses=courses,
                alignments=treatment.alignments,
                notes=tuple(dict.fromkeys(note for one in treatment.courses for note in (*one.doubts, *one.notes))),
            )
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise DataError(f"The record is not usable: {where}", "Look at the findings above.") from None

    def _place_rows(self, decision: Decision, courses: Sequence[IntakeCourse], origin: date) -> None:
        """Say of each series where its exam lies by the courses."""
        spans = [(course.start_day, course.end_day) for course in courses]
        places = {one.exam.number: by_courses((one.exam.date - origin).days, spans) for one in decision.exams}
        self.rows = tuple({**row, "place": places.get(row["exam"])} for row in self.rows)

    def volume(self, series: Series) -> Volume:
        """A series as a volume; the last few are remembered."""
        return self._convert(series).volume

    def _convert(self, series: Series) -> Converted:
        if series.uid not in self._converted:
            while len(self._converted) >= _REMEMBERED:
                del self._converted[next(iter(self._converted))]
            self._converted[series.uid] = convert(series.files)
        return self._converted[series.uid]

    def _exams(self, decision: Decision, drawn: Sequence[Drawn], origin: date) -> tuple[IntakeExam, ...]:
        exams = []
        for choice in decision.exams:
            if not choice.chosen:
                continue
            images = {
                sequence: self._image(f"exam-{choice.exam.number:02d}/{sequence}.nii.gz", one.series, one.reasons)
                for sequence, one in choice.chosen.items()
            }
            here = {one.uid for one in choice.exam.series}
            outlines = [outline for one in drawn if one.on.uid in here for outline in one.outlines]
            day = (choice.exam.date - origin).days
            exams.append(IntakeExam(day=day, images=images, outlines=tuple(outlines)))
        return tuple(exams)

    def _courses(self, treatment: Treatment, drawn: Sequence[Drawn], origin: date) -> tuple[IntakeCourse, ...]:
        doses, found = doses_of(self.patient, treatment)
        self.findings += found
        pairs = zip(treatment.courses, doses, strict=True)
        on_ct = [planning_ct(course, given, self.series) for course, given in pairs]
        return tuple(
            self._course(number, course, doses[number - 1], ct, self._outlines_on(ct, drawn), origin)
            for number, (course, ct) in enumerate(zip(treatment.courses, on_ct, strict=True), 1)
        )

    def _keep_outlines(
        self, exams: Sequence[IntakeExam], courses: Sequence[IntakeCourse], drawn: Sequence[Drawn]
    ) -> None:
        """Keep the outlines that the record names, and tell of the others: nothing drawn is lost in silence."""
        outlines = [*(one.outlines for one in exams), *(one.outlines for one in courses)]
        named = {outline.file for several in outlines for outline in several}
        self.files |= named
        for one in drawn:
            if not one.outlines or any(outline.file in named for outline in one.outlines):
                continue
            where = "a CT that is no planning CT of a course" if one.on.kind == "CT" else "an MR that is in no exam"
            what = f"{one.what} was left out: it is drawn on {where}"
            hint = "Bring in the plan or dose of that CT, or draw it on an MR." if one.on.kind == "CT" else _SAY
            self.findings.append(Finding("warning", self.patient, what, hint))

    def _outlines_on(self, ct: Series | None, drawn: Sequence[Drawn]) -> tuple[Outline, ...]:
        return tuple(
            outline
            for one in drawn
            if ct is not None and one.on.kind == "CT" and (one.on.uid == ct.uid or one.on.frame == ct.frame)
            for outline in one.outlines
        )

    def _course(
        self,
        number: int,
        course: DatedCourse,
        doses: CourseDoses,
        ct: Series | None,
        outlines: tuple[Outline, ...],
        origin: date,
    ) -> IntakeCourse:
        name = f"course-{number:02d}"
        image = None
        if ct is not None:
            try:
                image = self._image(f"{name}/ct.nii.gz", ct, ())
            except DataError as error:
                what = f"the planning CT of course {number} cannot be used: {error.message}"
                self.findings.append(Finding("warning", self.patient, what, error.hint))
        days = course.since(origin)
        return IntakeCourse(
            arm=course.arm,
            prescription_gy=course.prescription_gy,
            fractions=course.fractions,
            start_day=days.start_day,
            end_day=days.end_day,
            dose=self._dose(f"{name}/dose.nii.gz", doses.dose),
            dose_rbe=self._dose(f"{name}/dose_rbe.nii.gz", doses.dose_rbe),
            ct=image,
            outlines=outlines if image is not None else (),
        )

    def _image(self, file: str, series: Series, reasons: tuple[str, ...]) -> IntakeImage:
        converted = self._convert(series)
        self._write(file, converted.volume)
        return IntakeImage(file=file, frame=series.frame, notes=(*reasons, *converted.notes))

    def _dose(self, file: str, dose: Dose | None) -> IntakeImage | None:
        if dose is None:
            return None
        self._write(file, dose.volume)
        return IntakeImage(file=file, frame=dose.frame, notes=dose.notes)

    def _write(self, file: str, volume: Volume) -> None:
        """Whole numbers go into 16 bits, exactly; anything else stays as it is."""
        array = volume.array
        whole = np.abs(array).max(initial=0) <= _INT16 and bool((array == np.rint(array)).all())
        write_volume(self.folder / file, volume, 1.0 if whole else None)
        self.files.add(file)

    def _person(self, decision: Decision, origin: date) -> tuple[Sex | None, float | None]:
        """Sex, and age [years] at the last exam that is not after the start, else at the first."""
        used = [choice for choice in decision.exams if choice.chosen]
        exam = ([choice for choice in used if choice.exam.date <= origin] or used[:1])[-1]
        (header,) = datasets_of(next(iter(exam.chosen.values())).series.files[:1], pixels=False)
        sex = text(header, "PatientSex").upper()
        age = text(header, "PatientAge").upper()
        per_year = {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
        known = age[:-1].isdigit() and age[-1:] in per_year
        years = int(age[:-1]) / per_year[age[-1]] if known else number(header, "PatientAge")
        return cast(Sex, sex) if sex in ("F", "M") else None, years


def make_private(folder: Path) -> None:
    """Make a folder for its owner's eyes only: there are faces in it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _digest(store: Path, series: Sequence[Series], overrides: Mapping[str, Override]) -> str:
    """Of all that a record is made from: an instance in the store never changes, so its name and size stand for it."""
    uids = {one.uid for one in series}
    files = sorted((str(path.relative_to(store)), path.stat().st_size) for one in series for path in one.files)
    said = sorted((uid, one.sequence, one.exam) for uid, one in overrides.items() if uid in uids)
    return hashlib.sha256(json.dumps([_VERSION, files, said]).encode()).hexdigest()


def _before(folder: Path, digest: str, patient: str) -> Assembled | None:
    """What an earlier call made of the same store, if it is all still there."""
    path = folder / "ingest.json"
    if not path.is_file():
        return None
    content = read_json(path)
    if content.get("digest") != digest or bool(content.get("exams")) != (folder / "patient.json").is_file():
        return None
    findings = tuple(Finding(**one) for one in content["findings"])
    return Assembled(patient, content["exams"], content["courses"], tuple(content["rows"]), findings, again=True)


def _tidy(folder: Path, files: set[str]) -> None:
    """Remove what an earlier call made and nothing names any more."""
    for path in sorted(folder.glob("*")):
        if path.is_dir():
            if not any(file.startswith(f"{path.name}/") for file in files):
                shutil.rmtree(path)
                continue
            for file in path.iterdir():
                if f"{path.name}/{file.name}" not in files:
                    file.unlink()
