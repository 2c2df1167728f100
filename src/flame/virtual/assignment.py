"""Virtual sites and which arm a patient gets there: from randomised to fixed by site."""

from dataclasses import dataclass

import numpy as np

from flame.physics.dose import BOOST_FRACTIONS, BOOST_GY
from flame.records.patient import ARMS, Arm
from flame.seeds import stream
from flame.virtual.population import CaseMix, draw_case_mix
from flame.virtual.scanner import Scanner, draw_scanner

__all__ = ["SiteProfile", "arm_probabilities", "assign_arm", "make_site", "prescription"]


@dataclass(frozen=True)
class SiteProfile:
    """One virtual site: `name` is site-1, site-2, …; `own_arm` is the arm that it is equipped for."""

    name: str
    own_arm: Arm
    scanner: Scanner
    case_mix: CaseMix


def make_site(seed: int, index: int) -> SiteProfile:
    """The site with this index (0, 1, …). The sites' own arms are photon, proton, carbon, photon, …"""
    name = f"site-{index + 1}"
    return SiteProfile(
        name=name,
        own_arm=ARMS[index % len(ARMS)],
        scanner=draw_scanner(stream(seed, "scanner", name), index),
        case_mix=draw_case_mix(stream(seed, "case mix", name)),
    )


def arm_probabilities(own_arm: Arm, confounding: float) -> dict[Arm, float]:
    """Probability of each arm at a site.

    Args:
        confounding: 0 randomises equally among all arms at every site; 1 gives every patient the site's own arm, and
            nothing in the data can then tell the arm's effect from the site's; between the two it is a mixture.

    Raises: ValueError: if `confounding` is not in [0, 1].
    """
    if not 0 <= confounding <= 1:
        raise ValueError(f"confounding must be in [0, 1], got {confounding}")
    share = (1 - confounding) / len(ARMS)
    return {arm: share + (confounding if arm == own_arm else 0.0) for arm in ARMS}


def assign_arm(generator: np.random.Generator, own_arm: Arm, confounding: float) -> Arm:
    """Draw a patient's arm."""
    probabilities = arm_probabilities(own_arm, confounding)
    return ARMS[int(generator.choice(len(ARMS), p=[probabilities[arm] for arm in ARMS]))]


def prescription(arm: Arm, is_frail: bool) -> tuple[float, int]:
    """Prescribed dose [Gy or Gy(RBE)] and fractions of the whole course.

    60 in 30; 40.05 in 15 for the old and frail; the carbon arm adds a carbon boost of 15 Gy(RBE) in 3 to the protons.
    """
    dose, fractions = (40.05, 15) if is_frail else (60.0, 30)
    if arm == "carbon":
        return dose + BOOST_GY, fractions + BOOST_FRACTIONS
    return dose, fractions
