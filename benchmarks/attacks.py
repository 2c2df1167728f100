"""Attacks on what leaves a site, with and without protection, and what the protection costs: `attacks.json`.

    flame trial trial --sites 3 --patients 30 --spacing 4 --seed 11
    python -m benchmarks.attacks trial --out run

Writes `run/attacks.json`, which the report of a comparison in the same folder shows. Membership is asked of the first
two sites' patients; the third site, which trains nothing, tests what the models are worth, and its patients are the
victims of gradient inversion. Some ten minutes on one processor, trial aside.
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks import inversion
from benchmarks.membership import Federated, federate, losses, part, told_apart

from flame import __version__
from flame.evaluation.comparison import find_sites
from flame.evaluation.presets import demo_comparison
from flame.federation.job import Job, Privacy
from flame.files import write_json
from flame.imaging.cube import Crop
from flame.learning.samples import SampleStore, build_stores
from flame.learning.training import usable_rows
from flame.metrics.intervals import Interval, auroc, bootstrap, mean
from flame.metrics.overlap import dice
from flame.models.blocks import unfold
from flame.models.encoding import region_maps
from flame.models.networks import build_network
from flame.models.weights import set_arrays
from flame.records.dataset import read_site
from flame.site.budget import Cost, epsilon

DELTA = 1e-5
NOISES = (0.0, 1.0, 4.0)
CLIPS = {"clinical_volumes": 1.0, "network": 1.0, "unet": 0.2}
"""About the length of a patient's gradient in a trained model."""

FINE, COARSE = Crop(spacing_mm=4.0, size=32), Crop(spacing_mm=8.0, size=16)
Stores = Mapping[str, SampleStore]


@dataclass(frozen=True)
class Trained:
    """Two federated trainings of a job, each on its half of every site's patients, and the half that each left out."""

    job: Job
    models: tuple[Federated, Federated]
    halves: tuple[Stores, Stores]

    @property
    def epsilon(self) -> float | None:
        """What it cost the patients of the smallest half; None without noise."""
        noise, training = self.job.privacy.noise_multiplier, self.job.training
        if noise == 0:
            return None
        fewest = min(len(usable_rows([store], self.job.task)) for half in self.halves for store in half.values())
        cost = Cost(noise, training.sample_rate(fewest), training.steps(fewest) * self.job.rounds)
        return epsilon([cost], DELTA)


def jobs(seed: int, rounds: int) -> Iterator[Job]:
    """The demo's jobs with each noise; `rounds` of evolution, which takes longest."""
    settings = demo_comparison(("none",), seed)
    for question in settings.questions:
        if question.context != "first_post_rt" or question.model not in CLIPS:
            continue
        for noise in NOISES:
            yield Job(
                task=question.task,
                model=question.model,
                context=question.context,
                seed=seed,
                rounds=rounds if question.task == "evolution" else question.rounds,
                training=question.training,
                aggregation=settings.aggregation,
                privacy=Privacy(noise_multiplier=noise, clip_norm=CLIPS[question.model]),
                crop=FINE,
            )


def trained(job: Job, stores: Stores) -> Trained:
    """Train a job twice, on even and on odd patients."""
    halves = [
        {site: part(store, range(first, len(store.patients), 2)) for site, store in stores.items()} for first in (0, 1)
    ]
    return Trained(job, (federate(job, halves[0]), federate(job, halves[1])), (halves[0], halves[1]))


