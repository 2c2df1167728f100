"""A tumour up to the baseline exam: where it starts, its size, what surgery takes."""

from dataclasses import replace

import numpy as np
import pytest

from flame.physics.anatomy import template
from flame.virtual.observation import core_ml
from flame.virtual.population import draw_case_mix, draw_person
from flame.virtual.tumour import SURGERY_DAY, choose_origin, grow

SPACING_MM = 5.0
ORIGIN = (8, 13, 13)


def patient(resection, core=20.0):
    draws = np.random.default_rng(4)
    person = replace(draw_person(draws, draw_case_mix(draws)), resection=resection, core_ml=core)
    return replace(person, biology=replace(person.biology, rho=0.02, diffusion_white=0.15))


def grown(head, resection, core=20.0):
    return grow(np.random.default_rng(1), head, ORIGIN, patient(resection, core), 4.0)


def test_origin_is_deep_lobar_white_matter_off_the_midline():
    brain = template(SPACING_MM)
    for seed in range(20):
        x, y, z = choose_origin(np.random.default_rng(seed), brain, SPACING_MM)
        assert brain.wm[x, y, z] > 0.7
        assert abs(x - brain.brain.shape[0] / 2) * SPACING_MM > 16
        assert 0.42 < z / brain.brain.shape[2] < 0.82
        assert brain.brain[x - 2 : x + 3, y, z].all()


def test_grows_to_its_volume_and_then_for_three_weeks_more(head):
    tumour = grown(head, "biopsy")
    assert not tumour.cavity.any()
    assert tumour.state.day == SURGERY_DAY + 21 == -14
    assert 20.0 < core_ml(tumour.state, 4.0) < 40.0
    assert tumour.state.viable[head.csf > 0.5].max() == 0
    assert tumour.state.viable[~head.brain].max() == 0


@pytest.mark.parametrize(("resection", "least", "most"), [("partial", 0.2, 0.85), ("gross_total", 0.8, 1.6)])
def test_surgery_leaves_a_cavity_without_cells(head, resection, least, most):
    tumour = grown(head, resection)
    taken_ml = tumour.cavity.sum() * 0.064
    assert least * 20.0 < taken_ml < most * 25.0
    assert tumour.state.viable[tumour.cavity].max() == 0
    assert tumour.state.necrosis[tumour.cavity].max() == 0
    assert core_ml(tumour.state, 4.0) < core_ml(grown(head, "biopsy").state, 4.0)
    assert tumour.state.viable.max() > 0.1, "surgery never cures: infiltrating cells are left"


def test_same_stream_same_tumour(head):
    assert np.array_equal(grown(head, "partial").state.viable, grown(head, "partial").state.viable)
