"""Which series of an exam stands for each sequence: the header's word, checked against the voxels, or a person's."""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass, replace
from pathlib import Path

from flame.dicom.images.content import FLUID, enhancement, fluid
from flame.dicom.images.exams import ExamSeries, exams_of, hours_between
from flame.dicom.images.overrides import Override, short_key
from flame.dicom.images.preference import choose
from flame.dicom.images.recognise import Recognised, doubted, finding, recognise
from flame.dicom.series import Series
from flame.errors import DataError
from flame.records.finding import Finding
from flame.records.patient import SEQUENCES, Sequence
from flame.records.tables import write_table
from flame.records.volume import Volume

__all__ = ["Chosen", "Decision", "ExamChoice", "decide", "write_series_table"]

_ENHANCES = 0.3
_PAUSE_HOURS = 6.0


@dataclass(frozen=True)
class Chosen:
    """The series that stands for a sequence, and why."""

    series: Series
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ExamChoice:
    """What was chosen of one exam."""

    exam: ExamSeries
    chosen: Mapping[Sequence, Chosen]


@dataclass(frozen=True)
class Decision:
    """All that was decided about a patient's series; `rows` are the lines of `series.tsv`."""

    exams: tuple[ExamChoice, ...]
    rows: tuple[Mapping[str, object], ...]
    findings: tuple[Finding, ...]


def decide(
    patient: str,
    series: Iterable[Series],
    overrides: Mapping[str, Override],
    volume_of: Callable[[Series], Volume],
) -> Decision:
    """Recognise all series of one patient, group them into exams, and choose one per sequence and exam.

    A chosen series is looked at: one whose fluid is bright where it should be dark, or a T1w that enhances over its
    T1ce, is not used until a person has said what it is. What a person said is not questioned.

    Args:
        overrides: what a person decided, by uid of the series; see `overrides.read_overrides`.
        volume_of: converts a series; a DataError keeps it aside.

    Raises: DataError: naming the line of overrides, if two of them fill one place, or an exam is not there.
    """
    listed = tuple(series)
    exams = _exams(listed, overrides)
    told = {one.uid: _overridden(recognise(one), overrides.get(one.uid)) for one in listed}
    choices, lost = [], dict[str, str]()
    for exam in exams:
        desk = _Desk(exam, told, overrides, volume_of, {})
        chosen = desk.chosen()
        told, lost = desk.told, lost | desk.lost
        choices.append(ExamChoice(exam, chosen))
    rows = tuple(_rows(patient, listed, choices, told, lost, overrides))
    return Decision(tuple(choices), rows, tuple(_findings(patient, listed, choices, told)))


def _exams(series: Several[Series], overrides: Mapping[str, Override]) -> tuple[ExamSeries, ...]:
    here = {one.uid for one in series}
    moved: dict[str, int] = {}
    exams = exams_of(series)
    for uid, override in overrides.items():
        if uid in here and override.exam is not None:
            if not 1 <= override.exam <= len(exams):
                raise override.row.error(f"column exam: there is no exam {override.exam}, but 1 to {len(exams)}")
            moved[uid] = override.exam
    return exams_of(series, moved)


def _overridden(recognised: Recognised, override: Override | None) -> Recognised:
    if override is None:
        return recognised
    aside = "not to be used" if override.sequence is None else None
    said = f"overrides.tsv says {override.sequence or 'none'}"
    return replace(recognised, sequence=override.sequence, aside=aside, reasons=(said,), contrast_stated=True)


