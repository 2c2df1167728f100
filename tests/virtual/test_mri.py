"""Synthetic sequences: contrast between tissues, scanner effects, thick slices."""

from dataclasses import replace

import numpy as np
import pytest

from flame.physics.growth import empty_state
from flame.virtual.mri import acquire, make_canvas
from flame.virtual.observation import appearance
from flame.virtual.scanner import Scanner

IDEAL = Scanner(
    field_t=3.0,
    noise=0.0,
    bias=0.0,
    slice_mm=0.1,
    contrast=(1.0, 1.0, 1.0, 1.0),
    gadolinium=1.0,
    scale=100.0,
    misalignment_mm=0.0,
    missing=(0.0, 0.0, 0.0, 0.0),
)


def scene(head, viable_density=0.9):
    """A solid ball of tumour on one side, an old cavity on the other."""
    shape = head.brain.shape
    x, y, z = np.indices(shape)
    ball = (x - 8) ** 2 + (y - 13) ** 2 + (z - 13) ** 2 < 9
    cavity = (x - 20) ** 2 + (y - 13) ** 2 + (z - 13) ** 2 < 6
    state = replace(empty_state(shape), viable=np.where(ball, viable_density, 0).astype(np.float32))
    return appearance(state, head, 4.0, 1.0, cavity), ball, cavity


def scan(head, scanner=IDEAL, seen=None):
    canvas = make_canvas(np.random.default_rng(0), head, 4.0, scanner.field_t)
    return acquire(np.random.default_rng(1), canvas, scene(head)[0] if seen is None else seen, scanner, 4.0)


def test_contrast_between_tissues(head):
    images = scan(head)
    _, ball, cavity = scene(head)
    white, grey, fluid = (head.wm > 0.9) & ~cavity, head.gm > 0.9, head.csf > 0.9
    far = np.indices(head.brain.shape)[1] > 20

    def mean(name, where):
        return float(images[name][where].mean())

    assert mean("T1w", fluid) < mean("T1w", grey) < mean("T1w", white & far)
    assert mean("T2w", white & far) < mean("T2w", grey) < mean("T2w", fluid)
    assert mean("FLAIR", fluid) < mean("FLAIR", white & far)
    assert mean("T1ce", ball) > 1.25 * mean("T1ce", white & far)
    assert mean("T1w", ball) < mean("T1w", white & far)
    assert mean("T2w", cavity) > 2 * mean("T2w", white & far)
    assert mean("FLAIR", cavity) < mean("FLAIR", white & far)


def test_viable_and_dying_tumour_differ(head):
    """Both enhance above the reader's threshold; the viable one is brighter on T1ce and darker on T2w."""
    shape = head.brain.shape
    _, ball, _ = scene(head)
    none = np.zeros(shape, bool)
    dying = replace(empty_state(shape), dying=np.where(ball, 0.9, 0).astype(np.float32))
    alive = replace(empty_state(shape), viable=np.where(ball, 0.9, 0).astype(np.float32))
    dead, live = (scan(head, seen=appearance(state, head, 4.0, 1.0, none)) for state in (dying, alive))
    assert live["T1ce"][ball].mean() > 1.08 * dead["T1ce"][ball].mean()
    assert live["T2w"][ball].mean() < 0.9 * dead["T2w"][ball].mean()


def test_scale_is_only_a_factor(head):
    one, ten = scan(head), scan(head, replace(IDEAL, scale=1000.0))
    assert np.allclose(10 * one["T2w"], ten["T2w"], rtol=1e-5)


def test_noise_has_its_standard_deviation_and_stays_in_the_brain(head):
    clean, noisy = scan(head), scan(head, replace(IDEAL, noise=0.03))
    inside = (head.wm > 0.9) & (clean["T1w"] > 50)
    difference = (noisy["T1w"] - clean["T1w"])[inside]
    assert difference.std() == pytest.approx(3.0, rel=0.05)
    assert not noisy["T1w"][~head.brain].any()


def test_thick_slices_blur_along_z_only(head):
    thin, thick = scan(head), scan(head, replace(IDEAL, slice_mm=12.0))

    def roughness(images, axis):
        return np.square(np.diff(images["T1ce"], axis=axis)).mean()

    assert roughness(thick, 2) < 0.8 * roughness(thin, 2)


def test_late_change_brightens_irradiated_white_matter_on_flair_only(head):
    seen, _, _ = scene(head)
    canvas = make_canvas(np.random.default_rng(0), head, 4.0, 3.0)
    change = np.where(head.wm > 0.9, np.float32(0.1), np.float32(0))
    before = acquire(np.random.default_rng(1), canvas, seen, IDEAL, 4.0)
    after = acquire(np.random.default_rng(1), canvas, seen, IDEAL, 4.0, change)
    far = (head.wm > 0.9) & (np.indices(head.brain.shape)[1] > 20)
    assert np.all(after["FLAIR"][far] > before["FLAIR"][far])
    assert np.array_equal(after["T1ce"], before["T1ce"])
