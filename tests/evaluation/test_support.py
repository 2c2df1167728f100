"""Whether arm effects can be learnt, and on what a prediction for an arm rests."""

import pytest

from flame.evaluation.support import Offered, arm_effects, support

FIXED: Offered = {"a": {"photon": 24}, "b": {"proton": 24}, "c": {"carbon": 24}}
MIXED: Offered = {"a": {"photon": 12, "proton": 12}, "b": {"proton": 10, "carbon": 14}}
PARTLY: Offered = {"a": {"photon": 12, "proton": 12}, "b": {"carbon": 24}}


def test_arms_fixed_by_site_are_not_identified() -> None:
    effects = arm_effects(FIXED)
    assert not effects.identified
    assert "not identified" in effects.statement
    assert "physics" in effects.statement


def test_arms_linked_through_a_third_are_identified() -> None:
    assert arm_effects(MIXED).identified
    assert support("carbon", "photon", MIXED) == "in-support counterfactual"


def test_an_arm_that_no_site_links_is_named() -> None:
    effects = arm_effects(PARTLY)
    assert not effects.identified
    assert "carbon" in effects.statement
    assert support("carbon", "photon", PARTLY) == "mechanistic extrapolation"
    assert support("proton", "photon", PARTLY) == "in-support counterfactual"


def test_one_arm_everywhere_has_no_effect_to_identify() -> None:
    assert "photon only" in arm_effects({"a": {"photon": 9}, "b": {"photon": 9}}).statement


def test_two_patients_do_not_make_a_site_offer_an_arm() -> None:
    assert not arm_effects({"a": {"photon": 22, "proton": 2}, "b": {"proton": 24}}).identified


@pytest.mark.parametrize("offered", [FIXED, MIXED, PARTLY])
def test_what_was_delivered_is_factual_whatever_is_offered(offered: Offered) -> None:
    assert support("photon", "photon", offered) == "factual"
