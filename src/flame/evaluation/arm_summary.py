"""Scores of predictions under each arm as rows with intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flame.evaluation.evolution_summary import as_json
from flame.evaluation.resampling import Resamples, mean
from flame.evaluation.scores import ArmScore

__all__ = ["summarise_arms"]


def summarise_arms(
    scores: Sequence[ArmScore], patients: Sequence[tuple[str, str]], resamples: Resamples
) -> list[dict[str, Any]]:
    """One row for each arm, delivered or not, support, region and horizon.

    Args:
        scores: all arm scores of a context.
        patients: (site, patient) in the order of the columns of `resamples`; others are left out.
        resamples: of these patients.
    """
    index = {key: number for number, key in enumerate(patients)}
    cells: dict[tuple[str, bool, str, str, int], tuple[Any, Any]] = {}
    for score in scores:
        if (score.site, score.patient) not in index:
            continue
        key = (score.arm, score.delivered, score.support, score.region, score.horizon)
        found, last = cells.setdefault(key, (np.full(len(patients), np.nan), np.full(len(patients), np.nan)))
        at = index[score.site, score.patient]
        found[at], last[at] = score.dice, score.persistence
    return [
        {
            "arm": arm,
            "delivered": delivered,
            "support": support,
            "region": region,
            "horizon": horizon,
            "patients": int(np.isfinite(found).sum()),
            "dice": as_json(resamples.interval(mean(found))),
            "persistence": as_json(resamples.interval(mean(last))),
        }
        for (arm, delivered, support, region, horizon), (found, last) in sorted(cells.items())
    ]
