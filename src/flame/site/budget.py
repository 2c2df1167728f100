"""What a site's patients have spent of their privacy, over all jobs: the ledger is the account.

Each round with noise is one `Spent` entry, written before the round is trained. What all of them amount to is one
number, epsilon at a small chance delta: whoever sees every update that ever left, and knows all other patients, gains
at most a factor of e**epsilon in the odds on whether a given patient was there, but for a chance of delta (Dwork 2014).

Counted by Renyi differential privacy of the Gaussian mechanism on Poisson samples (Mironov, Talwar and Zhang 2019) for
patients added or removed, with the conversion of Canonne, Kamath and Steinke 2020, as dp-accounting has them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flame.site.entries import Event, Spent
from flame.site.history import recorded
from flame.site.ledger import Ledger

__all__ = ["Cost", "charge", "cost_of", "epsilon", "rounds_within", "spendings"]

_ORDERS = (*range(2, 65), 80, 96, 128, 256, 512, 1024)
"""Orders of Renyi divergence: whole numbers, for which the series is finite. Beyond an epsilon of 20 the best order is
below 2, and what is told is more than what is spent; there it means nothing anyway."""


@dataclass(frozen=True)
class Cost:
    """Steps of training that cost privacy.

    Args:
        noise_multiplier: standard deviation of the noise in a step's sum, in units of one patient's largest part, > 0.
        sample_rate: chance of a patient to be in a step, in (0, 1].
        steps: how many, >= 0.
    """

    noise_multiplier: float
    sample_rate: float
    steps: int


def epsilon(costs: Iterable[Cost], delta: float) -> float:
    """Epsilon of all costs together; 0 if there are none.

    Args:
        costs: in any order.
        delta: chance with which epsilon may not hold, in (0, 1).
    """
    steps: Counter[tuple[float, float]] = Counter()
    for cost in costs:
        steps[cost.noise_multiplier, cost.sample_rate] += cost.steps
    paid = sorted((key, count) for key, count in steps.items() if count)
    if not paid:
        return 0.0
    from dp_accounting import dp_event
    from dp_accounting.rdp.rdp_privacy_accountant import RdpAccountant

    accountant = RdpAccountant(_ORDERS)
    for (noise, rate), count in paid:
        accountant.compose(dp_event.PoissonSampledDpEvent(rate, dp_event.GaussianDpEvent(noise)), count)
    return float(accountant.get_epsilon(delta))


def spendings(events: Sequence[Event]) -> tuple[Spent, ...]:
    """What was charged, in order; each occasion once."""
    found: dict[str, Spent] = {}
    for event in events:
        if isinstance(event, Spent):
            found.setdefault(event.occasion, event)
    return tuple(found.values())


def cost_of(spent: Spent) -> Cost:
    """What an entry costs."""
    return Cost(spent.noise_multiplier, spent.sample_rate, spent.steps)


def charge(folder: Path, ledger: Ledger, spent: Spent) -> None:
    """Enter what a round costs, unless its occasion was charged before: the same noise is not paid for twice.

    Args:
        folder: of the site.
        ledger: of the site, open.
        spent: the entry.

    Raises:
        PolicyError: if the ledger was changed.
        EngineError: if the disk is full; the round must not be trained.
    """
    if spent.occasion not in {one.occasion for one in spendings(recorded(folder))}:
        ledger.append(spent)


def rounds_within(spent: Sequence[Cost], round: Cost, rounds: int, limit: float, delta: float) -> int:
    """How many of `rounds` equal rounds can follow what was spent before epsilon is above a limit."""
    low, high = 0, rounds
    while low < high:
        middle = (low + high + 1) // 2
        after = epsilon([*spent, replace(round, steps=round.steps * middle)], delta)
        low, high = (middle, high) if after <= limit else (low, middle - 1)
    return low
