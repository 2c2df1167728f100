"""What regions save: one coordinator of 300 sites beside ten that pass on sums, and the one at the top.

    python benchmarks/regions.py [--parameters 1000000] [--sites 300] [--regions 10]

One round, of which every part runs in a process of its own whose largest resident memory counts, interpreter and all:
all updates at one coordinator; each region's at its own, which makes a sum; the sums at the top. Sites are made up by
another process and lie on disk (4 bytes a parameter each); the engine that carries messages is left out. The model has
to have the same bytes both ways, and neither kind of coordinator may need more memory than the limit allows beside the
one that has all sites: it does not grow with their number, and what the top reads is wider, 16 bytes a parameter.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from flame.federation.folder import encode_model
from flame.federation.job import Job, Limits, job_hash
from flame.federation.region_sum import check_region, open_region, write_region
from flame.federation.regions import close_regions, region_sum
from flame.federation.rounds import State, close_round, expected, first_state
from flame.federation.steps import begin, keep
from flame.federation.update import Update, encode, open_update

LIMIT = 1.5
SHARES_OF_MODEL = {"wide": 0.5, "middle": 0.3, "small": 0.199, "bias": 0.001}


@dataclass(frozen=True)
class Study:
    """So many sites in so many regions, and where its files lie: `updates`, `sums`, a folder for each coordinator."""

    parameters: int
    sites: int
    regions: int
    folder: Path

    def names(self) -> list[str]:
        return [f"site-{number:03d}" for number in range(self.sites)]

    def members(self) -> dict[str, tuple[str, ...]]:
        """Region -> its sites, in turn."""
        names = self.names()
        return {f"region-{number}": tuple(names[number :: self.regions]) for number in range(self.regions)}

    def state(self) -> State:
        """Before the first round; the model has four arrays."""
        limits = Limits(quorum=self.sites, max_update_norm=10.0)
        job = Job(task="evolution", model="benchmark", context="pre_rt", seed=1, rounds=1, limits=limits)
        model = {
            name: np.zeros(max(1, int(share * self.parameters)), np.float32) for name, share in SHARES_OF_MODEL.items()
        }
        return first_state(job, self.names(), model)

    def command(self, part: str) -> list[str]:
        numbers = [str(number) for number in (self.parameters, self.sites, self.regions)]
        return [sys.executable, __file__, "--part", part, *numbers, str(self.folder)]


@dataclass(frozen=True)
class Cost:
    """Of a coordinator in a round: largest resident memory, messages in and out [bytes], and seconds."""

    resident: int
    up: int
    down: int
    seconds: float


def make_updates(study: Study) -> None:
    """Write the update of every site."""
    state, draw = study.state(), np.random.default_rng(1)
    scale = sum(array.size for array in state.arrays.values()) ** -0.5
    arrays = {name: scale * draw.standard_normal(array.size, np.float32) for name, array in state.arrays.items()}
    for place, site in enumerate(state.sites):
        own = {name: np.roll(array, place) for name, array in arrays.items()}
        update = Update(job_hash(state.job), site, 0, own, 100 + place, {})
        (study.folder / "updates" / site).write_bytes(encode(update))


def gathered(study: Study, part: str, sites: tuple[str, ...]) -> tuple[State, list[Update], int]:
    """Take the updates of some sites as a coordinator does: each checked, and stored; bytes of all."""
    run, size = study.folder / part, 0
    run.mkdir()
    state = begin(run, study.state())
    for site in sites:
        content = (study.folder / "updates" / site).read_bytes()
        size += len(content)
        assert keep(run, state, site, content) is None
    paths = (run / "rounds" / "0000" / f"{site}.safetensors" for site in sites)
    return state, [open_update(path) for path in paths], size


def flat(study: Study) -> tuple[int, int]:
    """All sites at one coordinator."""
    state, updates, size = gathered(study, "flat", tuple(study.names()))
    (study.folder / "flat.model").write_bytes(encode_model(close_round(state, updates).arrays))
    return size, study.sites * len(encode_model(state.arrays))


def region(study: Study, name: str) -> tuple[int, int]:
    """A region's sites at their coordinator."""
    members = study.members()[name]
    state, updates, size = gathered(study, name, members)
    write_region(study.folder / "sums" / name, region_sum(state, name, updates))
    return size, len(members) * len(encode_model(state.arrays))


def top(study: Study) -> tuple[int, int]:
    """The regions' sums at the top."""
    state, members = study.state(), study.members()
    paths = [study.folder / "sums" / name for name in members]
    sums = [open_region(path) for path in paths]
    for one in sums:
        check_region(one, expected(state), members)
    (study.folder / "top.model").write_bytes(encode_model(close_regions(state, sums).arrays))
    return sum(path.stat().st_size for path in paths), study.regions * len(encode_model(state.arrays))


def run_part(study: Study, part: str) -> None:
    """Run one part in this process, and print its cost."""
    if part == "updates":
        make_updates(study)
        return
    started = time.perf_counter()
    up, down = flat(study) if part == "flat" else top(study) if part == "top" else region(study, part)
    seconds = time.perf_counter() - started
    print(json.dumps(asdict(Cost(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, up, down, seconds))))


def measured(study: Study, part: str) -> Cost:
    """Run a part in a process of its own."""
    done = subprocess.run(study.command(part), check=True, stdout=subprocess.PIPE, text=True)
    return Cost(**json.loads(done.stdout))


def compare(study: Study) -> int:
    """Measure all parts; 0 if the limits are kept."""
    for name in ("updates", "sums"):
        (study.folder / name).mkdir()
    subprocess.run(study.command("updates"), check=True)
    costs = {part: measured(study, part) for part in ("flat", *study.members(), "top")}
    regions = [costs[name] for name in study.members()]
    shown = {
        f"one coordinator, {study.sites} sites": costs["flat"],
        f"largest of {study.regions} regions": max(regions, key=lambda cost: cost.resident),
        f"top, {study.regions} regions": costs["top"],
    }
    print(f"{os.cpu_count()} cores, {study.parameters:,} parameters; MB of memory, MB in and out, seconds")
    for name, cost in shown.items():
        up, down = cost.up / 1e6, cost.down / 1e6
        print(f"{name:32}{cost.resident / 1e6:9.0f}{up:10.1f}{down:10.1f}{cost.seconds:8.2f}")
    same = (study.folder / "flat.model").read_bytes() == (study.folder / "top.model").read_bytes()
    ratio = max(costs["top"].resident, *(cost.resident for cost in regions)) / costs["flat"].resident
    print(f"model: {'the same bytes' if same else 'OTHER BYTES'}; memory ratio {ratio:.2f}, limit {LIMIT}")
    return 0 if same and ratio <= LIMIT else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parameters", type=int, default=1_000_000)
    parser.add_argument("--sites", type=int, default=300)
    parser.add_argument("--regions", type=int, default=10)
    parser.add_argument("--part", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        part, *numbers, folder = arguments.part
        run_part(Study(*(int(number) for number in numbers), Path(folder)), part)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return compare(Study(arguments.parameters, arguments.sites, arguments.regions, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
