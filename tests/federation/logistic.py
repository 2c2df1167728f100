"""A job small enough for tests: logistic regression in numpy at a few sites. Also a command that runs it.

python logistic.py FOLDER PROCESSES PAUSE    PAUSE in seconds lengthens each site's training and changes no byte
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flame.federation.embedded import LocalResult, run
from flame.federation.job import Job, TrainingSettings
from flame.seeds import stream

FEATURES = 12
JOB = Job(
    task="response",
    model="logistic",
    context="pre_rt",
    seed=7,
    rounds=15,
    training=TrainingSettings(learning_rate=0.3),
    aggregation={"name": "fedavgm", "momentum": 0.5},
    limits={"quorum": 2, "max_update_norm": 50.0},
)
INITIAL = {"weight": np.zeros(FEATURES, np.float32), "bias": np.zeros((), np.float32)}


@dataclass(frozen=True)
class LogisticSite:
    """Ten steps of gradient descent on the site's own patients, in an order drawn for the round."""

    site: str
    patients: int
    pause: float = 0.0

    def data(self):
        draw = stream(JOB.seed, "data", self.site)
        x = draw.normal(size=(self.patients, FEATURES))
        return x, (x @ np.linspace(-1, 1, FEATURES) + 0.3 * draw.normal(size=self.patients) > 0).astype(float)

    def __call__(self, arrays, round):
        x, y = self.data()
        weight, bias = arrays["weight"].astype(float), float(arrays["bias"])
        draw = stream(JOB.seed, "train", self.site, round)
        for _ in range(10):
            batch = draw.choice(self.patients, 16)
            error = 1 / (1 + np.exp(-(x[batch] @ weight + bias))) - y[batch]
            weight -= JOB.training.learning_rate * x[batch].T @ error / 16
            bias -= JOB.training.learning_rate * error.mean()
        time.sleep(self.pause)
        loss = float(np.mean(np.logaddexp(0, -(2 * y - 1) * (x @ weight + bias))))
        trained = {"weight": weight.astype(np.float32), "bias": np.float32(bias) * np.ones((), np.float32)}
        return LocalResult(trained, self.patients, {"loss": loss})


def sites(pause=0.0):
    return {f"site-{number}": LogisticSite(f"site-{number}", 20 + 7 * number, pause) for number in range(1, 5)}


if __name__ == "__main__":
    folder, processes, pause = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    for report in run(JOB, sites(pause), folder, INITIAL, processes=processes):
        print(report.round, flush=True)
