"""What a state looks like, and label maps by a perfect and by a real reader."""

from dataclasses import replace

import numpy as np
import pytest

from flame.physics.growth import empty_state
from flame.records.patient import LABELS
from flame.virtual.observation import ENHANCING, appearance, core_ml, label_map, reader_errors


def rim_tumour(shape):
    """A viable shell of 12 to 20 mm around a necrotic core, off the fluid, with a sparse margin to 24 mm."""
    x, y, z = np.indices(shape) - np.array([8.5, 13.5, 13.5])[:, None, None, None]
    radius_mm = 4.0 * np.sqrt(x**2 + y**2 + z**2)
    viable = np.where((radius_mm >= 12) & (radius_mm < 20), 0.9, np.where(radius_mm < 24, 0.2, 0.0))
    viable[radius_mm < 12] = 0.05
    return replace(
        empty_state(shape),
        viable=viable.astype(np.float32),
        necrosis=np.where(radius_mm < 12, 0.9, 0).astype(np.float32),
    ), radius_mm


def test_a_rim_is_enhancing_its_middle_necrotic_its_surroundings_oedema(head):
    shape = head.brain.shape
    state, radius_mm = rim_tumour(shape)
    labels = label_map(appearance(state, head, 4.0, 1.0, np.zeros(shape, bool)))
    solid = head.brain & (head.csf < 0.6)
    assert set(np.unique(labels[(radius_mm < 12) & solid])) == {LABELS["NETC"]}
    assert set(np.unique(labels[(radius_mm >= 12) & (radius_mm < 20) & solid])) == {LABELS["ET"]}
    assert set(np.unique(labels[(radius_mm >= 20) & (radius_mm < 24) & solid])) == {LABELS["SNFH"]}
    assert labels[~solid].max() == 0
    seen_core = (labels == LABELS["ET"]) | (labels == LABELS["NETC"])
    assert core_ml(state, 4.0) == pytest.approx(np.count_nonzero(radius_mm < 20) * 0.064)
    assert seen_core.sum() * 0.064 <= core_ml(state, 4.0)


def test_oedema_reaches_further_when_vessels_leak_more(head):
    shape = head.brain.shape
    state, _ = rim_tumour(shape)
    none = np.zeros(shape, bool)
    swollen = [np.sum(label_map(appearance(state, head, 4.0, o, none)) == LABELS["SNFH"]) for o in (0.8, 1.3)]
    assert swollen[0] < swollen[1]


def test_cavity_is_label_4_and_nothing_else_is_there(head):
    shape = head.brain.shape
    state, radius_mm = rim_tumour(shape)
    cavity = (radius_mm < 12) & head.brain
    labels = label_map(appearance(state, head, 4.0, 1.0, cavity))
    assert np.array_equal(labels == LABELS["RC"], cavity)


def test_pseudoprogression_looks_like_tumour(head):
    shape = head.brain.shape
    patch = np.zeros(shape, np.float32)
    patch[20:23, 13:16, 13:16] = 2 * ENHANCING
    seen = appearance(empty_state(shape), head, 4.0, 1.0, np.zeros(shape, bool), patch)
    assert np.array_equal(label_map(seen) == LABELS["ET"], patch > 0)
    assert seen.viable.max() == 0


def test_reader_moves_boundaries_a_little_and_without_bias(head):
    shape = head.brain.shape
    state, _ = rim_tumour(shape)
    blurred = replace(state, viable=blur(state.viable), necrosis=blur(state.necrosis))
    seen = appearance(blurred, head, 4.0, 1.0, np.zeros(shape, bool))
    perfect = label_map(seen) == LABELS["ET"]
    box = seen.viable.shape
    volumes, overlaps = [], []
    for seed in range(20):
        drawn = label_map(seen, reader_errors(np.random.default_rng(seed), box, 4.0)) == LABELS["ET"]
        volumes.append(drawn.sum() / perfect.sum())
        overlaps.append(2 * (drawn & perfect).sum() / (drawn.sum() + perfect.sum()))
    assert 0.85 < np.mean(overlaps) < 0.995
    assert np.mean(volumes) == pytest.approx(1.0, abs=0.05)


def blur(field):
    """A gradient instead of a step, as growth gives."""
    out = field.copy()
    for axis in range(3):
        out = (np.roll(out, 1, axis) + 2 * out + np.roll(out, -1, axis)) / 4
    return out


def test_nothing_to_see_gives_an_empty_map(head):
    shape = head.brain.shape
    assert label_map(appearance(empty_state(shape), head, 4.0, 1.0, np.zeros(shape, bool))).max() == 0
