"""What is predicted: the exam nearest to each planned horizon."""

from tests.models.patients import patient

from flame.learning.targets import HORIZONS, horizons_of, targets

END = 42


def found(*days: int) -> dict[int, int]:
    one = patient(radii_mm=(10.0,) * len(days), days=days)
    return {target.nominal: target.horizon for target in targets(one, one.courses[0], HORIZONS)}


def test_an_exam_counts_for_the_horizon_it_is_near() -> None:
    assert found(-14, END + 28, END + 85, END + 200) == {91: 85, 182: 200}


def test_of_two_exams_the_nearer_counts() -> None:
    assert found(-14, END + 80, END + 95) == {91: 95}


def test_an_exam_between_horizons_counts_for_none() -> None:
    assert found(-14, END + 130) == {}


def test_before_radiotherapy_the_first_follow_up_is_predicted_too() -> None:
    assert horizons_of("pre_rt") == (28, *horizons_of("first_post_rt"))
