"""Which round's model a job ends with, by a rule that was declared before it began.

Sites score the model that a round begins with on patients whom they hold back from training. So the report of round k
tells how good the model after k rounds is. The model after the last round is scored when the rounds are over
(`federation.closing`).
"""

from collections.abc import Mapping, Sequence

from flame.federation.folder import RoundReport
from flame.federation.job import Selection

__all__ = ["SCORE", "best_round", "is_better", "is_settled", "worth"]

SCORE = "score"
"""What a site calls its score; larger is better."""


def worth(selection: Selection, report: RoundReport) -> float | None:
    """How good the model is that a round began with: its mean over the sites' scores, or the worst site's.

    Returns: None if no site scored it.
    """
    scores = [scalars[SCORE] for scalars in report.scalars.values() if SCORE in scalars]
    return _worth(selection, scores) if scores else None


def _worth(selection: Selection, scores: Sequence[float]) -> float:
    return min(scores) if selection.rule == "worst" else sum(scores) / len(scores)


def best_round(selection: Selection, reports: Sequence[RoundReport]) -> int | None:
    """The round that began with the best model, the earliest of equals; None if the rule is `last` or nothing is known.

    A round that fewer sites scored than another is no candidate: a hard site that is away makes any model better.
    """
    if selection.rule == "last":
        return None
    known = [(report.round, worth(selection, report), _scored(report)) for report in reports]
    most = max((scored for _, _, scored in known), default=0)
    candidates = [(value, -number) for number, value, scored in known if value is not None and scored == most]
    return -max(candidates)[1] if candidates else None


def is_settled(selection: Selection, reports: Sequence[RoundReport]) -> bool:
    """Whether the best model is so many rounds old that the job stops looking for a better one."""
    best = best_round(selection, reports)
    if best is None or selection.patience == 0:
        return False
    return reports[-1].round - best >= selection.patience


def is_better(selection: Selection, last: Mapping[str, float], best: Mapping[str, float], needed: int) -> bool:
    """Whether the model after the last round is better than the best that a round began with.

    Args:
        selection: the job's.
        last: site -> score of the last model.
        best: site -> score of the other one, asked at the same time.
        needed: how many sites must have scored both; a hard site that is away makes any model better.
    """
    both = sorted(last.keys() & best.keys())
    if not both or len(both) < needed:
        return False
    return _worth(selection, [last[site] for site in both]) > _worth(selection, [best[site] for site in both])


def _scored(report: RoundReport) -> int:
    return sum(SCORE in scalars for scalars in report.scalars.values())
