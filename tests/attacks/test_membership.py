"""An attacker finds out who was trained on when a model learns by heart, and no longer once there is noise."""

import numpy as np
import pytest
from benchmarks.membership import federate, losses, part, told_apart

from flame.federation.job import Crop, Job, Privacy, TrainingSettings
from flame.learning.samples import SampleStore
from flame.models.encoding import scalar_names, volume_names
from flame.site.budget import Cost, epsilon

PATIENTS, SIDE = 60, 8


def random_store(site: str, seed: int) -> SampleStore:
    """Patients whose response follows from nothing: whatever a model knows of it, it has learnt by heart."""
    generator = np.random.default_rng(seed)
    shape = (PATIENTS, len(volume_names("first_post_rt")))
    return SampleStore(
        site=site,
        patients=tuple(f"{site}-{number}" for number in range(PATIENTS)),
        arms=("photon",) * PATIENTS,
        excluded=(),
        volumes=np.zeros((*shape, SIDE, SIDE, SIDE), np.float16),
        halved=np.zeros((*shape, SIDE // 2, SIDE // 2, SIDE // 2), np.float16),
        scalars=generator.normal(size=(PATIENTS, len(scalar_names("first_post_rt")))).astype(np.float32),
        labels=np.zeros((PATIENTS, 1, SIDE, SIDE, SIDE), np.uint8),
        days=np.full((PATIENTS, 1), np.nan, np.float32),
        responder=generator.integers(0, 2, PATIENTS).astype(np.float32),
    )


STORES = {site: random_store(site, number) for number, site in enumerate(("site-1", "site-2"))}
MEMBERS = {site: part(store, range(0, PATIENTS, 2)) for site, store in STORES.items()}
OTHERS = {site: part(store, range(1, PATIENTS, 2)) for site, store in STORES.items()}


def attacked(noise: float) -> float:
    """The attack's AUROC against the finished model."""
    job = Job(
        task="response",
        model="clinical_volumes",
        context="first_post_rt",
        seed=5,
        rounds=20,
        training=TrainingSettings(learning_rate=0.05, batch_size=10, epochs_per_round=3),
        privacy=Privacy(noise_multiplier=noise),
        crop=Crop(spacing_mm=8.0, size=16),
    )
    found = federate(job, MEMBERS)
    members, others = (
        {name: -value for store in stores.values() for name, value in losses(job, found.final, store).items()}
        for stores in (MEMBERS, OTHERS)
    )
    return told_apart(members, others, seed=1, replicates=200)["auroc"].estimate


def test_without_noise_members_are_told_apart_and_with_noise_they_are_not() -> None:
    """60 members and 60 others: a blind attacker's AUROC has a standard error of 0.053."""
    assert attacked(0.0) > 0.65
    assert epsilon([Cost(16.0, 1 / 3, 180)], 1e-5) < 1.2
    assert attacked(16.0) < 0.58


def scores(values: list[float], prefix: str = "") -> dict[str, float]:
    return {f"{prefix}{number}": value for number, value in enumerate(values)}


def test_figures_of_a_perfect_and_of_a_blind_attacker() -> None:
    perfect = told_apart(scores([2.0] * 20), scores([1.0] * 20), seed=0, replicates=200)
    assert (perfect["auroc"].estimate, perfect["found"].estimate) == (1.0, 1.0)
    blind = told_apart(scores([1.0] * 20), scores([1.0] * 20), seed=0, replicates=200)
    assert (blind["auroc"].estimate, blind["found"].estimate) == (0.5, 0.0)


def test_at_most_a_tenth_of_the_others_raises_an_alarm() -> None:
    """Ranks 0 to 19 for both: two of the others lie above the threshold, and as many members."""
    ranks = scores([float(rank) for rank in range(20)])
    assert told_apart(ranks, ranks, seed=0, replicates=200)["found"].estimate == pytest.approx(0.1)


def test_a_patient_who_is_member_and_other_in_turn_is_drawn_as_one() -> None:
    """Scores of opposite sign are Wilcoxon's signed ranks, with a variance of 1 / (3 n), not 1 / (6 n)."""
    values = np.random.default_rng(4).normal(size=54)
    once = told_apart(scores(list(values)), scores(list(-values)), seed=0, replicates=500)["auroc"]
    apart = told_apart(scores(list(values), "a"), scores(list(-values), "b"), seed=0, replicates=500)["auroc"]
    assert once.estimate == apart.estimate
    assert (once.high - once.low) / (2 * 1.96) == pytest.approx((1 / (3 * 54)) ** 0.5, rel=0.2)
    assert (once.high - once.low) / (apart.high - apart.low) == pytest.approx(2**0.5, rel=0.2)
