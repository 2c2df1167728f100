"""What anybody could foresee from the exam before radiotherapy: a ceiling for evolution models of the context `pre_rt`.

    python benchmarks/evolution_ceiling.py --patients 60 --seed 3104 --spacing 4

The observer here is a generous one. It knows the virtual patient's tumour at the baseline exam cell by cell, the
tissue that it grows in, its growth rates, the chart and the plan. It does not know what no image before treatment
shows: sensitivity to radiation and temozolomide, its local mosaic, how growth changes afterwards, and who will have
pseudoprogression. Those are drawn anew from their priors, given what they are coupled to, and each drawn tumour is
treated and followed by the trial's own equations. Of the drawn futures of those who live, the observer shows the map
with the best expected Dice. A model sees far less, so what this observer does not gain over the last map carried
forward, no model can.

With `--growth unknown` the observer does not know how fast the tumour grows either: rates and their factors from
place to place are drawn from their priors, as if the baseline exam, of which it still knows every cell, told nothing
of them.

Reads no trial folder and serves no training. Everything is on the trial's grid, with readers' outlines as persistence
and truth.
"""

import argparse
import math
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flame import workers
from flame.metrics.overlap import dice
from flame.physics.growth import Biology
from flame.records.patient import LABELS, REGIONS
from flame.seeds import stream
from flame.virtual.assignment import make_site
from flame.virtual.observation import label_map
from flame.virtual.population import draw_biology, draw_sensitivity
from flame.virtual.pseudoprogression import draw_proneness
from flame.virtual.simulation import VirtualPatient, make_patient, patient_id, read_labels, simulate_arm
from flame.virtual.tumour import draw_factors, draw_mosaic, surroundings

Mask = NDArray[np.bool_]

SITES = 5
HORIZONS = (91, 182)
CONFOUNDING = 0.5
THRESHOLDS = 24


@dataclass(frozen=True)
class Order:
    """One patient of a trial of `seed`; `draws` futures are imagined."""

    seed: int
    number: int
    draws: int
    growth_known: bool
    spacing_mm: float


def regions(labels: NDArray[np.uint8]) -> dict[str, Mask]:
    """Masks of enhancing tumour, tumour core and whole tumour."""
    enhancing, necrotic = labels == LABELS["ET"], labels == LABELS["NETC"]
    return dict(zip(REGIONS, (enhancing, enhancing | necrotic, enhancing | necrotic | (labels == LABELS["SNFH"]))))


def perfusion_latent(biology: Biology) -> float:
    """The standard normal latent behind a person's perfusion, from the growth rates that hang on it."""
    vigour = math.log(biology.rho / 0.0135) / 0.40
    return -(math.log(biology.perfusion_mm / 3.4) + 0.10 * vigour) / 0.20


def imagined(patient: VirtualPatient, draw: int, growth_known: bool) -> VirtualPatient:
    """The patient with all that the observer does not know drawn anew."""
    person, tumour = patient.person, patient.tumour
    generator = stream(patient.seed, "imagined", patient.id, draw)
    shape = (tumour.mosaic.shape[0], tumour.mosaic.shape[1], tumour.mosaic.shape[2])
    perfusion = perfusion_latent(person.biology)
    if not growth_known:
        vigour, perfusion = (float(x) for x in generator.standard_normal(2))
        person = replace(person, biology=draw_biology(generator, vigour, perfusion))
        factors = draw_factors(generator, shape, patient.spacing_mm)
        medium = surroundings(patient.tissue, person, patient.spacing_mm, factors, tumour.cavity)
        tumour = replace(tumour, medium=medium)
    person = replace(
        person,
        sensitivity=draw_sensitivity(generator, perfusion, person.mgmt_methylated),
        proneness=draw_proneness(generator),
        fate=replace(person.fate, endurance=float(generator.exponential())),
    )
    tumour = replace(tumour, mosaic=draw_mosaic(generator, shape, patient.spacing_mm, person))
    return replace(patient, seed=int(generator.integers(2**31)), person=person, tumour=tumour)


def best_mask(futures: list[Mask]) -> Mask:
    """The map with the greatest mean Dice against all futures, among level sets of their weighted mean and no tumour.

    A future counts by one over its size, as in the derivative of the mean Dice.
    """
    sizes = [int(future.sum()) for future in futures]
    usual = float(np.mean(sizes)) + 1.0
    weighted = np.sum([future / (size + usual) for future, size in zip(futures, sizes)], axis=0)
    best, found = np.zeros_like(futures[0]), float(np.mean([size == 0 for size in sizes]))
    for level in np.linspace(0, float(weighted.max()), THRESHOLDS, endpoint=False):
        mask = weighted > level
        size = int(mask.sum())
        expected = float(np.mean([2 * int((mask & f).sum()) / max(size + n, 1) for f, n in zip(futures, sizes)]))
        if expected > found:
            best, found = mask, expected
    return best


def score(order: Order, _emit: workers.Emit) -> dict[tuple[str, int], tuple[float, float, bool]]:
    """Dice of persistence and of the observer, and whether there is tumour, by region and horizon that is lived to."""
    site = make_site(order.seed, order.number % SITES)
    name = patient_id(order.number % SITES, order.number // SITES)
    patient = make_patient(order.seed, site, name, order.spacing_mm, CONFOUNDING)
    truth = simulate_arm(patient, patient.arm, HORIZONS)
    if not truth.seen:
        return {}
    futures: dict[tuple[str, int], list[Mask]] = defaultdict(list)
    for draw in range(order.draws):
        for horizon, seen in simulate_arm(imagined(patient, draw, order.growth_known), patient.arm, HORIZONS).seen:
            for region, mask in regions(label_map(seen)).items():
                futures[region, horizon].append(mask)
    before = regions(patient.labels)
    found = {}
    for horizon, seen in truth.seen:
        day = truth.future.end_day + horizon
        for region, true in regions(read_labels(order.seed, name, seen, day, order.spacing_mm)).items():
            if futures[region, horizon]:
                shown = best_mask(futures[region, horizon])
                spacing = (order.spacing_mm,) * 3
                plain, mine = dice(before[region], true, spacing), dice(shown, true, spacing)
                found[region, horizon] = plain, mine, bool(true.any())
    return found


def main() -> None:
    """Imagine, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--seed", type=int, default=3104)
    parser.add_argument("--draws", type=int, default=16, help="futures imagined for each patient")
    parser.add_argument("--spacing", type=float, default=2.0)
    parser.add_argument("--growth", choices=("known", "unknown"), default="known", help="what the observer knows of it")
    chosen = parser.parse_args()
    known = chosen.growth == "known"
    orders = [Order(chosen.seed, number, chosen.draws, known, chosen.spacing) for number in range(chosen.patients)]
    pairs: dict[tuple[str, int], list[tuple[float, float, bool]]] = defaultdict(list)
    for result in workers.run(score, orders, 2, print):
        for key, pair in result.items():
            pairs[key].append(pair)
    for (region, horizon), values in sorted(pairs.items()):
        plain, mine, present = np.array(values).T
        for name, chosen_ones in (("all", present >= 0), ("with tumour left", present > 0)):
            gain = (mine - plain)[chosen_ones]
            error = gain.std(ddof=1) / math.sqrt(len(gain))
            means = f"{mine[chosen_ones].mean():.3f}, persistence {plain[chosen_ones].mean():.3f}"
            print(f"{region} +{horizon}, {len(gain)} {name}: {means}, {gain.mean():+.3f} +- {error:.3f}")


if __name__ == "__main__":
    main()
