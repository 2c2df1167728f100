"""Which plans make one course, and from which day to which day it was given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise

from flame.dicom.therapy.objects import Source
from flame.dicom.therapy.plan import Plan, last_day, read_planned
from flame.dicom.therapy.treatment_records import Delivered, delivered_by, read_treatment_record
from flame.errors import DataError
from flame.records.patient import Arm, Course

__all__ = ["LONGEST_BREAK", "DatedCourse", "Part", "courses", "read_plan"]

LONGEST_BREAK = 90
"""Days between two plans of one course; a plan that starts later is irradiation anew."""

_MONDAY = date(2001, 1, 1)


@dataclass(frozen=True)
class Part:
    """A plan as it was given: `fractions` of it from `start` to `end`; `recorded` is the day of the last record."""

    plan: Plan
    fractions: int
    start: date
    end: date
    recorded: date | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Share of the plan that was given, 0 to 1."""
        return self.fractions / self.plan.fractions

    @property
    def prescription_gy(self) -> float:
        """What the fractions given were to bring [Gy; Gy(RBE) for ions]."""
        return self.plan.prescription_gy * self.share


@dataclass(frozen=True)
class DatedCourse:
    """A course with its calendar days, shifted as all dates of the patient.

    Attributes:
        prescription_gy: the sum of its plans [Gy; Gy(RBE) for ions].
        parts: its plans in order of start.
        notes: what was seen and assumed, in words that tell of nobody.
        doubts: what a person has to look at, for if it is not so the course is wrong.
    """

    arm: Arm
    prescription_gy: float
    fractions: int
    start: date
    end: date
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def since(self, origin: date) -> Course:
        """The course in days since `origin`, which is day 0. No RBE model is known: no plan names one."""
        start, end = ((day - origin).days for day in (self.start, self.end))
        return Course(self.arm, self.prescription_gy, self.fractions, start, end)


def read_plan(source: Source, origin: date | None = None, records: Sequence[Source] = ()) -> Course:
    """Read an RTPLAN or RT Ion Plan as a course.

    Args:
        source: a file or its content.
        origin: the calendar day that is day 0; None for the start of this course.
        records: treatment records; those of other plans are passed by.

    Returns: the course. Without records it starts on the day of the plan, with five fractions a week.
    Raises: DataError: as `read_planned` and `read_treatment_record`; a plan without a day where `origin` asks for it.
    """
    plan = read_planned(source)
    delivered = tuple(one for one in map(read_treatment_record, records) if one is not None and one.plan == plan.uid)
    if origin is None and plan.day is None:
        plan = replace(plan, day=_MONDAY)
    (course,) = courses((plan,), delivered)
    return course.since(course.start if origin is None else origin)


def courses(plans: Sequence[Plan], delivered: Sequence[Delivered] = ()) -> tuple[DatedCourse, ...]:
    """Gather a patient's plans into courses.

    Plans that follow one another within `LONGEST_BREAK` days are one course: a boost belongs to what it boosts. Where
    there are records, a plan without any was not given. Where there are none, approved plans go before unapproved ones.

    Args:
        plans: of one patient, in any order; a plan that comes twice counts once.
        delivered: from treatment records.

    Returns: courses in order of start.
    Raises: DataError: if a plan has neither a record nor a day.
    """
    distinct = tuple({plan.uid: plan for plan in plans}.values())
    chosen, notes, doubts = _given(distinct, delivered)
    parts = sorted((_part(plan, delivered_by(delivered, plan.uid)) for plan in chosen), key=lambda one: one.start)
    groups: list[list[Part]] = []
    for part in parts:
        if groups and (part.start - max(one.end for one in groups[-1])).days <= LONGEST_BREAK:
            groups[-1].append(part)
        else:
            groups.append([part])
    return tuple(_course(group, notes, doubts) for group in groups)


def _given(
    plans: tuple[Plan, ...], delivered: Sequence[Delivered]
) -> tuple[tuple[Plan, ...], tuple[str, ...], tuple[str, ...]]:
    """The plans that were given as far as anything tells, a note on the others, and a doubt if they may have been."""
    recorded = tuple(plan for plan in plans if delivered_by(delivered, plan.uid))
    if recorded:
        rest = [plan for plan in plans if plan not in recorded]
        notes = (f"{len(rest)} plans without a treatment record are left out",) if rest else ()
        return (recorded, notes, ()) if all(plan.approved is False for plan in rest) else (recorded, (), notes)
    chosen = tuple(plan for plan in plans if plan.approved) or plans
    left = len(plans) - len(chosen)
    return chosen, (f"{left} plans that are not approved are left out",) if left else (), ()


