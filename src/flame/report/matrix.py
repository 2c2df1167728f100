"""Who predicts whom: a score of every model (rows) at every site (columns) that it never saw."""

from collections.abc import Sequence

from flame.report.blocks import Table, heat_table
from flame.report.estimates import number
from flame.report.words import name

__all__ = ["cross_site_table"]

_LAST = ("federated", "pooled", "persistence")


def cross_site_table(
    subject: str, score: str, sites: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None]]]
) -> Table:
    """A shaded matrix whose caption names the best and the worst site of the federated models.

    Args:
        subject: what is scored, at the start of the caption.
        score: name of the score.
        sites: names of the columns.
        rows: who trained a model, and its score at each site; None where there is none.
    """
    caption = (
        f"{subject[0].upper()}{subject[1:]}: {score} at each site (columns) of models trained elsewhere (rows); "
        "federated "
        "and pooled ones were trained without the site of the column. A dash: the model saw that site, or there is "
        "nobody "
        f"to score.{_spread(sites, dict(rows).get('federated', ()))}"
    )
    ordered = sorted(rows, key=lambda row: _LAST.index(row[0]) if row[0] in _LAST else -1)
    return heat_table(caption, "trained by", sites, [(name(trained), values) for trained, values in ordered])


def _spread(sites: Sequence[str], values: Sequence[float | None]) -> str:
    known = [(value, site) for value, site in zip(values, sites) if value is not None]
    if len(known) < 2:
        return ""
    (low, worst), (high, best) = min(known), max(known)
    return f" Federated: from {number(low)} ({worst}) to {number(high)} ({best})."
