"""A patient is unlike the training data where many inputs, or one by far, lie outside of it."""

from dataclasses import replace

import numpy as np
import pytest
from tests.models.patients import patient

from flame.models.encoding import Inputs, encode
from flame.models.familiarity import InputSummary, feature_names, features, judge, summarise

CONTEXT = "pre_rt"


def seen(seed: int, radius_mm: float = 20.0, **record: object) -> Inputs:
    made = patient(radii_mm=(radius_mm,), days=(-14,), seed=seed)
    return encode(replace(made, patient=replace(made.patient, **record)), made.courses[0], CONTEXT)


def row(inputs: Inputs) -> np.ndarray:
    return features(inputs.scalars, inputs.halved, CONTEXT)


@pytest.fixture(scope="module")
def summary() -> InputSummary:
    draws = np.random.default_rng(3)
    rows = [
        row(seen(number, radius, age=age))
        for number, (radius, age) in enumerate(draws.normal((20, 60), (3, 8), (40, 2)))
    ]
    found = summarise(rows, CONTEXT)
    assert found is not None
    return found


def test_figures_are_means_and_deviations_over_patients(summary: InputSummary) -> None:
    rows = np.array([row(seen(number)) for number in range(3)])
    three = summarise(rows, CONTEXT)
    assert three is not None
    assert (three.patients, summary.patients) == (3, 40)
    at = three.names.index("baseline_T1w_brightness")
    column = feature_names(CONTEXT).index("baseline_T1w_brightness")
    assert three.mean[at] == pytest.approx(rows[:, column].mean())
    assert three.deviation[at] == pytest.approx(rows[:, column].std(ddof=1))


def test_one_like_the_others_is_familiar(summary: InputSummary) -> None:
    assert not judge(seen(99, 21.0, age=55.0), CONTEXT, summary).unlike


def test_what_is_known_of_nobody_else_and_other_images_are_named(summary: InputSummary) -> None:
    stranger = seen(99, 21.0, age=None)
    assert [one.name for one in judge(stranger, CONTEXT, summary).outside] == ["age_unknown"]  # 0 in all of training
    bright = Inputs(stranger.volumes * np.float16(3), stranger.scalars)
    found = judge(bright, CONTEXT, summary)
    assert found.unlike
    assert any(one.name.startswith("baseline_T2w") for one in found.outside)
    assert [one.deviations for one in found.outside] == sorted((one.deviations for one in found.outside), reverse=True)


def test_a_missing_sequence_is_not_compared_as_an_image(summary: InputSummary) -> None:
    inputs = seen(99)
    names = [name for name in feature_names(CONTEXT) if name.startswith("baseline_FLAIR")]
    without = inputs.volumes.copy()
    without[7 + 3] = 0  # after three distances, brain and three grids of dose: T1w, T1ce, T2w, FLAIR
    lacking = Inputs(without, inputs.scalars)
    values = dict(zip(feature_names(CONTEXT), row(lacking), strict=True))
    assert len(names) == 3
    assert all(np.isnan(values[name]) for name in names)
    assert not {one.name for one in judge(lacking, CONTEXT, summary).outside} & set(names)


def test_nothing_is_said_of_one_patient() -> None:
    assert summarise([row(seen(1))], CONTEXT) is None