def _part(plan: Plan, records: tuple[Delivered, ...]) -> Part:
    """When a plan was given, by its records, else by its day and five fractions a week."""
    if not records:
        if plan.day is None:
            raise DataError(
                "A plan has neither a treatment record nor a day of its own",
                "Bring in its treatment records.",
            )
        end = plan.day + timedelta(last_day(plan.fractions))
        doubt = "start is the day of the plan, end follows from five fractions a week: no treatment record is there"
        return Part(plan, plan.fractions, plan.day, end, doubts=(doubt,))
    start, last = records[0].day, records[-1].day
    given = {(group, number or -one.day.toordinal()) for one in records for group, number in one.fractions}
    notes_, end = [], last
    first = min((number for _, number in given if number > 0), default=1)
    if first > 1:
        notes_.append(f"the first fraction on record is number {first}")
    if any(one.partial for one in records):
        notes_.append("a fraction was stopped before its end")
    if len(given) < plan.fractions:
        end = max(last, start + timedelta(last_day(plan.fractions)))
        notes_.append(
            f"{len(given)} of {plan.fractions} fractions are on record; the end follows from five fractions a week"
        )
    if len(given) > plan.fractions:
        notes_.append(f"{len(given)} fractions are on record, {plan.fractions} were planned")
    return Part(plan, min(len(given), plan.fractions), start, end, last, tuple(notes_))


def _course(parts: Sequence[Part], notes: tuple[str, ...], doubts: tuple[str, ...]) -> DatedCourse:
    """One course of plans in order of start."""
    settled = tuple(_settled(part, parts[place + 1 :]) for place, part in enumerate(parts))
    arm, seen = _arm(settled)
    if len({part.plan.frame for part in settled}) > 1:
        seen.append("its plans lie in different frames of reference")
    fractions, start = sum(part.fractions for part in settled), settled[0].start
    end = max(part.end for part in settled)
    if any(later.start <= part.end for part, later in pairwise(settled)):
        seen.append("its plans overlap in time; their prescriptions were added")
        if not any(part.recorded for part in settled):
            # A base and its boost are often planned on one day.
            end = max(end, start + timedelta(last_day(fractions)))
    if len(settled) > 1 and not any(part.recorded for part in settled):
        doubts += (f"no treatment record tells which of {len(settled)} plans were given; all are counted",)
    own = [note for part in settled for note in (*part.plan.notes, *part.notes)]
    return DatedCourse(
        arm,
        sum(part.prescription_gy for part in settled),
        fractions,
        start,
        end,
        settled,
        tuple(dict.fromkeys((*notes, *seen, *own))),
        tuple(dict.fromkeys((*doubts, *(doubt for part in settled for doubt in part.doubts)))),
    )


def _settled(part: Part, later: Sequence[Part]) -> Part:
    """A plan that is not fully on record: left for another of the same particle, or records are missing.

    Only where another plan takes over is it known that the rest was not given.
    """
    if part.recorded is None or part.fractions == part.plan.fractions:
        return part
    recorded = part.recorded
    if any(one.plan.particle == part.plan.particle and one.start > recorded for one in later):
        note = f"a plan of {part.plan.fractions} fractions was left for another after {part.fractions}"
        return replace(part, end=recorded, notes=(*(one for one in part.notes if " are on record; " not in one), note))
    return replace(part, fractions=part.plan.fractions)


def _arm(parts: Sequence[Part]) -> tuple[Arm, list[str]]:
    """Arm of a course: its one particle, else the heaviest, with a note."""
    particles = {part.plan.particle for part in parts}
    heaviest: Arm = "carbon" if "carbon" in particles else "proton" if "proton" in particles else "photon"
    if len(particles) == 1:
        return heaviest, []
    what = " then ".join(
        f"{part.plan.particle} {part.prescription_gy:.4g} Gy in {part.fractions} fractions" for part in parts
    )
    return heaviest, [f"one course of {what}; its arm is {heaviest}"]
