"""Was this patient trained on? Attacks by the loss, on models trained with and without noise.

Every patient of a site is trained on once and left out once: two trainings, each on one half of every site's patients.
Two attackers: one calls a patient a member if the model's loss on them is low (Yeom 2018); the other knows how hard the
patient is, from the training that left the patient out or took them in (calibration, Watson 2022; a likelihood ratio
with one shadow model). The second knows half of the hospital's patients by name, more than any attacker should.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray

from flame.federation.job import Job, job_hash
from flame.federation.local import initial_arrays
from flame.federation.rounds import close_round, first_state
from flame.federation.update import Update, difference
from flame.learning.losses import map_loss, response_loss
from flame.learning.private import PatientNoise
from flame.learning.samples import SampleStore
from flame.learning.training import train_round, usable_rows
from flame.metrics.intervals import Interval, auroc, bootstrap, repeated
from flame.models.blocks import fold
from flame.models.networks import build_network
from flame.models.weights import set_arrays
from flame.seeds import derive

Arrays = Mapping[str, NDArray[np.float32]]
FALSE_ALARMS = 0.1


@dataclass(frozen=True)
class Federated:
    """The model after the last round, and each site's own model in that round, which is what it sends."""

    final: Arrays
    sent: Mapping[str, Arrays]


def part(store: SampleStore, places: Sequence[int]) -> SampleStore:
    """Some patients of a store."""
    arrays = {one.name: getattr(store, one.name) for one in fields(store)}
    chosen = {name: value[list(places)] for name, value in arrays.items() if isinstance(value, np.ndarray)}
    return replace(
        store,
        patients=tuple(store.patients[place] for place in places),
        arms=tuple(store.arms[place] for place in places),
        **chosen,
    )


def federate(job: Job, stores: Mapping[str, SampleStore]) -> Federated:
    """Train a job; noise, if it asks for any, follows from its seed."""
    state, sent = first_state(job, tuple(stores), initial_arrays(job)), {}
    while state.round < job.rounds:
        updates = []
        for site, store in stores.items():
            network = build_network(job.task, job.model, job.context, job.seed)
            seed = derive(job.seed, "site", site)
            noise = _noise(job, site, state.round)
            trained = train_round(
                network, state.arrays, [store], job.task, job.training, state.round, job.rounds, seed, noise
            )
            sent[site] = trained.arrays
            changed = difference(trained.arrays, state.arrays)
            updates.append(Update(job_hash(job), site, state.round, changed, trained.samples, trained.scalars))
        state = close_round(state, updates)
    return Federated(state.arrays, sent)


def _noise(job: Job, site: str, round: int) -> PatientNoise | None:
    asked = job.privacy
    if asked.noise_multiplier == 0:
        return None
    seed = hashlib.sha256(f"{job.seed}/{site}/{round}".encode()).digest()
    return PatientNoise(asked.noise_multiplier, asked.clip_norm, seed)


def losses(job: Job, arrays: Arrays, store: SampleStore) -> dict[str, float]:
    """Loss of each patient whom the task can learn from, on the whole grid and without augmentation."""
    network = build_network(job.task, job.model, job.context, job.seed)
    set_arrays(network, arrays)
    found = {}
    with torch.inference_mode():
        for _, place in usable_rows([store], job.task):
            found[store.patients[place]] = float(_loss(network.eval(), job, store, place))
    return found


def _loss(network: torch.nn.Module, job: Job, store: SampleStore, place: int) -> torch.Tensor:
    scalars = torch.from_numpy(np.array(store.scalars[place : place + 1]))
    if job.task == "response":
        halved = torch.from_numpy(np.array(store.halved[place : place + 1], np.float32))
        responder = torch.from_numpy(np.array(store.responder[place : place + 1]))
        return response_loss(network(halved, scalars), responder)
    volumes = torch.from_numpy(np.array(store.volumes[place : place + 1], np.float32))
    days = torch.from_numpy(np.array(store.days[place : place + 1]))
    seen = torch.isfinite(days)
    labels = torch.from_numpy(np.array(store.labels[place : place + 1]))[:, seen[0]]
    logits = network(volumes, scalars, days[:, seen[0]])
    apart = logits.reshape(1, logits.shape[1], 3, 8, *logits.shape[3:])
    start = fold(volumes[:, :3] > 0).reshape(1, 3, 8, *logits.shape[3:])
    return map_loss(apart, fold(labels.unsqueeze(2)), start, seen[:, seen[0]])


def told_apart(
    members: Mapping[str, float], others: Mapping[str, float], seed: int, replicates: int = 2000
) -> dict[str, Interval]:
    """How well a score, higher for members, tells them from others: AUROC, and share found at 10 % false alarms.

    Args:
        members: scores by patient, from models that were trained on them.
        others: scores by patient, from models that were not; a patient may be in both, and is then drawn as one.
        seed: of the bootstrap.
        replicates: of the bootstrap.
    """
    scores = ((members, 1.0), (others, 0.0))
    by_patient = [
        np.array([(of[patient], truth) for of, truth in scores if patient in of])
        for patient in dict.fromkeys([*members, *others])
    ]
    strata = [str(rows[:, 1]) for rows in by_patient]
    generator = np.random.default_rng(seed)
    return {
        "auroc": bootstrap(by_patient, auroc, generator, replicates, strata),
        "found": bootstrap(by_patient, repeated(_found), generator, replicates, strata),
    }


def _found(rows: NDArray[np.float64]) -> float:
    """Share of members above the threshold that a tenth of the others is above at most."""
    members, others = rows[rows[:, 1] == 1, 0], np.sort(rows[rows[:, 1] == 0, 0])[::-1]
    return float(np.mean(members > others[int(FALSE_ALARMS * len(others))]))
