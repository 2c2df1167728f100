"""Bootstrap intervals whose unit is the patient: all exams of a patient are drawn together, or not at all.

A statistic is a function `(values, counts) -> (replicates,)` of the rows of all patients and of how often each row
counts in each replicate (replicates, rows); `mean` and `auroc` are such, `repeated` makes one of any function of rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flame.metrics import resampled

__all__ = ["Interval", "Statistic", "auroc", "bootstrap", "mean", "paired_difference", "repeated", "resample"]

Values = NDArray[np.float64]
Counts = NDArray[np.float64]
Statistic = Callable[[Values, Counts], NDArray[np.float64]]


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; NaN where it is not known. `replicates` is how many were defined."""

    estimate: float
    low: float
    high: float
    replicates: int


def resample(
    patients: int, generator: np.random.Generator, replicates: int = 2000, strata: Sequence[object] | None = None
) -> Counts:
    """Draw patients with replacement, within strata if there are any.

    Args:
        patients: number of patients, >= 1.
        generator: source of the draws.
        replicates: number of resamples, >= 1.
        strata: the stratum of each patient, e.g. the site; each keeps its number of patients.

    Returns: float64 (replicates, patients), how often each patient was drawn.
    """
    groups = [None] * patients if strata is None else list(strata)
    if patients < 1 or replicates < 1 or len(groups) != patients:
        raise ValueError(
            f"need patients and replicates >= 1 and a stratum for each patient, "
            f"got {patients}, {replicates}, {len(groups)}"
        )
    counts = np.zeros((replicates, patients))
    for group in dict.fromkeys(groups):
        members = np.array([number for number, one in enumerate(groups) if one == group])
        counts[:, members] = generator.multinomial(members.size, np.full(members.size, 1 / members.size), replicates)
    return counts


def bootstrap(
    values_by_patient: Sequence[ArrayLike],
    statistic: Statistic,
    generator: np.random.Generator,
    replicates: int = 2000,
    strata: Sequence[object] | None = None,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of a statistic by resampling patients (Efron 1979; clusters: Davison and Hinkley 1997, 3.8).

    Args:
        values_by_patient: for each patient a number (one row), or an array whose first axis runs over the patient's
            rows; rows may be vectors, e.g. (probability, truth) for `auroc`.
        statistic: of rows and their counts.
        generator: source of the draws.
        replicates: number of resamples, >= 1; 2,000 or more for a result.
        strata: stratum of each patient, e.g. the site, or `None`.
        level: of the interval, in (0, 1).

    Returns: the estimate is the statistic of the sample itself; replicates where it is not defined are left out, and
        where those are more than half, the bounds are NaN.
    """
    values, owner = _rows(values_by_patient)
    counts = resample(len(values_by_patient), generator, replicates, strata)
    return _interval(statistic(values, np.ones((1, len(values)))), statistic(values, counts[:, owner]), level)


def paired_difference(
    first_by_patient: Sequence[ArrayLike],
    second_by_patient: Sequence[ArrayLike],
    statistic: Statistic,
    generator: np.random.Generator,
    replicates: int = 2000,
    strata: Sequence[object] | None = None,
    level: float = 0.95,
) -> Interval:
    """Interval of `statistic(first) - statistic(second)` for two models on the same patients: same draws for both.

    Args:
        first_by_patient: values of the first model, as for `bootstrap`.
        second_by_patient: values of the second model, in the same order of patients.
        statistic: of rows and their counts.
        generator: source of the draws.
        replicates: number of resamples, >= 1.
        strata: stratum of each patient, or `None`.
        level: of the interval, in (0, 1).
    """
    if len(first_by_patient) != len(second_by_patient):
        raise ValueError(f"need the same patients, got {len(first_by_patient)} and {len(second_by_patient)}")
    counts = resample(len(first_by_patient), generator, replicates, strata)

    def of(values_by_patient: Sequence[ArrayLike]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        values, owner = _rows(values_by_patient)
        return statistic(values, np.ones((1, len(values)))), statistic(values, counts[:, owner])

    (estimate, drawn), (other_estimate, other_drawn) = of(first_by_patient), of(second_by_patient)
    return _interval(estimate - other_estimate, drawn - other_drawn, level)


def mean(values: Values, counts: Counts) -> NDArray[np.float64]:
    """Statistic: mean over rows (rows,); those that are NaN are left out."""
    known = np.isfinite(values)
    total = counts @ known.astype(np.float64)
    summed = counts @ np.where(known, values, 0.0)
    average = np.full(len(counts), np.nan)
    np.divide(summed, total, out=average, where=total > 0)
    return average


def auroc(values: Values, counts: Counts) -> NDArray[np.float64]:
    """Statistic: area under the ROC curve of rows (probability, truth), i.e. (rows, 2)."""
    return resampled.auroc(values[:, 0], values[:, 1] == 1, counts)


def repeated(statistic: Callable[[Values], float]) -> Statistic:
    """Make a statistic of any function of rows: it is called once a replicate on rows repeated as they were drawn."""

    def vectorised(values: Values, counts: Counts) -> NDArray[np.float64]:
        return np.array([statistic(np.repeat(values, row.astype(np.intp), axis=0)) for row in counts])

    return vectorised


def _rows(values_by_patient: Sequence[ArrayLike]) -> tuple[Values, NDArray[np.intp]]:
    """All rows one after the other, and the patient that each belongs to."""
    parts = [np.atleast_1d(np.asarray(values, dtype=np.float64)) for values in values_by_patient]
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _interval(estimate: NDArray[np.float64], drawn: NDArray[np.float64], level: float) -> Interval:
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    defined = drawn[np.isfinite(drawn)]
    if 2 * defined.size < drawn.size:
        return Interval(float(estimate[0]), float("nan"), float("nan"), defined.size)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(estimate[0]), float(low), float(high), defined.size)
