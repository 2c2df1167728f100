"""Which series make one exam, and where an exam lies by a course of radiotherapy."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from flame.dicom.series import Series

__all__ = ["ExamSeries", "When", "by_courses", "exams_of", "hours_between", "when"]

When = Literal["before", "during", "after"]
_NIGHT_HOURS = 4.0


@dataclass(frozen=True)
class ExamSeries:
    """The MR series of one imaging visit: its number from 1 in order of time, the day it began, and its series."""

    number: int
    date: datetime.date
    series: tuple[Series, ...]


def exams_of(series: Iterable[Series], moved: Mapping[str, int] | None = None) -> tuple[ExamSeries, ...]:
    """Group MR series into exams.

    Series of one day are one exam, however many studies they are filed under. So are those that go on within four
    hours across midnight. A series without a date joins the exam of its study, if there is just one.

    Args:
        moved: number of the exam to which somebody moved a series, by its uid. Exams are numbered before that.

    Returns: in order of time; series that nobody can place are in none of them.
    Raises: ValueError: if a number is that of no exam.
    """
    images = [one for one in series if one.kind == "MR"]
    groups: list[list[Series]] = []
    for one in sorted((one for one in images if one.date is not None), key=_moment):
        if groups and _goes_on(groups[-1][-1], one):
            groups[-1].append(one)
        else:
            groups.append([one])
    dates = [_date(group[0]) for group in groups]
    for one in (one for one in images if one.date is None):
        places = [group for group in groups if any(other.study == one.study for other in group)]
        if len(places) == 1:
            places[0].append(one)
    for uid, number in (moved or {}).items():
        if not 1 <= number <= len(groups):
            raise ValueError(f"there is no exam {number}, but {len(groups)}")
        found = [one for one in images if one.uid == uid]
        groups = [[one for one in group if one.uid != uid] for group in groups]
        groups[number - 1] += found
    return tuple(
        ExamSeries(number, date, tuple(group))
        for number, (date, group) in enumerate(zip(dates, groups, strict=True), start=1)
        if group
    )


def hours_between(exam: ExamSeries) -> float:
    """The longest pause between two series of an exam [h]; an operation may lie in it."""
    moments = sorted(_moment(one) for one in exam.series if one.date is not None and one.seconds is not None)
    pauses = [_hours(one, other) for one, other in pairwise(moments)]
    return max(pauses, default=0.0)


def when(day: int, start_day: int, end_day: int) -> When:
    """Where a day lies by a course. The first day counts as before: the exam that day is still its baseline."""
    if day <= start_day:
        return "before"
    return "during" if day <= end_day else "after"


def by_courses(day: int, courses: Sequence[tuple[int, int]]) -> str:
    """Where a day lies by several courses (start and end day each, in order), in words.

    It is told by the last course that has begun, else by the first.
    """
    if not courses:
        return "there is no course"
    begun = [number for number, (start, _) in enumerate(courses, start=1) if day > start]
    number = begun[-1] if begun else 1
    start, end = courses[number - 1]
    place = when(day, start, end)
    if place == "before":
        return f"{_days(start - day)} before course {number}" if start > day else f"on the first day of course {number}"
    if place == "during":
        return f"during course {number}, {_days(day - start)} after its start"
    following = f" and {_days(courses[number][0] - day)} before course {number + 1}" if number < len(courses) else ""
    return f"{_days(day - end)} after the end of course {number}{following}"


def _days(count: int) -> str:
    return f"{count} day{'s' if count != 1 else ''}"


def _date(series: Series) -> datetime.date:
    assert series.date is not None
    return series.date


def _moment(series: Series) -> tuple[datetime.date, float]:
    return _date(series), series.seconds or 0.0


def _hours(earlier: tuple[datetime.date, float], later: tuple[datetime.date, float]) -> float:
    return (later[0] - earlier[0]).days * 24 + (later[1] - earlier[1]) / 3600


def _goes_on(last: Series, one: Series) -> bool:
    """Whether a series belongs to the exam of the one before it."""
    if last.date == one.date:
        return True
    if last.seconds is None or one.seconds is None:
        return False
    return _hours(_moment(last), _moment(one)) <= _NIGHT_HOURS
