"""What the embedded engine costs beside the training that it runs; the limit is 3 % of it.

    python benchmarks/embedded_overhead.py [--repeats 3] [--rounds 2] [--epochs 10]

Evolution networks of three virtual sites of six patients. Peer: the same rounds without engine, each site's training
called in its turn and the updates averaged in memory. Engine and peer take turns round by round, each being first in
every other round, and end with equal bytes. `beside` is what the engine does outside of the sites' training, measured
in its own rounds: it is not blurred by how fast a processor that is shared trains in this minute and in the next.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flame.federation import embedded
from flame.federation.aggregate import fedavg
from flame.federation.folder import read_model
from flame.federation.job import Crop, Job, TrainingSettings, job_hash
from flame.federation.local import SiteTraining, initial_arrays
from flame.federation.update import LocalResult, Update, difference
from flame.learning.samples import build_stores
from flame.records.dataset import read_site
from flame.virtual.trial import TrialSettings, site_folder, site_names, write_trial

LIMIT = 0.03
SITES, PATIENTS = 3, 6
SHORTEST_S = 10.0
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Times:
    """Processor time and wall time [s]."""

    processor: float
    wall: float

    def __sub__(self, other: "Times") -> "Times":
        return Times(self.processor - other.processor, self.wall - other.wall)

    def __add__(self, other: "Times") -> "Times":
        return Times(self.processor + other.processor, self.wall + other.wall)


def now() -> Times:
    return Times(time.process_time(), time.perf_counter())


@dataclass(frozen=True)
class Timed:
    """A site's training that notes how long it takes."""

    training: SiteTraining
    took: list[Times] = field(default_factory=list)

    def __call__(self, arrays: Arrays, number: int, /) -> LocalResult:
        started = now()
        result = self.training(arrays, number)
        self.took.append(now() - started)
        return result


def participants(job: Job, folder: Path) -> dict[str, SiteTraining]:
    """Sites of a virtual trial, with their samples made."""
    settings = TrialSettings(sites=SITES, patients=PATIENTS, seed=5, spacing_mm=6.0, counterfactuals=())
    write_trial(folder / "trial", settings)
    made = {}
    for site in site_names(settings):
        store = folder / "samples" / site
        build_stores(read_site(site_folder(folder / "trial", site)), {job.context: store}, job.crop)
        made[site] = SiteTraining(job, site, (store,))
    return made


def bare(job: Job, sites: Mapping[str, SiteTraining]) -> Iterator[Arrays]:
    """The model after each round, by nothing but training and a mean."""
    arrays = initial_arrays(job)
    for number in range(job.rounds):
        updates = []
        for site, training in sites.items():
            result = training({name: array.copy() for name, array in arrays.items()}, number)
            changed = difference(result.arrays, arrays)
            updates.append(Update(job_hash(job), site, number, changed, result.samples, result.scalars))
        mean = fedavg(updates)
        arrays = {name: (array.astype(np.float64) + mean[name]).astype(np.float32) for name, array in arrays.items()}
        yield arrays


def repetition(job: Job, sites: Mapping[str, SiteTraining], folder: Path) -> list[tuple[Times, Times, Times]]:
    """Of every round: the peer's time, the engine's, and the part of the engine's that was the sites' training."""
    timed = {name: Timed(training) for name, training in sites.items()}
    peer, engine = bare(job, sites), embedded.run(job, timed, folder, initial_arrays(job))
    arrays: Arrays = {}
    found = []
    for number in range(job.rounds):
        took = {}
        for which in ("peer", "engine") if number % 2 == 0 else ("engine", "peer"):
            started = now()
            if which == "peer":
                arrays = next(peer)
            else:
                report = next(engine)
                assert not report.refused, report.refused
            took[which] = now() - started
        inside = sum((one.took[number] for one in timed.values()), Times(0, 0))
        found.append((took["peer"], took["engine"], inside))
    started = now()
    assert next(engine, None) is None  # what the engine does after its last round counts too
    found[-1] = (found[-1][0], found[-1][1] + (now() - started), found[-1][2])
    kept = read_model(folder)[1]
    assert set(kept) == set(arrays)
    assert all(kept[name].tobytes() == arrays[name].tobytes() for name in arrays), "engine and peer differ"
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=10, help="in a round")
    arguments = parser.parse_args()
    job = Job(
        task="evolution",
        model="unet",
        context="first_post_rt",
        seed=3,
        rounds=arguments.rounds,
        training=TrainingSettings(batch_size=2, epochs_per_round=arguments.epochs),
        crop=Crop(spacing_mm=4.0, size=32),
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sites = participants(job, folder)
        once = job.model_copy(update={"rounds": 1})
        list(bare(once, {name: SiteTraining(once, name, one.stores) for name, one in sites.items()}))  # not counted
        rounds = [
            one for number in range(arguments.repeats) for one in repetition(job, sites, folder / f"run-{number}")
        ]
    parameters = sum(array.size for array in initial_arrays(job).values())
    print(f"{SITES} sites, {parameters:,} parameters, {len(rounds)} rounds each; seconds a round, medians")
    print(f"{'':12}{'peer':>9}{'engine':>9}{'beside':>9}{'engine / peer':>15}{'beside / training':>19}{'of limit':>10}")
    worst = 0.0
    for kind in ("processor", "wall"):
        peers, engines, insides = ([getattr(one, kind) for one in column] for column in zip(*rounds, strict=True))
        beside = [engine - inside for engine, inside in zip(engines, insides, strict=True)]
        shares = [part / inside for part, inside in zip(beside, insides, strict=True)]
        ratios = [engine / peer for engine, peer in zip(engines, peers, strict=True)]
        middle = [statistics.median(column) for column in (peers, engines, beside, ratios, shares)]
        worst = max(worst, middle[-1])
        print(
            f"{kind:12}{middle[0]:9.2f}{middle[1]:9.2f}{middle[2]:9.3f}{middle[3]:15.4f}{middle[4]:19.5f}"
            f"{middle[4] / LIMIT:10.3f}"
        )
    training = statistics.median(inside.processor for _, _, inside in rounds)
    kept, verdict = worst <= LIMIT, "kept" if worst <= LIMIT else "BROKEN"
    if training < SHORTEST_S:
        kept, verdict = True, f"asked for rounds of at least {SHORTEST_S:g} s of training, these took {training:.1f} s"
    print(f"equal bytes; limit {LIMIT:.0%} of training: {verdict}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
