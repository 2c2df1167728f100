"""What a scale over sites gains: how far the same tissue lies apart between the sites of a virtual trial.

    flame trial TRIAL --patients 4
    python benchmarks/intensity_scale.py TRIAL

Baseline exams; white and grey matter and fluid, away from the tumour, as the trial's anatomy knows them. For every site
the mean over its patients of the tissue's median; then the standard deviation over sites, in shares of the mean
difference between white and grey matter of the sequence, so that units don't count. `scanner`: as acquired, `z`:
z-scores, as models read them, `scale`: on the scale of all sites, `scale, z`: z-scores of that, as models read it.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flame.files import read_json
from flame.imaging.intensity import zscore
from flame.imaging.nyul import Landmarks, landmarks, standardised, stretched
from flame.records.dataset import read_site
from flame.records.patient import SEQUENCES
from flame.records.volume import read_volume
from flame.virtual.assignment import make_site
from flame.virtual.simulation import make_patient
from flame.virtual.trial import TrialSettings

TISSUES = ("wm", "gm", "csf")
FEWEST_VOXELS = 30


@dataclass(frozen=True, eq=False)
class Image:
    """One image of a site, its landmarks, and where each tissue is."""

    site: int
    array: NDArray[np.float32]
    brain: NDArray[np.bool_]
    own: Landmarks
    tissues: dict[str, NDArray[np.bool_]]


def images(trial: Path) -> dict[str, list[Image]]:
    """All images of the baseline exams, by sequence."""
    settings = TrialSettings.model_validate(read_json(trial / "trial.json")["settings"])
    found: dict[str, list[Image]] = {name: [] for name in SEQUENCES}
    for at in range(settings.sites):
        profile = make_site(settings.seed, at)
        for patient in read_site(trial / "sites" / f"site-{at + 1}").patients:
            exam = patient.exams[0]
            tissue = make_patient(settings.seed, profile, patient.id, settings.spacing_mm, settings.confounding).tissue
            brain, far = read_volume(exam.brain_mask).array > 0, read_volume(exam.label_map).array == 0
            masks = {name: (getattr(tissue, name) > 0.9) & far for name in TISSUES}
            for name, path in exam.sequences.items():
                array = read_volume(path).array.astype(np.float32)
                found[name].append(Image(at, array, brain, landmarks(array, brain), masks))
    return found


def apart(own: list[Image], read: Callable[[Image], NDArray[np.float32]]) -> dict[str, float]:
    """For each tissue the deviation between sites, in shares of the contrast of white and grey matter."""
    medians: dict[str, dict[int, list[float]]] = {name: {} for name in TISSUES}
    for image in own:
        array = read(image)
        for name, mask in image.tissues.items():
            if mask.sum() >= FEWEST_VOXELS:
                medians[name].setdefault(image.site, []).append(float(np.median(array[mask])))
    sites = {name: [float(np.mean(one)) for one in by_site.values()] for name, by_site in medians.items()}
    contrast = abs(float(np.mean(sites["wm"]) - np.mean(sites["gm"])))
    return {name: float(np.std(one)) / contrast for name, one in sites.items()}


def main() -> None:
    """Print a line for each sequence and tissue, and the mean over brain tissue."""
    columns: dict[str, list[float]] = {name: [] for name in ("scanner", "z", "scale", "scale, z")}
    print(f"{'':12}" + "".join(f"{name:>10}" for name in columns))
    for sequence, own in images(Path(sys.argv[1])).items():
        scale = np.mean([stretched(one.own) for one in own], axis=0)
        read = {
            "scanner": lambda one: one.array,
            "z": lambda one: zscore(one.array, one.brain),
            "scale": lambda one, scale=scale: standardised(one.array, one.own, scale),
            "scale, z": lambda one, scale=scale: zscore(standardised(one.array, one.own, scale), one.brain),
        }
        found = {name: apart(own, how) for name, how in read.items()}
        for tissue in TISSUES:
            print(f"{sequence:6}{tissue:6}" + "".join(f"{found[name][tissue]:10.3f}" for name in columns))
        for name in columns:
            columns[name] += [found[name]["wm"], found[name]["gm"]]
    means = {name: float(np.mean(one)) for name, one in columns.items()}
    print(f"{'wm and gm':12}" + "".join(f"{one:10.3f}" for one in means.values()))
    print(f"scale against scanner: {means['scale'] / means['scanner']:.2f}; z: {means['z'] / means['scanner']:.2f}")
    print(f"z-scores of the scale against plain ones: {means['scale, z'] / means['z']:.2f}")


if __name__ == "__main__":
    main()
