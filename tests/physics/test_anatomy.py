"""The template against known facts about the atlas, and random subjects."""

import numpy as np
import pytest

from flame.physics.anatomy import Tissue, subject, template
from flame.records.volume import Grid


@pytest.fixture(scope="module")
def coarse():
    return template(4.0)


def test_template_volume_and_place(coarse):
    # The masked atlas holds 1,886,539 voxels of 1 mm.
    assert coarse.brain.sum() * 4.0**3 / 1000 == pytest.approx(1886.5, rel=0.01)
    centre = coarse.grid.affine[:3, :3] @ np.argwhere(coarse.brain).mean(axis=0) + coarse.grid.affine[:3, 3]
    # The atlas is symmetric about x = 0; its centre of volume lies behind and above the anterior commissure.
    assert centre == pytest.approx([0, -20, 10], abs=4)
    assert np.diag(coarse.grid.affine).tolist() == [4.0, 4.0, 4.0, 1.0]


def test_template_is_symmetric_about_its_middle_plane(coarse):
    x = np.arange(coarse.brain.shape[0]) * 4.0 + coarse.grid.affine[0, 3]
    for tissue in (coarse.wm, coarse.gm, coarse.csf, coarse.t1):
        profile = tissue.sum(axis=(1, 2))
        assert (profile * x).sum() / profile.sum() == pytest.approx(0.0, abs=0.5)


def test_tissue_adds_up_to_1_in_the_brain_and_0_outside(coarse):
    moved = subject(np.random.default_rng(1), coarse, (12, 25, 22), 15.0)
    for tissue in (coarse, moved):
        total = tissue.wm + tissue.gm + tissue.csf
        assert total[tissue.brain] == pytest.approx(1.0, abs=1e-5)
        assert total[~tissue.brain].max() == 0
        for array in (tissue.wm, tissue.gm, tissue.csf, tissue.t1):
            assert array.dtype == np.float32
            assert array.flags.c_contiguous
            assert array.min() >= 0


def test_t1_tells_white_from_grey_matter(coarse):
    assert np.median(coarse.t1[coarse.wm > 0.9]) == pytest.approx(1.0, abs=0.01)
    # Ratio of the atlas' own medians, 166 / 222.
    assert np.median(coarse.t1[coarse.gm > 0.9]) == pytest.approx(0.75, abs=0.03)


def test_spacing_need_not_divide_the_atlas():
    brain = template(7.5)
    assert brain.brain.sum() * 7.5**3 / 1000 == pytest.approx(1886.5, rel=0.02)
    assert brain.grid.spacing_mm == (7.5, 7.5, 7.5)


def test_spacing_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"0\.5"):
        template(0.5)


def test_subject_belongs_to_its_generator(coarse):
    first, second, other = (subject(np.random.default_rng(seed), coarse, (12, 25, 22), 15.0) for seed in (1, 1, 2))
    assert first.wm.tobytes() == second.wm.tobytes()
    assert first.wm.tobytes() != other.wm.tobytes()


def test_subjects_vary_in_size_as_the_scales_drawn(coarse):
    volumes = [subject(np.random.default_rng(seed), coarse).brain.sum() / coarse.brain.sum() for seed in range(12)]
    # Volume is the product of three scales of 1 +- sqrt(0.03^2 + 0.015^2): a spread of 5.8 %.
    assert np.mean(volumes) == pytest.approx(1.0, abs=0.06)
    assert 0.02 < np.std(volumes) < 0.12


def test_mass_effect_moves_tissue_near_the_tumour_only(coarse):
    centre, radius_mm = (12, 25, 22), 20.0
    without = subject(np.random.default_rng(5), coarse)
    with_mass = subject(np.random.default_rng(5), coarse, centre, radius_mm)
    changed = np.abs(with_mass.t1 - without.t1)
    distance = 4.0 * np.sqrt(((np.indices(coarse.brain.shape).T - centre) ** 2).sum(axis=-1)).T
    assert changed[distance > 8 * radius_mm].max(initial=0) == 0
    ring = (distance > radius_mm) & (distance < 2 * radius_mm) & without.brain
    far = (distance > 4 * radius_mm) & without.brain
    assert changed[ring].mean() > 20 * changed[far].mean()
    assert with_mass.brain.sum() == pytest.approx(without.brain.sum(), rel=0.01)


def test_arrays_off_the_grid_are_refused():
    ones = np.ones((2, 2, 2), np.float32)
    with pytest.raises(ValueError, match="t1"):
        Tissue(ones, ones, ones, ones > 0, ones[:1], Grid((2, 2, 2), np.eye(4)))
