"""Patients held back: who they are, and a score that a second implementation gives too."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.learning.stores import store

from flame.learning.samples import SampleStore
from flame.learning.training import usable_rows
from flame.learning.validation import FEWEST, held_back, score
from flame.metrics.overlap import dice
from flame.models.blocks import unfold
from flame.models.encoding import region_maps
from flame.models.networks import build_network
from flame.models.weights import get_arrays

STORES = [store([(10.0 + n, 12.0 + n, 15.0 + n, 9.0) for n in range(5)])]


def many(patients: int) -> list[SampleStore]:
    """A store of so many patients that can be counted, not looked at."""
    days = np.repeat(STORES[0].days[:1], patients, axis=0)
    return [replace(STORES[0], patients=tuple(f"p{n}" for n in range(patients)), days=days)]


def test_a_share_is_held_back_and_no_score_speaks_of_a_few() -> None:
    stores = many(20)
    rows = usable_rows(stores, "evolution")
    assert [len(held_back(stores, "evolution", share, 1)) for share in (0.01, 0.3, 0.5)] == [FEWEST, 6, 10]
    assert set(held_back(stores, "evolution", 0.4, 1)) < set(rows)
    assert held_back(many(2 * FEWEST - 1), "evolution", 0.5, 1) == ()
    assert len(held_back(many(2 * FEWEST), "evolution", 0.5, 1)) == FEWEST


def test_who_is_held_back_follows_from_the_seed_and_stays_when_another_patient_leaves() -> None:
    stores, fewer = many(20), many(19)
    chosen = held_back(stores, "evolution", 0.4, 1)
    assert chosen == held_back(stores, "evolution", 0.4, 1)
    assert {held_back(stores, "evolution", 0.4, seed) for seed in range(8)} != {chosen}
    assert len(set(chosen) & set(held_back(fewer, "evolution", 0.4, 1))) >= len(chosen) - 1


def test_the_score_of_maps_is_their_mean_dice_over_patients_regions_and_horizons() -> None:
    network = build_network("evolution", "unet", "first_post_rt", 0)
    rows = ((0, 1), (0, 3))
    found = score(network, get_arrays(network), STORES, rows, "evolution")
    samples, patients = STORES[0], []
    for _, place in rows:
        seen = np.isfinite(samples.days[place])
        with torch.inference_mode():
            logits = network(
                torch.from_numpy(samples.volumes[place : place + 1].astype(np.float32)),
                torch.from_numpy(samples.scalars[place : place + 1]),
                torch.from_numpy(samples.days[place : place + 1, seen]),
            )
        maps = unfold(logits)[0].numpy() > 0
        truth = [region_maps(label_map) for label_map in samples.labels[place][seen]]
        patients.append(np.mean([dice(maps[h, r], truth[h][r]) for h in range(len(maps)) for r in range(3)]))
    assert found == pytest.approx(np.mean(patients), abs=1e-6)
    assert 0 < found < 1


def test_the_score_of_a_probability_is_one_minus_its_squared_error() -> None:
    stores = [store([(20.0, 18.0, 15.0, 12.0), (20.0, 15.0, 15.0, 25.0), (18.0, 16.0, 14.0, 12.0)])]
    network = build_network("response", "prevalence", "first_post_rt", 0)
    arrays = {name: np.full_like(array, np.log(3)) for name, array in get_arrays(network).items()}
    rows = usable_rows(stores, "response")
    wrong = [0.75 - stores[0].responder[place] for _, place in rows]
    assert score(network, arrays, stores, rows, "response") == pytest.approx(1 - np.mean(np.square(wrong)), abs=1e-6)