class _Desk:
    """One exam while it is decided on: what each series is taken for, and the volumes seen so far."""

    def __init__(
        self,
        exam: ExamSeries,
        told: Mapping[str, Recognised],
        overrides: Mapping[str, Override],
        volume_of: Callable[[Series], Volume],
        volumes: dict[str, Volume],
    ) -> None:
        self.exam, self.told, self.overrides = exam, dict(told), overrides
        self.volume_of, self.volumes = volume_of, volumes
        self.lost: dict[str, str] = {}

    def chosen(self) -> dict[Sequence, Chosen]:
        """Choose, look, and choose again without what the voxels contradict, until nothing does."""
        self._refuse_double_overrides()
        while True:
            picked = {sequence: self._pick(sequence) for sequence in SEQUENCES}
            found = {sequence: one for sequence, one in picked.items() if one is not None}
            if not (self._contradicts_fluid(found) or self._contradicts_contrast(found) or self._finds_contrast(found)):
                return found

    def _candidates(self, sequence: Sequence) -> list[Series]:
        return [one for one in self.exam.series if self.told[one.uid].sequence == sequence and one.trouble is None]

    def _pick(self, sequence: Sequence) -> Chosen | None:
        candidates = self._candidates(sequence)
        said = [one for one in candidates if one.uid in self.overrides]
        if not candidates:
            return None
        best, before = choose(said or candidates)
        others = {one.uid: before.get(one.uid, "overrides.tsv says so") for one in candidates if one is not best}
        for uid, why in others.items():
            self.lost[uid] = f"series {short_key(best.uid)} was taken: {why}"
        told = tuple(f"taken before series {short_key(uid)}: {why}" for uid, why in others.items())
        self.lost.pop(best.uid, None)
        return Chosen(best, (*self.told[best.uid].reasons, *told))

    def _volume(self, series: Series) -> Volume | None:
        """The volume of a series; None takes it out of the exam, with the reason."""
        if series.uid not in self.volumes:
            try:
                self.volumes[series.uid] = self.volume_of(series)
            except DataError as error:
                self._doubt(series, f"cannot be converted: {error.message}")
                return None
        return self.volumes[series.uid]

    def _doubt(self, series: Series, why: str) -> None:
        self.told[series.uid] = doubted(self.told[series.uid], why)

    def _contradicts_fluid(self, found: Mapping[Sequence, Chosen]) -> bool:
        before = dict(self.told)
        for sequence, one in found.items():
            volume = self._volume(one.series)
            seen = None if volume is None or one.series.uid in self.overrides else fluid(volume)
            if seen is not None and seen != FLUID[sequence]:
                self._doubt(one.series, f"but fluid is {seen} on it, and {FLUID[sequence]} on {sequence}")
        return self.told != before

    def _gain(self, before: Series, after: Series) -> float | None:
        first, second = self._volume(before), self._volume(after)
        if first is None or second is None or before.frame is None or before.frame != after.frame:
            return None
        return enhancement(first, second)

    def _contradicts_contrast(self, found: Mapping[Sequence, Chosen]) -> bool:
        if "T1w" not in found or "T1ce" not in found:
            return False
        plain, after = found["T1w"].series, found["T1ce"].series
        if plain.uid in self.overrides and after.uid in self.overrides:
            return False
        gain = self._gain(plain, after)
        if gain is None or gain > -_ENHANCES:
            return False
        for one in (plain, after):
            if one.uid not in self.overrides:
                self._doubt(one, "but the T1w of this exam enhances over its T1ce: they may be swapped")
        return True

    def _finds_contrast(self, found: Mapping[Sequence, Chosen]) -> bool:
        """Of several T1 about whose contrast nothing is said, one that enhances is T1ce."""
        silent = [one for one in self._candidates("T1w") if not self.told[one.uid].contrast_stated]
        if "T1ce" in found or "T1w" not in found:
            return False
        plain = found["T1w"].series
        for one in silent:
            gain = self._gain(plain, one) if one is not plain else None
            if gain is not None and (gain > _ENHANCES or (gain < -_ENHANCES and plain in silent)):
                after, other = (one, plain) if gain > 0 else (plain, one)
                why = f"it enhances over series {short_key(other.uid)}, so it is after contrast"
                self.told[after.uid] = replace(
                    self.told[after.uid],
                    sequence="T1ce",
                    reasons=(*self.told[after.uid].reasons, why),
                    contrast_stated=True,
                )
                return True
        return False

    def _refuse_double_overrides(self) -> None:
        seen: dict[Sequence, Override] = {}
        for one in self.exam.series:
            override = self.overrides.get(one.uid)
            if override is None or override.sequence is None:
                continue
            if override.sequence in seen:
                line = seen[override.sequence].row.line
                raise override.row.error(
                    f"column sequence: {override.sequence} of exam {self.exam.number} is given on line {line} already"
                )
            seen[override.sequence] = override


def _findings(
    patient: str, series: Several[Series], choices: Several[ExamChoice], told: Mapping[str, Recognised]
) -> Iterable[Finding]:
    placed = {one.uid for choice in choices for one in choice.exam.series}
    for one in series:
        doubt = finding(patient, short_key(one.uid), told[one.uid])
        if doubt is not None:
            yield doubt
        elif told[one.uid].sequence is not None and one.trouble is not None:
            what = f"series {short_key(one.uid)} ({told[one.uid].sequence}) cannot be used: {one.trouble}"
            yield Finding("warning", patient, what, "Send the series again, or use another of the exam.")
        if one.kind == "MR" and one.uid not in placed:
            what = f"series {short_key(one.uid)} has no date and belongs to no exam"
            yield Finding("warning", patient, what, "Give its exam in overrides.tsv.")
    for choice in choices:
        hours = hours_between(choice.exam)
        if hours > _PAUSE_HOURS:
            what = f"exam {choice.exam.number} holds series that were taken {hours:.0f} hours apart"
            yield Finding(
                "warning", patient, what, "If an operation lies between, say none for one half in overrides.tsv."
            )


def _rows(
    patient: str,
    series: Several[Series],
    choices: Several[ExamChoice],
    told: Mapping[str, Recognised],
    lost: Mapping[str, str],
    overrides: Mapping[str, Override],
) -> Iterable[Mapping[str, object]]:
    exams = {one.uid: choice.exam.number for choice in choices for one in choice.exam.series}
    chosen = {one.series.uid: one for choice in choices for one in choice.chosen.values()}
    for one in series:
        what = told[one.uid]
        why = chosen[one.uid].reasons if one.uid in chosen else what.reasons
        if one.uid not in chosen:
            why = (*why, *(text for text in (one.trouble, lost.get(one.uid)) if text and what.sequence))
        yield {
            "patient": patient,
            "exam": exams.get(one.uid),
            "place": None,
            "series": short_key(one.uid),
            "sequence": what.sequence or "none",
            "used": one.uid in chosen,
            "taken_for": what.sequence or what.aside or "unknown",
            "by": "overrides.tsv" if one.uid in overrides else "header",
            "three_d": one.three_d,
            "plane": one.plane,
            "slices": one.slices,
            "slice_mm": None if one.spacing_mm is None else round(one.spacing_mm[2], 2),
            "names": " ".join(one.names) or None,
            "why": "; ".join(why) or None,
        }


def write_series_table(path: Path, decisions: Iterable[Decision]) -> None:
    """Write `series.tsv`: every series, what it was taken for and why. Lines can be copied into `overrides.tsv`."""
    columns = ["patient", "exam", "series", "sequence", "used", "taken_for", "by", "three_d", "plane", "slices"]
    write_table(path, [*columns, "slice_mm", "names", "place", "why"], [row for one in decisions for row in one.rows])