def membership(found: Trained, seed: int) -> Iterator[dict[str, Any]]:
    """How well each attacker tells members from others of the same sites."""
    for sees in ("the model", "one site's update"):
        by_loss: tuple[dict[str, float], dict[str, float]] = ({}, {})
        calibrated: tuple[dict[str, float], dict[str, float]] = ({}, {})
        for number, half in enumerate(found.halves):
            for site, store in half.items():
                inside, outside = (
                    losses(found.job, model.final if sees == "the model" else model.sent[site], store)
                    for model in (found.models[number], found.models[1 - number])
                )
                for patient in inside:
                    by_loss[0][patient], by_loss[1][patient] = -inside[patient], -outside[patient]
                    easier = outside[patient] - inside[patient]
                    calibrated[0][patient], calibrated[1][patient] = easier, -easier
        for attacker, (members, others) in (("loss", by_loss), ("calibrated loss", calibrated)):
            figures = told_apart(members, others, seed)
            yield _about(found.job, found.epsilon) | {
                "attacker": attacker,
                "sees": sees,
                "members": len(members),
                "others": len(others),
                **{name: _plain(figure) for name, figure in figures.items()},
            }


def worth(found: Trained, store: SampleStore, seed: int) -> dict[str, Any]:
    """What the models are worth at a site that trained nothing: AUROC of response, Dice of the whole tumour."""
    models = [list(_worth_by_patient(found.job, model.final, store)) for model in found.models]
    by_patient = [np.array(first + second) for first, second in zip(*models, strict=True)]  # drawn together
    generator = np.random.default_rng(seed)
    if found.job.task == "response":
        value, score = bootstrap(by_patient, auroc, generator), "AUROC"
    else:
        value, score = bootstrap(by_patient, mean, generator), "Dice"
    about = {"score": score, "value": _plain(value), "patients": len(by_patient)}
    return _about(found.job, found.epsilon) | about


def _worth_by_patient(job: Job, arrays: Mapping[str, Any] | None, store: SampleStore) -> Iterator[list[Any]]:
    """[(probability, truth)] of response, or the Dice of each horizon seen; without arrays, Dice of the last map."""
    network = build_network(job.task, job.model, job.context, job.seed)
    if arrays is not None:
        set_arrays(network, arrays)
    for _, place in usable_rows([store], job.task):
        scalars = torch.from_numpy(np.array(store.scalars[place : place + 1]))
        with torch.inference_mode():
            if job.task == "response":
                halved = torch.from_numpy(np.array(store.halved[place : place + 1], np.float32))
                yield [(float(torch.sigmoid(network(halved, scalars))), float(store.responder[place]))]
                continue
            seen = np.isfinite(store.days[place])
            volumes = torch.from_numpy(np.array(store.volumes[place : place + 1], np.float32))
            maps = unfold(network(volumes, scalars, torch.from_numpy(store.days[place : place + 1][:, seen])))[0] > 0
        truth = [region_maps(np.array(one)) for one in store.labels[place][seen]]
        yield [dice(mine.numpy()[-1], one[-1]) for mine, one in zip(maps, truth, strict=True)]


def inverted(found: Trained, stores: Stores, count: int, steps: int, seed: int) -> Iterator[dict[str, Any]]:
    """What gradient inversion shows of patients that the model has not seen, by what the attacker has of them."""
    job, noises = found.job, NOISES[1:] if found.job.task == "response" else NOISES[1:2]
    network = build_network(job.task, job.model, job.context, job.seed)
    set_arrays(network, found.models[0].final)
    (store,) = list(stores.values())[-1:]
    places = [place for _, place in usable_rows([store], job.task)]
    every = [inversion.victim(store, place, job.task) for place in places]
    victims, alike = every[:count], [one.volumes for one in every[count:]]
    sent = [inversion.gradient(network, [one], [one.volumes]) for one in victims]

    def compared(attack: str, guesses: Sequence[torch.Tensor]) -> dict[str, Any]:
        pairs = zip(guesses, victims, strict=True)
        scores = [inversion.likeness(guess, one.volumes, alike) for guess, one in pairs]
        return {"task": job.task, "model": job.model, "attack": attack, "patients": len(scores)} | _means(scores, seed)

    yield compared("no attack: mean of other patients", [torch.cat(alike).mean(0, keepdim=True)] * count)

    def single(gradients: Sequence[torch.Tensor], is_signs: bool = False) -> list[torch.Tensor]:
        return [
            inversion.invert(network, [one], gradient, seed, steps, is_signs=is_signs)[0]
            for one, gradient in zip(victims, gradients, strict=True)
        ]

    yield compared("one patient's gradient", single(sent))
    yield compared("one patient's update, as AdamW makes it", single([inversion.signs(one) for one in sent], True))
    for noise in noises:
        keys = [bytes([number, int(noise)] * 16) for number in range(count)]
        hidden = [inversion.noised(one, noise, CLIPS[job.model], key) for one, key in zip(sent, keys, strict=True)]
        yield compared(f"one patient's gradient, noise {noise:g}", single(hidden))
    guesses: list[torch.Tensor] = []
    for first in range(0, count, 3):
        together = victims[first : first + 3]
        average = torch.stack(sent[first : first + 3]).mean(0)
        guesses += inversion.invert(network, together, average, seed, steps)
    yield compared("mean of 3 sites' gradients, one patient each", guesses)


