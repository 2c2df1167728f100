"""Views: each later exam in the place of the last one, with only the future to learn from."""

import numpy as np
import pytest
from tests.models.patients import patient

from flame.errors import DataError
from flame.imaging.prepare import Context
from flame.learning.views import views

END = 42
DAYS = (-14, END + 28, END + 91, END + 182, END + 273, END + 365)
RADII = (12.0, 13.0, 14.0, 15.0, 16.0, 17.0)


@pytest.mark.parametrize(
    ("context", "shown", "seen"),
    [
        ("pre_rt", [(-14,), (70,), (133,), (224,)], [5, 4, 3, 2]),
        ("first_post_rt", [(-14, 70), (-14, 133), (-14, 224)], [4, 3, 2]),
    ],
)
def test_later_exams_take_the_place_of_the_last_one(
    context: Context, shown: list[tuple[int, ...]], seen: list[int]
) -> None:
    one = patient(radii_mm=RADII, days=DAYS)
    found = views(one, one.courses[0], context)
    assert [tuple(exam.exam.day for exam in view.exams) for view in found] == shown
    assert [int(np.isfinite(view.days).sum()) for view in found] == seen


@pytest.mark.parametrize("context", ["pre_rt", "first_post_rt"])
def test_no_view_is_asked_for_what_it_shows_or_for_the_past(context: Context) -> None:
    one = patient(radii_mm=RADII, days=DAYS)
    for view in views(one, one.courses[0], context):
        known = np.isfinite(view.days)
        assert (view.days[known] > view.exams[-1].exam.day - END).all()
        assert not view.labels[~known].any()
        assert view.labels[known].any((1, 2, 3)).all()


def test_the_last_exam_begins_no_view_for_it_has_no_future() -> None:
    one = patient(radii_mm=RADII[:3], days=DAYS[:3])
    assert len(views(one, one.courses[0], "first_post_rt")) == 1
    alone = patient(radii_mm=RADII[:2], days=DAYS[:2])
    (own,) = views(alone, alone.courses[0], "first_post_rt")
    assert np.isnan(own.days).all()


def test_what_the_context_needs_is_needed_by_all_views() -> None:
    one = patient(radii_mm=RADII[1:], days=DAYS[1:])
    with pytest.raises(DataError, match="no exam before radiotherapy"):
        views(one, one.courses[0], "first_post_rt")
