"""Pictures of an example's patients: what a comparison keeps of them, made from a generator."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ARMS = ("photon", "proton", "carbon")
HORIZONS = (91, 182, 273, 365)
SEQUENCES = ("T1w", "T1ce", "T2w", "FLAIR")
SUPPORT = {"photon": "factual", "proton": "in-support counterfactual", "carbon": "mechanistic extrapolation"}
SIZE = 56


def tumour(radius: float, centre: tuple[float, float], size: int = SIZE) -> NDArray[np.uint8]:
    """A label map of nested discs with a wavy edge: oedema, enhancing rim, necrosis."""
    x, y = np.mgrid[:size, :size].astype(np.float64)
    angle = np.arctan2(y - centre[1], x - centre[0])
    distance = np.hypot(x - centre[0], y - centre[1]) - 1.2 * np.sin(3 * angle)
    labels = np.zeros((size, size), np.uint8)
    labels[distance < 1.9 * radius + 3] = 2
    labels[distance < radius] = 3
    labels[distance < 0.55 * radius] = 1
    return labels


def brain_slice(
    labels: NDArray[np.uint8], bright: tuple[float, ...], generator: np.random.Generator
) -> NDArray[np.float32]:
    """A z-scored slice: an ellipse of brain with ventricles, the labels in given intensities, 0 outside the head."""
    x, y = (np.mgrid[:SIZE, :SIZE] - SIZE / 2) / (SIZE / 2)
    image = 0.3 * np.cos(9 * x) * np.cos(7 * y) + generator.normal(0, 0.12, (SIZE, SIZE))
    image[(np.abs(x) < 0.16) & (np.abs(x) > 0.03) & (np.abs(y + 0.1) < 0.3)] = -1.6
    for value, brightness in zip((1, 2, 3), bright):
        image[labels == value] = brightness + generator.normal(0, 0.12, int((labels == value).sum()))
    image[x**2 / 0.72 + y**2 / 0.94 > 1] = 0.0
    return image.astype(np.float32)


_BRIGHT = {"T1w": (-1.2, -0.6, -0.4), "T1ce": (-1.0, -0.5, 2.6), "T2w": (2.0, 1.5, 0.9), "FLAIR": (0.2, 2.0, 1.2)}


def montage_picture(
    patient: str, arm: str, generator: np.random.Generator
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    centre = (float(generator.uniform(18, 36)), float(generator.uniform(20, 38)))
    exams = int(generator.integers(3, 7))
    arrays: dict[str, NDArray[Any]] = {}
    for exam in range(exams):
        labels = tumour(6 + 1.3 * exam * generator.uniform(-0.6, 1), centre)
        arrays[f"labels_{exam}"] = labels
        for sequence in SEQUENCES:
            if exam == 2 and sequence == "FLAIR":
                continue
            arrays[f"image_{exam}_{sequence}"] = brain_slice(labels, _BRIGHT[sequence], generator)
    x, y = np.mgrid[:SIZE, :SIZE]
    arrays["dose"] = (60 / (1 + np.exp((np.hypot(x - centre[0], y - centre[1]) - 17) / 2))).astype(np.float32)
    for position, name in enumerate(ARMS):
        for number, horizon in enumerate(HORIZONS):
            arrays[f"arm_{name}_{horizon}"] = tumour(max(2.0, 7 + number * (1.2 - position)), centre)
    facts = {
        "patient": patient.partition("_sub-")[2],
        "site": patient.partition("_")[0],
        "arm": arm,
        "exam_days": [-14, 70, 133, 224, 315, 407][:exams],
        "horizons": [None, 28, 91, 182, 273, 365][:exams],
        "responder": [True, False, None][int(generator.integers(3))],
        "arms": {name: list(HORIZONS) for name in ARMS},
    }
    return arrays, facts


def evolution_picture(patient: str, generator: np.random.Generator) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    centre = (float(generator.uniform(18, 36)), float(generator.uniform(20, 38)))
    last = tumour(7, centre)
    arrays: dict[str, NDArray[Any]] = {"last": last, "background": brain_slice(last, _BRIGHT["T1ce"], generator)}
    for position, arm in enumerate(ARMS):
        for number, horizon in enumerate(HORIZONS):
            radius = max(2.0, 7 + number * (1.4 - position))
            shifted = (centre[0] + generator.normal(0, 1), centre[1] + generator.normal(0, 1))
            guess = tumour(max(1.5, radius + generator.normal(0, 0.8)), shifted)
            regions = [np.isin(guess, values) for values in ((3,), (1, 3), (1, 2, 3))]
            arrays[f"predicted_{arm}_{horizon}"] = np.stack([0.05 + 0.9 * region for region in regions]).astype(
                np.float32
            )
            if not (arm == "carbon" and horizon == HORIZONS[-1]):
                arrays[f"true_{arm}_{horizon}"] = tumour(radius, centre)
    scale = {"ET": 6.0, "TC": 9.0, "WT": 48.0}
    facts = {
        "patient": patient.partition("_sub-")[2],
        "site": patient.partition("_")[0],
        "context": "first_post_rt",
        "arm": "photon",
        "training": f"evolution-unet-first_post_rt/federated-without-{patient.partition('_')[0]}",
        "horizons": list(HORIZONS),
        "observed": {"horizons": [-56, 28], "volumes_ml": {region: [1.4 * v, v] for region, v in scale.items()}},
        "arms": {
            arm: {
                "support": SUPPORT[arm],
                "predicted_ml": {
                    r: [round(v * (1 + 0.3 * (1 - p) * k), 2) for k in range(4)] for r, v in scale.items()
                },
                "true_ml": {
                    r: [round(v * (1 + 0.36 * (1 - p) * k) * generator.uniform(0.85, 1.15), 2) for k in range(3)]
                    + [None]
                    for r, v in scale.items()
                },
                "prescription_gy": 75.0 if arm == "carbon" else 60.0,
                "fractions": 33 if arm == "carbon" else 30,
            }
            for p, arm in enumerate(ARMS)
        },
    }
    return arrays, facts
