"""What a site's chart says after treatment: exams that took place, steroids, clinical status, death, last contact."""

from collections.abc import Sequence as Items

import numpy as np
from numpy.typing import NDArray

from flame.records.patient import LABELS, SEQUENCES, ClinicalStatus, Outcome, Sequence
from flame.virtual.population import Fate
from flame.virtual.scanner import Scanner

__all__ = ["acquired", "attended", "clinical_status", "outcome", "steroid_mg"]

STEROID_STEPS_MG = (0.0, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0)


def attended(
    generator: np.random.Generator, fate: Fate, end_day: int, horizons: Items[int], death_day: int | None, missed: float
) -> tuple[int, ...]:
    """Horizons at which the patient comes: alive, not lost from follow-up, and not missed at random.

    Args:
        missed: probability of missing any one exam.
    """
    came = []
    for horizon, draw in zip(horizons, generator.uniform(size=len(horizons))):
        day = end_day + horizon
        if day >= fate.dropout_day or (death_day is not None and day >= death_day):
            break
        if draw >= missed:
            came.append(horizon)
    return tuple(came)


def outcome(fate: Fate, end_day: int, last_horizon: int, death_day: int | None) -> Outcome:
    """Death if it happened under observation, else the day on which the patient was last known alive."""
    closing = end_day + last_horizon
    seen_until = min(closing, int(fate.dropout_day))
    if death_day is not None and death_day <= seen_until:
        return Outcome(death_day=death_day, last_contact_day=death_day)
    return Outcome(death_day=None, last_contact_day=max(seen_until, 0))


def acquired(generator: np.random.Generator, scanner: Scanner) -> tuple[Sequence, ...]:
    """Sequences of one exam that exist; T1ce, which the label map is drawn on, always does."""
    draws = generator.uniform(size=len(SEQUENCES))
    return tuple(name for name, draw, missing in zip(SEQUENCES, draws, scanner.missing) if draw >= missing)


def steroid_mg(generator: np.random.Generator, labels: NDArray[np.uint8], voxel_ml: float) -> float:
    """Dexamethasone-equivalent dose [mg/day]: it follows the volume of oedema, with the prescriber's scatter."""
    oedema_ml = float(np.count_nonzero(labels == LABELS["SNFH"])) * voxel_ml
    wanted = oedema_ml / 18.0 * np.exp(generator.normal(0, 0.6)) - 1.0
    return STEROID_STEPS_MG[int(np.abs(np.asarray(STEROID_STEPS_MG) - wanted).argmin())]


def clinical_status(generator: np.random.Generator, core_ml: float, previous_core_ml: float) -> ClinicalStatus:
    """Change since the last exam as the clinic sees it: the logarithm of the core's change with noise."""
    change = np.log((core_ml + 4.0) / (previous_core_ml + 4.0)) + generator.normal(0, 0.35)
    if change > 0.6:
        return "worse"
    return "improved" if change < -0.6 else "stable"
