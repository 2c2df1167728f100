"""Pictures of the trial's patients."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from tests.report.example_pictures import montage_picture

from flame.report.montage import (
    arms_grid,
    baseline_grid,
    draw_arms,
    draw_baseline,
    draw_followup,
    followup_grid,
)
from flame.report.run import PictureData


@pytest.fixture
def patient() -> PictureData:
    arrays, facts = montage_picture("site-1_sub-001", "carbon", np.random.default_rng(3))
    return PictureData("site-1_sub-001", arrays, facts)


def written(figure: Figure) -> list[str]:
    return [text.get_text() for owner in (figure, *figure.axes) for text in owner.texts]


def test_a_row_shows_four_sequences_labels_and_dose(patient: PictureData) -> None:
    grid = baseline_grid([patient])
    figure = Figure(figsize=grid.size_in)
    draw_baseline(figure, [patient])
    assert (grid.rows, grid.columns) == (1, 6)
    assert [len(axes.images) for axes in figure.axes] == [1] * 6
    assert "carbon ions, max 60 Gy(RBE)" in written(figure)


def test_a_sequence_that_was_not_acquired_is_named_and_carries_no_labels(patient: PictureData) -> None:
    arrays = {name: array for name, array in patient.arrays.items() if name != "image_0_FLAIR"}
    patient = replace(patient, arrays=arrays)
    figure = Figure(figsize=followup_grid([patient]).size_in)
    draw_followup(figure, [patient])
    silent = [axes for axes in figure.axes if not axes.images]
    assert len(silent) == written(figure).count("not acquired") == 2
    assert all(not axes.collections for axes in silent)


def test_arms_stand_side_by_side_and_gaps_are_named(patient: PictureData) -> None:
    arrays = {name: array for name, array in patient.arrays.items() if name != "arm_proton_365"}
    patient = replace(patient, arrays=arrays)
    grid = arms_grid(patient)
    figure = Figure(figsize=grid.size_in)
    draw_arms(figure, patient)
    texts = written(figure)
    assert (grid.rows, grid.columns) == (3, 5)
    assert texts.count("not simulated") == 1
    assert texts.index("photons") < texts.index("protons") < texts.index("carbon ions")
    assert texts[texts.index("carbon ions") + 1] == "delivered"
