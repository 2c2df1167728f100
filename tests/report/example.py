"""A small run folder of a comparison that looks like a real one, made from a generator."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.report.example_pictures import ARMS, HORIZONS, SUPPORT, evolution_picture, montage_picture

SITES = ("site-1", "site-2", "site-3", "site-4", "site-5")
REFERENCES = ("persistence", "local", "pooled")


def interval(value: float, half: float) -> dict[str, float]:
    return {"estimate": round(value, 4), "low": round(value - half, 4), "high": round(value + half, 4)}


def example_comparison(generator: np.random.Generator) -> dict[str, Any]:
    """The content of `comparison.json`: two tasks, two contexts, five sites, nothing missing."""
    return {
        "flame": "0.1.0",
        "versions": {"python": "3.11.9", "torch": "2.13.0", "numpy": "2.1.0"},
        "settings": {
            "seed": 7,
            "held_out": list(SITES),
            "replicates": 2000,
            "questions": [
                {"task": "response", "model": "network", "context": "first_post_rt", "rounds": 20},
                {"task": "evolution", "model": "unet", "context": "first_post_rt", "rounds": 30},
            ],
            "aggregation": {"name": "fedavg"},
            "crop": {"voxels": 64, "spacing_mm": 2.0},
        },
        "sites": [
            {
                "name": site,
                "patients": 24,
                "responders": int(generator.integers(8, 13)),
                "arms": {"photon": 14, "proton": 8 if position < 3 else 0, "carbon": 2 if position < 2 else 0},
                "excluded": [{"patient": "sub-019", "reason": "no exam after radiotherapy"}] if position == 1 else [],
            }
            for position, site in enumerate(SITES)
        ],
        "held_out": list(SITES),
        "arm_effects": {
            "identified": False,
            "statement": "Carbon ions are offered at two sites only, and by no other rule than the site.",
            "offered": {site: {"photon": 14, "proton": 8, "carbon": 2} for site in SITES},
        },
        "goals": [
            {
                "statement": "Response (first_post_rt): federated AUROC above the mean of the local models",
                "value": 0.061,
                "low": 0.012,
                "high": 0.109,
                "reached": True,
            },
            {
                "statement": "Evolution (first_post_rt), ET: federated Dice above persistence at +182 days",
                "value": -0.004,
                "low": -0.031,
                "high": 0.022,
                "reached": False,
            },
        ],
        "response": [response_part(context, generator) for context in ("pre_rt", "first_post_rt")],
        "evolution": [evolution_part(context, generator) for context in ("pre_rt", "first_post_rt")],
        "trainings": trainings(generator),
        "pictures": {
            "patients": ["site-1_sub-004", "site-2_sub-011", "site-3_sub-007"],
            "montage": [f"{site}_sub-001" for site in SITES],
        },
    }


def response_part(context: str, generator: np.random.Generator) -> dict[str, Any]:
    skill = {"prevalence": 0.5, "clinical": 0.66, "clinical_volumes": 0.74, "network": 0.76}
    ways = {"local": -0.05, "federated": 0.0, "pooled": 0.012}
    rows = []
    for model, level in skill.items():
        for trained, shift in ways.items():
            value = level + (shift if model != "prevalence" else 0) + generator.normal(0, 0.004)
            rows.append(
                {
                    "model": model,
                    "trained": trained,
                    "auroc": interval(value, 0.09),
                    "auroc_overall": interval(value - 0.01, 0.09),
                    "auprc": interval(value - 0.1, 0.1),
                    "balanced_accuracy": interval(value - 0.06, 0.08),
                    "brier": interval(0.25 - (value - 0.5) * 0.2, 0.03),
                    "calibration_slope": interval(0.9 + generator.normal(0, 0.1), 0.4)
                    if model != "prevalence"
                    else {"estimate": None, "low": None, "high": None},
                    "calibration_intercept": interval(generator.normal(0, 0.1), 0.4),
                    "ece": round(float(generator.uniform(0.03, 0.12)), 4),
                }
            )
    models = list(skill)
    bins = np.linspace(0.1, 0.9, 5)
    return {
        "context": context,
        "patients": 120,
        "responders": 51,
        "rows": rows,
        "differences": [
            {"model": model, "between": f"federated - {other}", "auroc": interval(gap, 0.045)}
            for model in models[1:]
            for other, gap in (("local", 0.055), ("pooled", -0.011))
        ],
        "reliability": [
            {
                "model": row["model"],
                "trained": row["trained"],
                "bins": [
                    {
                        "predicted": round(float(at), 3),
                        "observed": round(float(np.clip(at + generator.normal(0, 0.07), 0, 1)), 3),
                        "patients": int(generator.integers(8, 40)),
                    }
                    for at in bins
                ],
            }
            for row in rows
        ],
        "matrix": [
            {"model": model, "sites": list(SITES), "rows": matrix("auroc", 0.72, generator)} for model in models
        ],
    }


def matrix(score: str, level: float, generator: np.random.Generator) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in (*SITES, "federated", "pooled"):
        shift = 0.04 if name in ("federated", "pooled") else 0.0
        values = [None if name == site else round(level + shift + generator.normal(0, 0.04), 4) for site in SITES]
        rows.append({"trained": name, score: values})
    return rows


LEVELS = {"ET": 0.5, "TC": 0.48, "WT": 0.75}


def evolution_part(context: str, generator: np.random.Generator) -> dict[str, Any]:
    return {
        "context": context,
        "patients": 120,
        "rows": evolution_rows(generator),
        "differences": evolution_differences(),
        "matrix": [
            {
                "region": region,
                "horizon": horizon,
                "sites": list(SITES),
                "rows": [
                    *matrix("dice", level - 0.1 * number, generator),
                    {"trained": "persistence", "dice": [round(level - 0.13 * number, 4)] * len(SITES)},
                ],
            }
            for region, level in LEVELS.items()
            for number, horizon in enumerate(HORIZONS)
        ],
        "arms": evolution_arms(),
    }


def evolution_rows(generator: np.random.Generator) -> list[dict[str, Any]]:
    ways = (
        ("persistence", "none", 0.0),
        ("volume_trend", "none", -0.02),
        ("unet", "local", 0.03),
        ("unet", "federated", 0.09),
        ("unet", "pooled", 0.1),
    )
    rows = []
    for region, level in LEVELS.items():
        for number, horizon in enumerate(HORIZONS):
            for method, trained, gain in ways:
                dice = level - 0.11 * number + gain * (0.4 + number / 3) + generator.normal(0, 0.01)
                rows.append(
                    {
                        "method": method,
                        "trained": trained,
                        "region": region,
                        "horizon": horizon,
                        "patients": 112 - 17 * number,
                        "dice": interval(dice, 0.03 + 0.006 * number),
                        "hd95": interval(24 - 20 * dice, 2.4),
                        "surface_dice": interval(0.8 * dice, 0.04),
                        "change_dice": interval(0.0 if method == "persistence" else 0.2 + gain, 0.03),
                        "volume_error_ml": interval(14 - 8 * dice, 1.8),
                        "volume_log_ratio": interval(0.1 + generator.normal(0, 0.1), 0.12),
                    }
                )
    return rows


def evolution_differences() -> list[dict[str, Any]]:
    return [
        {
            "between": f"federated - {other}",
            "region": region,
            "horizon": horizon,
            "patients": 112 - 17 * number,
            "dice": interval(gap + 0.03 * number * (other != "pooled"), 0.028),
        }
        for other, gap in {"persistence": 0.02, "local": 0.05, "pooled": -0.01}.items()
        for region in LEVELS
        for number, horizon in enumerate(HORIZONS)
    ]


def evolution_arms() -> list[dict[str, Any]]:
    return [
        {
            "arm": arm,
            "delivered": support == "factual",
            "support": support,
            "region": region,
            "horizon": horizon,
            "patients": 40 - 6 * number,
            "dice": interval(level + 0.05 - 0.09 * number - 0.04 * (support != "factual"), 0.05),
            "persistence": interval(level - 0.13 * number, 0.05),
        }
        for arm in ARMS
        for support in ("factual", SUPPORT[arm] if arm != "photon" else "in-support counterfactual")
        for region, level in LEVELS.items()
        for number, horizon in enumerate(HORIZONS)
    ]


def trainings(generator: np.random.Generator) -> list[dict[str, Any]]:
    found = []
    for question, size, count in (
        ("evolution-unet-first_post_rt", 1_400_000, 30),
        ("response-network-first_post_rt", 320_000, 20),
    ):
        ways = [(f"local-{site}", (site,)) for site in SITES]
        for held_out in SITES:
            others = tuple(site for site in SITES if site != held_out)
            ways += [(f"federated-without-{held_out}", others), (f"pooled-without-{held_out}", ("all",))]
        for way, sites in ways:
            rounds = []
            for number in range(1, count + 1):
                entries = {
                    site: {
                        "bytes_up": size,
                        "bytes_down": size,
                        "scalars": {
                            "loss": round(0.3 + 0.7 * float(np.exp(-number / 8)) + float(generator.normal(0, 0.02)), 4)
                        },
                    }
                    for site in sites
                }
                refused = {}
                if way == "federated-without-site-3" and number == 4 and "site-2" in entries:
                    del entries["site-2"]
                    refused = {"site-2": "array decoder.0.weight holds NaN"}
                rounds.append({"round": number, "seconds": 2.5, "sites": entries, "refused": refused})
            found.append(
                {
                    "name": f"{question}/{way}",
                    "sites": list(sites),
                    "parameters": size // 4,
                    "samples": 96,
                    "rounds": rounds,
                }
            )
    return found


def write_example(folder: Path, comparison: dict[str, Any], generator: np.random.Generator) -> Path:
    """Write `comparison` as a run folder with the pictures it announces and one model card per training."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comparison.json").write_text(json.dumps(comparison))
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    for number, patient in enumerate(comparison["pictures"]["montage"]):
        _keep(pictures / f"montage-{patient}", *montage_picture(patient, ARMS[number % 3], generator))
    for patient in comparison["pictures"]["patients"]:
        _keep(pictures / f"evolution-{patient}", *evolution_picture(patient, generator))
    for training in comparison["trainings"]:
        card = folder / "models" / training["name"] / "model.json"
        card.parent.mkdir(parents=True, exist_ok=True)
        about = {"sites": training["sites"], "samples": training["samples"], "parameters": training["parameters"]}
        card.write_text(
            json.dumps({"task": training["name"].split("-")[0], **about, "intended_use": "research use only"})
        )
    return folder


def _keep(stem: Path, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> None:
    np.savez_compressed(stem.with_name(f"{stem.name}.npz"), allow_pickle=False, **arrays)
    stem.with_name(f"{stem.name}.json").write_text(json.dumps(facts))
