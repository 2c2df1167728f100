"""Runs the small job of `tests/federation/logistic.py` and dies in the middle of writing one update.

python cut_job.py FOLDER ROUND BYTES    the kernel ends the process when the update of ROUND has BYTES bytes on disk
"""

import resource
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "federation"))

import logistic

from flame.federation.embedded import run


@dataclass(frozen=True)
class Cut:
    """Trains as `site`; in round `last` no file of this process may grow beyond `size` bytes from then on."""

    site: logistic.LogisticSite
    last: int
    size: int

    def __call__(self, arrays, round):
        if round == self.last:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.size))
        return self.site(arrays, round)


if __name__ == "__main__":
    folder, last, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    sites = logistic.sites()
    sites["site-3"] = Cut(sites["site-3"], last, size)
    for _ in run(logistic.JOB, sites, folder, logistic.INITIAL):
        pass
