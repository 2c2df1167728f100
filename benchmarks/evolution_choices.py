"""What the choices behind the evolution network are worth: train on one virtual trial, test on all patients of another.

    flame trial train --seed 3101 && flame trial test --seed 3102
    python benchmarks/evolution_choices.py train test --out choices --momentum 0.8 --entropy 0.1

Trains on the first four sites of one trial, federated or pooled, and prints the mean Dice at every patient of the other
trial beside persistence's, with the standard error of the difference. Priors of trials were tuned on seeds below 3000,
and the network on seeds 3101 to 3104; measure honestly on others.
"""

import argparse
import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np

from flame import workers
from flame.errors import DataError
from flame.evaluation.comparison import find_sites
from flame.evaluation.preparation import SamplesOrder, prepare_samples
from flame.evaluation.scoring import Predictor, score_evolution
from flame.federation import embedded
from flame.federation.folder import read_model
from flame.federation.job import FedAvg, FedAvgM, Job, TrainingSettings
from flame.federation.local import SiteTraining, initial_arrays
from flame.imaging.cube import Crop
from flame.imaging.prepare import prepare_patient
from flame.learning import batches, losses
from flame.models.baselines import Persistence
from flame.models.networks import NetworkEvolution, as_model, build_network
from flame.models.weights import set_arrays
from flame.records.dataset import read_site

TRAINING_SITES = 4


def trained(arguments: argparse.Namespace) -> NetworkEvolution:
    """The network after training as the arguments say."""
    folders = find_sites([arguments.train])[:TRAINING_SITES]
    stores = {folder.name: arguments.out / "samples" / f"{folder.name}-{arguments.context}" for folder in folders}
    orders = [SamplesOrder(folder, {arguments.context: stores[folder.name]}, Crop()) for folder in folders]
    workers.run(prepare_samples, orders, 2, print)
    training = TrainingSettings(
        learning_rate=arguments.learning_rate,
        batch_size=arguments.batch_size,
        weight_decay=0.01,
        precision="auto",
        warmup=True,
    )
    federated = FedAvgM(momentum=arguments.momentum) if arguments.momentum else FedAvg()
    job = Job(
        task="evolution",
        model="unet",
        context=arguments.context,
        seed=arguments.seed,
        rounds=arguments.rounds,
        training=training,
        aggregation=FedAvg() if arguments.pooled else federated,
    )
    if arguments.pooled:
        participants = {"pooled": SiteTraining(job, "pooled", tuple(stores.values()))}
    else:
        participants = {site: SiteTraining(job, site, (store,)) for site, store in stores.items()}
    losses.ENTROPY_SHARE = arguments.entropy
    batches.RECORD_DROPOUT = arguments.hidden
    batches.WINDOW_SHARE = arguments.window
    choices = {name: value for name, value in vars(arguments).items() if name not in ("train", "test", "out")}
    folder = arguments.out / "-".join(str(value) for value in choices.values())
    for report in embedded.run(job, participants, folder, initial_arrays(job)):
        print(f"round {report.round + 1}: {json.dumps(report.scalars)}")
    network = build_network("evolution", "unet", arguments.context, arguments.seed)
    set_arrays(network, read_model(folder)[1])
    model = as_model("evolution", network, arguments.context)
    assert isinstance(model, NetworkEvolution)
    return model


def main() -> None:
    """Train, test, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, help="trial to train on")
    parser.add_argument("test", type=Path, help="trial to test on")
    parser.add_argument("--out", type=Path, required=True, help="folder of samples and jobs")
    parser.add_argument("--context", default="first_post_rt", choices=("pre_rt", "first_post_rt"))
    parser.add_argument("--pooled", action="store_true", help="pool the sites' patients instead of federating")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--momentum", type=float, default=0.6, help="at the coordinator; 0 is FedAvg")
    parser.add_argument("--entropy", type=float, default=losses.ENTROPY_SHARE, help="share of cross-entropy")
    parser.add_argument("--hidden", type=float, default=batches.RECORD_DROPOUT, help="share of scalars hidden")
    parser.add_argument("--window", type=float, default=batches.WINDOW_SHARE, help="side, as a share of the grid's")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    predictors = [
        Predictor("network", "federated", "federated", trained(arguments)),
        Predictor("persistence", "none", "none", Persistence(arguments.context)),
    ]
    dice: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for folder in find_sites([arguments.test]):
        for record in read_site(folder).patients:
            try:
                patient = prepare_patient(record, Crop())
                scores = score_evolution(predictors, folder.name, patient, arguments.context)
            except DataError:
                continue  # lacks an exam that the context needs
            for score in scores:
                dice[score.region, score.horizon][score.model].append(score.dice)
    for (region, horizon), found in sorted(dice.items()):
        mine, plain = np.array(found["network"]), np.array(found["persistence"])
        gain = mine - plain
        error = gain.std(ddof=1) / math.sqrt(len(gain))
        means = f"{mine.mean():.3f}, persistence {plain.mean():.3f}"
        print(f"{region} +{horizon}: {means}, {gain.mean():+.3f} +- {error:.3f}")


if __name__ == "__main__":
    main()
