"""Batches: windows and mirror images that keep images and labels together."""

import numpy as np
import torch
from tests.learning.stores import store

from flame.learning.batches import WINDOW_SHARE, evolution_batch, response_batch
from flame.models.encoding import region_maps

STORES = [store([(10.0, 15.0, 15.0, 15.0), (15.0, 15.0, 15.0, 15.0)]), store([(12.0, 20.0, 20.0, 20.0)])]


def test_images_and_labels_are_cut_and_mirrored_together() -> None:
    # The tumour is the same at the last exam and at every horizon, so the distances must agree with the labels.
    for seed in range(8):
        batch = evolution_batch(STORES, [(0, 0), (1, 0)], torch.Generator().manual_seed(seed))
        side = int(16 * WINDOW_SHARE) // 8 * 8
        assert batch.volumes.shape[2:] == (side, side, side)
        for sample in range(2):
            truth = region_maps(batch.labels[sample, 0].numpy())
            assert ((batch.volumes[sample, :3] > 0).numpy() == truth).all()


def test_a_horizon_that_was_not_seen_is_masked() -> None:
    batch = evolution_batch(STORES, [(0, 0)], torch.Generator().manual_seed(0))
    assert batch.seen.tolist() == [[True, True, False, False]]
    assert batch.days.tolist() == [[91.0, 182.0, 0.0, 0.0]]


def test_a_missing_sequence_stays_missing() -> None:
    one = store([(10.0, 15.0, 15.0, 15.0)])
    volumes = one.volumes.copy()
    volumes[:, 7] = 0
    blank = type(one)(**{**one.__dict__, "volumes": volumes})
    batch = evolution_batch([blank], [(0, 0)], torch.Generator().manual_seed(3))
    assert (batch.volumes[0, 7] == 0).all()
    assert (batch.volumes[0, 8] != 0).any()


def test_half_of_the_record_is_hidden_and_the_rest_makes_up_for_it() -> None:
    known = STORES[0].scalars[0] + np.float32(3)  # no value is zero by itself
    shown = type(STORES[0])(**{**STORES[0].__dict__, "scalars": np.stack([known, known])})
    generator = torch.Generator().manual_seed(4)
    seen = torch.cat([evolution_batch([shown], [(0, 0)], generator).scalars for _ in range(40)]).numpy()
    assert ((seen == 0) | np.isclose(seen, 2 * known)).all()
    assert 0.45 < (seen == 0).mean() < 0.55
    assert (response_batch([shown], [(0, 0)], generator).scalars.numpy() == known).all()


def test_masks_distances_and_dose_are_not_jittered() -> None:
    batch = response_batch(STORES, [(1, 0)], torch.Generator().manual_seed(1))
    straight = STORES[1].halved[0].astype(np.float32)
    found = batch.volumes[0].numpy()
    fixed = [*range(7), *range(11, 15)]
    same = [np.array_equal(found[c], straight[c]) or np.array_equal(found[c], straight[c][::-1]) for c in fixed]
    assert all(same)
    assert not np.array_equal(found[7], straight[7])
    assert not np.array_equal(found[7], straight[7][::-1])


def test_the_generator_decides_everything() -> None:
    first, second = (evolution_batch(STORES, [(0, 1)], torch.Generator().manual_seed(9)) for _ in range(2))
    assert torch.equal(first.volumes, second.volumes)
