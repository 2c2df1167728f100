"""How the names in a run folder are written for a reader, and one sentence for each score."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from flame.records.patient import ARMS

__all__ = ["METRICS", "arm_order", "context_short", "context_text", "horizon_text", "name", "plural"]

_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "none": "not trained",
        "local": "local",
        "federated": "federated",
        "pooled": "pooled",
        "persistence": "persistence",
        "volume_trend": "volume trend",
        "unet": "U-Net",
        "prevalence": "prevalence",
        "clinical": "clinical data",
        "clinical_volumes": "clinical data + volumes",
        "network": "3-D network",
        "ET": "enhancing tumour",
        "TC": "tumour core",
        "WT": "whole tumour",
        "photon": "photons",
        "proton": "protons",
        "carbon": "carbon ions",
    }
)

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "auroc": "AUROC is the share of pairs of a responder and a non-responder that are ranked rightly; 0.5 is a "
        "coin, "
        "1 is perfect. Unless it says “all sites”, pairs are formed within a site, so that a site's share of "
        "responders "
        "cannot help.",
        "auprc": "AUPRC averages the precision over all thresholds; a coin reaches the share of responders.",
        "balanced_accuracy": "Balanced accuracy is the mean of sensitivity and specificity at a threshold of 0.5.",
        "brier": "The Brier score is the mean squared distance of probability and outcome; lower is better.",
        "calibration": "A calibration slope of 1 and an intercept of 0 mean that probabilities are neither too bold "
        "nor "
        "too timid, and right on average; ECE is the mean gap between predicted and observed share.",
        "dice": "Dice is twice the overlap of predicted and true region over the sum of their sizes: 0 is none, 1 is "
        "all.",
        "hd95": "HD95 is the distance that 95 % of the two surfaces do not exceed [mm]; lower is better.",
        "surface_dice": "Surface Dice is the share of both surfaces that lies within 2 mm of the other one.",
        "change_dice": "Change-Dice counts only voxels that changed since the last exam, where persistence scores 0.",
        "volume": "The volume error is the absolute difference of predicted and true volume [ml]; the log ratio is 0 "
        "for a right volume, positive for one too large.",
    }
)


def name(key: str) -> str:
    """The reader's word for a name in a run folder; a name that is not known is shown as it is."""
    return _NAMES.get(key, key)


def context_text(key: str) -> str:
    """What a model may use, in words."""
    known = {
        "pre_rt": "before radiotherapy (last exam before the course)",
        "first_post_rt": "after radiotherapy (last exam before the course and first exam after it)",
    }
    return known.get(key, key)


def context_short(key: str) -> str:
    """When the prediction is made."""
    return {"pre_rt": "before radiotherapy", "first_post_rt": "after radiotherapy"}.get(key, key)


def horizon_text(horizon: int | None) -> str:
    """Days since the end of radiotherapy: `+182 days`; None is the exam before it."""
    return "before" if horizon is None else f"+{horizon} days"


def plural(count: int, noun: str) -> str:
    """`1 patient`, `24 patients`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def arm_order(arms: Iterable[str]) -> tuple[str, ...]:
    """Photon, proton, carbon, then whatever else there is by name."""
    found = set(arms)
    return tuple(arm for arm in ARMS if arm in found) + tuple(sorted(found - set(ARMS)))
