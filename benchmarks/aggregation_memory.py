"""Peak memory of closing a round with 3 and with 300 sites; the limit is 1.2 times as much.

python benchmarks/aggregation_memory.py [PARAMETERS]    1,000,000 by default; each needs 300 x 4 bytes of disk

Each measurement has its own process, whose peak is taken twice: what Python and numpy allocated (tracemalloc, without
the interpreter) and what the kernel saw (resident memory, with it and with mapped files). Both ratios count.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

from flame.federation.job import Job, job_hash
from flame.federation.rounds import State, close_round, first_state
from flame.federation.update import Update, encode, open_update

LIMIT = 1.2
SITES = (3, 300)
RULES = ("fedavg", "fedadam", "median", "trimmed_mean")


def state(rule: str, sites: int, parameters: int) -> State:
    """A state whose model has four arrays, the largest with half of all parameters."""
    job = Job(task="response", model="benchmark", context="pre_rt", seed=1, rounds=1, aggregation={"name": rule})
    shares = {"wide": 0.5, "middle": 0.3, "small": 0.199, "bias": 0.001}
    model = {name: np.zeros(int(share * parameters), np.float32) for name, share in shares.items()}
    return first_state(job, [f"site-{number}" for number in range(sites)], model)


def write_updates(begun: State, folder: Path) -> None:
    """One file for each site, with values of its own."""
    draw = np.random.default_rng(1)
    for site in begun.sites:
        arrays = {name: draw.standard_normal(array.size, np.float32) for name, array in begun.arrays.items()}
        (folder / site).write_bytes(encode(Update(job_hash(begun.job), site, 0, arrays, 10, {})))


def measure(rule: str, sites: int, parameters: int, folder: Path) -> dict[str, float]:
    """Peaks [bytes] and time [s] of closing a round out of stored updates, in this process."""
    begun = state(rule, sites, parameters)
    tracemalloc.start()
    started = time.perf_counter()
    close_round(begun, [open_update(folder / site) for site in begun.sites])
    seconds = time.perf_counter() - started
    allocated = tracemalloc.get_traced_memory()[1]
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"allocated": allocated, "resident": resident, "seconds": seconds}


def in_process(rule: str, sites: int, parameters: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        write_updates(state(rule, sites, parameters), Path(folder))
        command = [sys.executable, __file__, str(parameters), "--measure", rule, str(sites), folder]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parameters", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--measure", nargs=3, metavar=("RULE", "SITES", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        rule, sites, folder = arguments.measure
        print(json.dumps(measure(rule, int(sites), arguments.parameters, Path(folder))))
        return 0
    print(f"{arguments.parameters:,} parameters ({4e-6 * arguments.parameters:.1f} MB an update)")
    print(f"{'rule':14}{'allocated MB':>20}{'ratio':>8}{'resident MB':>20}{'ratio':>8}{'seconds':>16}")
    worst = 0.0
    for rule in RULES:
        few, many = (in_process(rule, sites, arguments.parameters) for sites in SITES)
        ratios = {key: many[key] / few[key] for key in few}
        worst = max(worst, ratios["allocated"], ratios["resident"])
        pairs = {key: f"{few[key] / 1e6:.1f} -> {many[key] / 1e6:.1f}" for key in ("allocated", "resident")}
        print(
            f"{rule:14}{pairs['allocated']:>20}{ratios['allocated']:8.2f}{pairs['resident']:>20}{ratios['resident']:8.2f}"
            f"{few['seconds']:8.2f} -> {many['seconds']:.2f}"
        )
    print(f"worst ratio {worst:.2f}, limit {LIMIT}: {'kept' if worst <= LIMIT else 'BROKEN'}")
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