def _means(scores: Sequence[inversion.Likeness], seed: int) -> dict[str, Any]:
    """Mean of each figure over the patients, with its interval."""
    columns = {name: [float(asdict(one)[name]) for one in scores] for name in asdict(scores[0])}
    generator = np.random.default_rng(seed)
    return {name: _plain(bootstrap(values, mean, generator)) for name, values in columns.items()}


def _about(job: Job, spent: float | None) -> dict[str, Any]:
    about = {"task": job.task, "model": job.model, "rounds": job.rounds, "noise": job.privacy.noise_multiplier}
    return about | {"clip_norm": job.privacy.clip_norm, "epsilon": spent}


def _plain(interval: Interval) -> dict[str, float | None]:
    numbers = {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
    return {name: round(value, 4) if np.isfinite(value) else None for name, value in numbers.items()}


def opened(sites: Sequence[Path], out: Path, crop: Crop) -> Stores:
    """The sites' samples on a grid."""
    folders = {folder.name: out / "attack-samples" / f"{folder.name}-{crop.size}" for folder in sites}
    return {
        folder.name: build_stores(read_site(folder), {"first_post_rt": folders[folder.name]}, crop)["first_post_rt"]
        for folder in sites
    }


def main() -> None:
    """Attack, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trial", type=Path, help="a trial of three sites")
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=16, help="of evolution")
    arguments = parser.parse_args()

    began, seed, sites = time.process_time(), arguments.seed, find_sites([arguments.trial])
    fine, coarse = (opened(sites, arguments.out, crop) for crop in (FINE, COARSE))
    training, test = dict(list(fine.items())[:-1]), list(fine.values())[-1]
    content: dict[str, Any] = {"flame": __version__, "delta": DELTA, "membership": [], "worth": [], "inversion": []}
    for job in jobs(seed, arguments.rounds):
        found = trained(job, training)
        content["membership"] += membership(found, seed)
        content["worth"].append(worth(found, test, seed))
        if job.privacy.noise_multiplier == 0 and job.model != "clinical_volumes":
            count, steps = (6, 400) if job.task == "response" else (3, 150)
            content["inversion"] += inverted(found, coarse, count, steps, seed)
        print(f"{job.model}, noise {job.privacy.noise_multiplier:g}: {time.process_time() - began:.0f} s", flush=True)
    last = [np.array(one) for one in _worth_by_patient(job, None, test)]
    value = _plain(bootstrap(last, mean, np.random.default_rng(seed)))
    content["worth"].append(
        {"task": job.task, "model": "last map", "noise": None, "epsilon": None, "score": "Dice", "value": value}
        | {"patients": len(last)}
    )
    content |= {"patients": {site: len(store.patients) for site, store in fine.items()}}
    write_json(arguments.out / "attacks.json", content | {"seconds": round(time.process_time() - began)})


if __name__ == "__main__":
    main()
