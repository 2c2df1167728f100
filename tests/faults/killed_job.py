"""Runs the small job of `tests/federation/logistic.py` in child processes that are killed at random moments.

python killed_job.py FOLDER SEED    prints the number of kills; FOLDER/asked.txt gets a line whenever a site is asked

Each child is a fork of this process, so that starting costs a millisecond and many kills fit in a test.
"""

import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "federation"))

import logistic

from flame.federation.embedded import run


@dataclass(frozen=True)
class Counted:
    """Leaves a line each time it is asked, then trains as `site`."""

    site: logistic.LogisticSite
    file: Path

    def __call__(self, arrays, round):
        with self.file.open("a") as lines:
            lines.write(f"{round} {self.site.site}\n")
        return self.site(arrays, round)


def work(folder):
    counted = {name: Counted(site, folder / "asked.txt") for name, site in logistic.sites().items()}
    for _ in run(logistic.JOB, counted, folder / "run", logistic.INITIAL):
        pass


def child(folder):
    """Pid of a forked child that works on the job and leaves with 0 when it is done."""
    pid = os.fork()
    if pid == 0:
        work(folder)
        os._exit(0)
    return pid


def main(folder, seed):
    folder.mkdir(parents=True, exist_ok=True)
    moments = random.Random(seed)
    kills = 0
    while True:
        pid = child(folder)
        time.sleep(moments.uniform(0.001, 0.04) * (1 + kills / 30))  # so that a busy machine gets done as well
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            print(kills)
            return os.waitstatus_to_exitcode(status)
        kills += 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
