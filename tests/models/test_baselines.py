"""Plain baselines: the last map, and the last map grown to its extrapolated volume."""

import numpy as np
import pytest
from tests.models.patients import ball, patient

from flame.errors import DataError
from flame.models.baselines import LARGEST_FACTOR, Persistence, VolumeTrend
from flame.models.encoding import region_maps


def test_persistence_is_the_last_map_that_the_context_allows() -> None:
    one = patient(radii_mm=(10.0, 15.0, 20.0))
    before = Persistence("pre_rt").predict(one, one.courses[0], 182)
    after = Persistence("first_post_rt").predict(one, one.courses[0], 182)
    assert (before == region_maps(ball(10.0))).all()
    assert (after == region_maps(ball(15.0))).all()


def test_a_volume_that_doubled_doubles_again_in_the_same_time() -> None:
    one = patient(radii_mm=(12.0, 15.0, 20.0), days=(-14, 70, 133))
    maps = VolumeTrend("first_post_rt").predict(one, one.courses[0], 28 + 84)  # another 84 days after day 70
    first, last = region_maps(ball(12.0)).sum((1, 2, 3)), region_maps(ball(15.0)).sum((1, 2, 3))
    expected = np.minimum(last * (last / first), last * LARGEST_FACTOR)
    assert maps.sum((1, 2, 3)) == pytest.approx(expected, abs=0.51)


def test_a_shrinking_tumour_stays_inside_its_last_map() -> None:
    one = patient(radii_mm=(20.0, 15.0, 10.0))
    whole = VolumeTrend("first_post_rt").predict(one, one.courses[0], 91)[2] > 0
    assert whole.any()
    assert not (whole & ~region_maps(ball(15.0))[2]).any()


def test_growth_is_bounded_however_far_the_horizon() -> None:
    one = patient(radii_mm=(9.0, 15.0, 15.0))
    whole = VolumeTrend("first_post_rt").predict(one, one.courses[0], 700)[1]
    assert whole.sum() <= LARGEST_FACTOR * region_maps(ball(15.0))[1].sum() + 1


def test_one_exam_has_no_trend() -> None:
    one = patient()
    course = one.courses[0]
    trend = VolumeTrend("pre_rt").predict(one, course, 91)
    assert (trend == Persistence("pre_rt").predict(one, course, 91)).all()


def test_a_region_that_is_gone_stays_gone() -> None:
    one = patient(radii_mm=(10.0, -20.0, -20.0))
    assert not VolumeTrend("first_post_rt").predict(one, one.courses[0], 365).any()


def test_a_missing_exam_is_named() -> None:
    one = patient(radii_mm=(10.0,), days=(-14,))
    with pytest.raises(DataError, match="14 to 60 days after radiotherapy"):
        Persistence("first_post_rt").predict(one, one.courses[0], 91)
