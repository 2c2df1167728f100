"""Response scores as tables with intervals: discrimination within sites, calibration, and who predicts whom."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.evaluation.evolution_summary import as_json
from flame.evaluation.resampling import Resamples, Weights, within_site_auroc
from flame.evaluation.scores import ResponseScore
from flame.metrics import classification, resampled

__all__ = ["summarise_response"]

Column = NDArray[np.float64]
Statistic = Callable[[Weights], NDArray[np.float64]]


def summarise_response(
    scores: Sequence[ResponseScore], patients: Sequence[tuple[str, str]], resamples: Resamples
) -> dict[str, Any]:
    """The response part of a comparison in one context.

    Args:
        scores: all scores of the context.
        patients: (site, patient) in the order of the columns of `resamples`.
        resamples: of these patients.

    Returns: rows, differences, reliability and matrix as `docs/run-folder.md` describes.
    """
    table = _Table(scores, patients)
    return {
        "patients": len(patients),
        "responders": int(table.responder.sum()),
        "rows": [table.row(model, trained, resamples) for model, trained in table.ways],
        "differences": [
            {"model": model, "between": f"federated - {other}", "auroc": as_json(interval)}
            for model in table.models
            for other in ("local", "pooled")
            if (interval := table.difference(model, other, resamples)) is not None
        ],
        "reliability": [
            {"model": model, "trained": trained, "bins": table.reliability(model, trained)}
            for model, trained in table.ways
        ],
        "matrix": [table.matrix(model) for model in table.models],
    }


class _Table:
    """Predicted probabilities by model, way of training and origin; NaN where a model may not predict a patient."""

    def __init__(self, scores: Sequence[ResponseScore], patients: Sequence[tuple[str, str]]) -> None:
        index = {key: number for number, key in enumerate(patients)}
        self.sites = np.array([site for site, _ in patients])
        self.responder = np.zeros(len(patients), dtype=bool)
        self.columns: dict[tuple[str, str], dict[str, Column]] = {}
        for score in scores:
            at = index[score.site, score.patient]
            self.responder[at] = score.responder
            origins = self.columns.setdefault((score.model, score.trained), {})
            origins.setdefault(score.origin, np.full(len(patients), np.nan))[at] = score.probability
        self.ways: Sequence[tuple[str, str]] = sorted(self.columns)
        self.models: Sequence[str] = sorted({model for model, _ in self.ways})

    def row(self, model: str, trained: str, resamples: Resamples) -> dict[str, Any]:
        row: dict[str, Any] = {"model": model, "trained": trained}
        for name, statistic in self._statistics().items():
            row[name] = as_json(resamples.interval(self._over_origins(model, trained, statistic)))
        row["ece"] = classification.expected_calibration_error(*self._predicted(model, trained))
        return row

    def _statistics(self) -> Mapping[str, Callable[[Column], Statistic]]:
        return {
            "auroc": lambda p: within_site_auroc(p, self.responder, self.sites),
            "auroc_overall": lambda p: self._of(p, resampled.auroc),
            "auprc": lambda p: self._of(p, resampled.auprc),
            "balanced_accuracy": lambda p: self._of(p, resampled.balanced_accuracy),
            "brier": lambda p: self._of(p, resampled.brier),
            "calibration_slope": lambda p: self._of(p, resampled.calibration_slope),
            "calibration_intercept": lambda p: self._of(p, resampled.calibration_intercept),
        }

    def difference(self, model: str, other: str, resamples: Resamples) -> Any:
        if (model, "federated") not in self.columns or (model, other) not in self.columns:
            return None

        def auroc(probability: Column) -> Statistic:
            return within_site_auroc(probability, self.responder, self.sites)

        mine, theirs = self._over_origins(model, "federated", auroc), self._over_origins(model, other, auroc)
        return resamples.interval(lambda weights: mine(weights) - theirs(weights))

    def reliability(self, model: str, trained: str) -> list[dict[str, float]]:
        curve = classification.reliability_curve(*self._predicted(model, trained))
        return [
            {"predicted": float(bin.predicted), "observed": float(bin.observed), "patients": int(bin.samples)}
            for bin in curve
        ]

    def _predicted(self, model: str, trained: str) -> tuple[Column, NDArray[np.bool_]]:
        """All predictions of one way of training and what was observed, those of several local models together."""
        origins = self.columns[model, trained].values()
        stacked, truth = np.concatenate(list(origins)), np.tile(self.responder, len(origins))
        known = np.isfinite(stacked)
        return stacked[known], truth[known]

    def matrix(self, model: str) -> dict[str, Any]:
        names = sorted(set(self.sites))
        rows = []
        for trained in ("local", "federated", "pooled"):
            for origin, probability in sorted(self.columns.get((model, trained), {}).items()):
                cells = [self._at_site(probability, site) for site in names]
                rows.append({"trained": origin, "auroc": cells})
        return {"model": model, "sites": names, "rows": rows}

    def _at_site(self, probability: Column, site: str) -> float | None:
        known = (self.sites == site) & np.isfinite(probability)
        value = classification.auroc(probability[known], self.responder[known]) if known.any() else float("nan")
        return float(value) if np.isfinite(value) else None

    def _over_origins(self, model: str, trained: str, statistic: Callable[[Column], Statistic]) -> Statistic:
        """The mean of a statistic over the models of one way of training: several local ones, else one."""
        each = [statistic(probability) for probability in self.columns[model, trained].values()]
        return lambda weights: np.mean([one(weights) for one in each], axis=0)

    def _of(self, probability: Column, metric: Callable[[Column, NDArray[np.bool_], Weights], Column]) -> Statistic:
        """A metric over the patients that are predicted."""
        known = np.isfinite(probability)
        return lambda weights: metric(probability[known], self.responder[known], weights[:, known])
