"""What the data can say about arms: whether their effects are identified, and on what a prediction for an arm rests."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from flame.records.patient import ARMS, Arm

__all__ = ["ArmEffects", "Offered", "Support", "arm_effects", "support"]

Offered = Mapping[str, Mapping[Arm, int]]
"""Site -> arm -> number of patients."""

Support = Literal["factual", "planned, in support", "in-support counterfactual", "mechanistic extrapolation"]
"""`planned, in support`: nothing was delivered yet, and sites that the model was trained on offer the arm."""

MIN_PER_ARM = 3
"""Patients of an arm that a site needs to count as offering it."""


@dataclass(frozen=True)
class ArmEffects:
    """Whether the effect of the arm can be learnt from these sites, and why in a sentence."""

    identified: bool
    statement: str


def arm_effects(offered: Offered) -> ArmEffects:
    """Judge identifiability: arms are comparable where sites offer both (positivity within the site).

    Two arms that no site offers together may be linked by a third, as in a network of trials. If the arms fall into
    parts that no site links, their difference is mixed up with that of the sites, whatever the model.
    """
    given = {site: _offered(arms) for site, arms in offered.items()}
    present = [arm for arm in ARMS if any(arm in arms for arms in given.values())]
    if len(present) < 2:
        only = present[0] if present else "no arm"
        return ArmEffects(False, f"Arm effects are not identified: the sites offer {only} only.")
    links = {pair for arms in given.values() for pair in combinations(sorted(arms), 2)}
    apart = [arm for arm in present if arm not in _linked(present[0], links)]
    both = sum(len(arms) > 1 for arms in given.values())
    if apart:
        alone = ", ".join(apart)
        return ArmEffects(
            False,
            f"Arm effects are not identified: no site links {alone} with {present[0]} by offering both (at least "
            f"{MIN_PER_ARM} patients each). Differences between them rest on physics, not on data.",
        )
    return ArmEffects(
        True,
        f"Arm effects are identified within sites: {both} of {len(given)} sites offer more than one arm "
        f"(at least {MIN_PER_ARM} patients each). They remain observational unless arms were randomised.",
    )


def support(arm: Arm, delivered: Arm | None, offered: Offered) -> Support:
    """On what a prediction under `arm` rests, for a patient who was given `delivered`; None is not treated yet.

    Args:
        arm: what the prediction is for.
        delivered: what the patient was given.
        offered: at the sites that the model was trained on.
    """
    if arm == delivered:
        return "factual"
    if delivered is None:
        given = any(arm in _offered(arms) for arms in offered.values())
        return "planned, in support" if given else "mechanistic extrapolation"
    links = {pair for arms in offered.values() for pair in combinations(sorted(_offered(arms)), 2)}
    return "in-support counterfactual" if arm in _linked(delivered, links) else "mechanistic extrapolation"


def _offered(arms: Mapping[Arm, int]) -> set[Arm]:
    return {arm for arm, patients in arms.items() if patients >= MIN_PER_ARM}


def _linked(start: Arm, links: set[tuple[Arm, Arm]]) -> set[Arm]:
    """Arms that can be reached from `start` over sites that offer both."""
    reached: set[Arm] = {start}
    while grown := {arm for pair in links if reached & set(pair) for arm in pair} - reached:
        reached |= grown
    return reached
