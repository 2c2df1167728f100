"""The endpoint of a prepared patient."""

import pytest
from tests.models.patients import patient

from flame.learning.endpoint import is_responder

DAYS = (-14, 70, 133, 224)


@pytest.mark.parametrize(
    ("radii", "death_day", "expected"),
    [
        ((20.0, 18.0, 15.0, 12.0), None, True),  # shrinks
        ((20.0, 15.0, 15.0, 25.0), None, False),  # grows by more than 40 % over its nadir by day 182
        ((20.0, 18.0, 15.0), None, None),  # not seen at half a year
        ((20.0, 18.0, 15.0), 150, False),  # dead before
    ],
)
def test_disease_control_at_half_a_year(radii: tuple[float, ...], death_day: int | None, expected: bool | None) -> None:
    one = patient(radii_mm=radii, days=DAYS[: len(radii)], death_day=death_day)
    assert is_responder(one, one.courses[0]) is expected
