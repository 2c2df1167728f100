"""Exams: what belongs to one visit, and where a visit lies by the courses."""

import datetime

import numpy as np
import pytest
from tests.dicom.scanner import series

from flame.dicom.images.exams import by_courses, exams_of, hours_between, when
from flame.dicom.series import series_of

EMPTY = np.ones((2, 4, 4), int)


def taken(*moments, study="study"):
    made = []
    for i, moment in enumerate(moments):
        made += series(EMPTY, name=f"{moment}/{i}", study=study, moment=datetime.datetime.fromisoformat(moment))
    return series_of(made)


def days(exams):
    return [(exam.number, str(exam.date), len(exam.series)) for exam in exams]


def test_a_day_is_an_exam_whatever_the_studies():
    listed = [*taken("2020-01-01T09:00"), *taken("2020-01-01T16:30", study="other"), *taken("2020-02-01T09:00")]
    assert days(exams_of(listed)) == [(1, "2020-01-01", 2), (2, "2020-02-01", 1)]
    assert hours_between(exams_of(listed)[0]) == 7.5


def test_an_exam_across_midnight_is_one():
    assert days(exams_of(taken("2020-01-01T23:40", "2020-01-02T00:20"))) == [(1, "2020-01-01", 2)]
    assert days(exams_of(taken("2020-01-01T09:00", "2020-01-02T09:00"))) == [(1, "2020-01-01", 1), (2, "2020-01-02", 1)]


def test_a_series_without_a_date_joins_its_study():
    images = series(EMPTY, name="dateless")
    for image in images:
        for kind in ("Study", "Series", "Acquisition"):
            delattr(image, f"{kind}Date")
    listed = [*taken("2020-01-01T09:00"), *series_of(images)]
    assert days(exams_of(listed)) == [(1, "2020-01-01", 2)]
    assert exams_of(series_of(images)) == ()


def test_what_is_not_mr_makes_no_exam():
    images = series(EMPTY, header={"Modality": "CT"})
    assert exams_of(series_of(images)) == ()


def test_a_series_can_be_moved_and_numbers_stay():
    listed = taken("2020-01-01T09:00", "2020-01-03T09:00", "2020-02-01T09:00")
    assert days(exams_of(listed, {listed[1].uid: 1})) == [(1, "2020-01-01", 2), (3, "2020-02-01", 1)]
    with pytest.raises(ValueError, match="there is no exam 4, but 3"):
        exams_of(listed, {listed[1].uid: 4})


@pytest.mark.parametrize(
    ("day", "place"),
    [(-7, "before"), (0, "before"), (1, "during"), (41, "during"), (42, "after")],
)
def test_place_by_a_course(day, place):
    assert when(day, 0, 41) == place


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (-7, "7 days before course 1"),
        (0, "on the first day of course 1"),
        (20, "during course 1, 20 days after its start"),
        (42, "1 day after the end of course 1 and 358 days before course 2"),
        (500, "90 days after the end of course 2"),
    ],
)
def test_place_by_two_courses(day, words):
    assert by_courses(day, [(0, 41), (400, 410)]) == words
