"""Evolution scores as tables with intervals: per region and horizon, federated beside local, pooled and persistence."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.evaluation.resampling import Resamples, mean
from flame.evaluation.scores import EvolutionScore
from flame.metrics.intervals import Interval
from flame.metrics.overlap import absolute_volume_error_ml, log_volume_ratio
from flame.records.patient import REGIONS

__all__ = ["summarise_evolution"]

METRICS = ("dice", "hd95", "surface_dice", "change_dice", "volume_error_ml", "volume_log_ratio")
_VOLUME_FLOOR_ML = (
    0.1  # keeps the log ratio finite where a region vanished; an eighth of the smallest measurable lesion
)

Cells = Mapping[tuple[str, str, str, int], dict[tuple[str, str], list[EvolutionScore]]]


def as_json(interval: Interval) -> dict[str, float | None]:
    """An interval for `comparison.json`; what is not known is null."""
    values = {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def measure_of(score: EvolutionScore, metric: str) -> float:
    """One metric of a score; NaN where it is not defined."""
    if metric == "volume_error_ml":
        return absolute_volume_error_ml(score.volume_ml, score.true_volume_ml)
    if metric == "volume_log_ratio":
        return log_volume_ratio(score.volume_ml, score.true_volume_ml)
    value = getattr(score, metric)
    return float("nan") if value is None else float(value)


def summarise_evolution(
    scores: Sequence[EvolutionScore], patients: Sequence[tuple[str, str]], resamples: Resamples
) -> dict[str, Any]:
    """The evolution part of a comparison in one context.

    Args:
        scores: all scores of the context.
        patients: (site, patient) in the order of the columns of `resamples`.
        resamples: of these patients.

    Returns: rows, differences and matrix as `docs/run-folder.md` describes.
    """
    index = {key: number for number, key in enumerate(patients)}
    cells: dict[tuple[str, str, str, int], dict[str, dict[str, NDArray[np.float64]]]] = {}
    for score in scores:
        cell = cells.setdefault((score.model, score.trained, score.region, score.horizon), {})
        origin = cell.setdefault(score.origin, {m: np.full(len(patients), np.nan) for m in METRICS})
        for metric in METRICS:
            origin[metric][index[score.site, score.patient]] = measure_of(score, metric)
    averaged = {
        key: {m: _mean_over_models([origin[m] for origin in cell.values()]) for m in METRICS}
        for key, cell in cells.items()
    }
    return {
        "patients": len(patients),
        "rows": _rows(averaged, resamples),
        "differences": _differences(averaged, resamples),
        "matrix": _matrix(cells, patients),
    }


def _mean_over_models(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Per patient, the mean over the models that predicted it (several local ones, else one)."""
    stacked = np.stack(columns)
    known = np.isfinite(stacked)
    count = known.sum(0)
    return np.where(count > 0, np.where(known, stacked, 0.0).sum(0) / np.maximum(count, 1), np.nan)


Averaged = Mapping[tuple[str, str, str, int], Mapping[str, NDArray[np.float64]]]


def _rows(averaged: Averaged, resamples: Resamples) -> list[dict[str, Any]]:
    rows = []
    for (model, trained, region, horizon), values in sorted(averaged.items()):
        row: dict[str, Any] = {"method": model, "trained": trained, "region": region, "horizon": horizon}
        row["patients"] = int(np.isfinite(values["dice"]).sum())
        row |= {metric: as_json(resamples.interval(mean(values[metric]))) for metric in METRICS}
        rows.append(row)
    return rows


def _differences(averaged: Averaged, resamples: Resamples) -> list[dict[str, Any]]:
    found = []
    networks = sorted({model for model, trained, _, _ in averaged if trained == "federated"})
    horizons = sorted({horizon for *_, horizon in averaged})
    for model in networks:
        references = (("persistence", "none"), (model, "local"), (model, "pooled"))
        for (other, trained), region, horizon in (
            (reference, region, horizon) for reference in references for region in REGIONS for horizon in horizons
        ):
            mine, theirs = (
                averaged.get((model, "federated", region, horizon)),
                averaged.get((other, trained, region, horizon)),
            )
            if mine is None or theirs is None:
                continue
            gap = mine["dice"] - theirs["dice"]
            found.append(
                {
                    "between": f"federated - {other if trained == 'none' else trained}",
                    "region": region,
                    "horizon": horizon,
                    "patients": int(np.isfinite(gap).sum()),
                    "dice": as_json(resamples.interval(mean(gap))),
                }
            )
    return found


def _matrix(
    cells: Mapping[tuple[str, str, str, int], Mapping[str, Mapping[str, NDArray[np.float64]]]],
    patients: Sequence[tuple[str, str]],
) -> list[dict[str, Any]]:
    """Mean Dice of every model (rows) at every site (columns) that it never saw."""
    sites = sorted({site for site, _ in patients})
    members = {site: np.array([at == site for at, _ in patients]) for site in sites}
    tables: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for (model, trained, region, horizon), cell in sorted(cells.items()):
        if model == "volume_trend":
            continue
        for origin, values in sorted(cell.items()):
            row = [_known_mean(values["dice"][members[site]]) for site in sites]
            name = origin if trained != "none" else model
            tables.setdefault((region, horizon), []).append({"trained": name, "dice": row})
    return [
        {"region": region, "horizon": horizon, "sites": sites, "rows": rows}
        for (region, horizon), rows in sorted(tables.items())
    ]


def _known_mean(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None
