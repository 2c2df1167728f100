"""Endpoints of response by name; each says who is a responder, and `None` where that can't be known yet."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Assessment", "disease_control"]

PROGRESSION_GROWTH = 0.40
MEASURABLE_ML = 0.52
EARLY_DAYS = 84
BASELINE_DAYS = (14, 60)
WINDOW_DAYS = 30


@dataclass(frozen=True)
class Assessment:
    """Enhancing tumour of one exam: `horizon` [days since the end of radiotherapy] and `et_ml` [ml]."""

    horizon: int
    et_ml: float


def disease_control(
    assessments: Sequence[Assessment],
    *,
    death_horizon: int | None = None,
    at_day: int = 182,
) -> bool | None:
    """Whether the disease is controlled (no progression, alive) `at_day` days after radiotherapy.

    Volumetric rule (RANO 2.0, Wen 2023): progression is enhancing tumour at least 40 % above the nadir, which is the
    smallest volume since the first exam after radiotherapy and never includes the exam that is judged; from a nadir
    too small to measure it takes a measurable volume (0.52 ml, a sphere of 10 mm). Within 84 days of radiotherapy it
    counts only if the next exam confirms it.

    Args:
        assessments: of all exams after radiotherapy, in order.
        death_horizon: day of death since the end of radiotherapy; None if alive or unknown.
        at_day: horizon of the endpoint; an exam within 30 days of it is needed to call control.

    Returns: None if no exam near `at_day` was seen and neither progression nor death came before.
    """
    last = at_day + WINDOW_DAYS
    seen = [one for one in assessments if BASELINE_DAYS[0] <= one.horizon <= last]
    for number, exam in enumerate(seen[1:], start=1):
        if _progressed(seen[:number], exam) and (exam.horizon > EARLY_DAYS or _confirmed(seen, number)):
            return False
    if death_horizon is not None and death_horizon <= at_day:
        return False
    return True if any(abs(one.horizon - at_day) <= WINDOW_DAYS for one in seen[1:]) else None


def _progressed(before: Sequence[Assessment], exam: Assessment) -> bool:
    nadir = min(one.et_ml for one in before)
    return exam.et_ml >= max((1 + PROGRESSION_GROWTH) * nadir, nadir + MEASURABLE_ML)


def _confirmed(seen: Sequence[Assessment], number: int) -> bool:
    return number + 1 < len(seen) and _progressed(seen[:number], seen[number + 1])
