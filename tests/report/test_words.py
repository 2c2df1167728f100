"""Words for a reader."""

import pytest

from flame.report.words import arm_order, context_short, context_text, horizon_text, name, plural


@pytest.mark.parametrize(("horizon", "text"), [(None, "before"), (28, "+28 days"), (365, "+365 days")])
def test_horizons_count_from_the_end_of_radiotherapy(horizon: int | None, text: str) -> None:
    assert horizon_text(horizon) == text


def test_names_that_are_not_known_stay_as_they_are() -> None:
    assert name("WT") == "whole tumour"
    assert name("site-9") == context_text("site-9") == context_short("site-9") == "site-9"


def test_arms_come_in_one_order_and_unknown_ones_last() -> None:
    assert arm_order({"carbon", "helium", "photon"}) == ("photon", "carbon", "helium")


def test_one_is_not_many() -> None:
    assert (plural(0, "site"), plural(1, "site"), plural(2, "site")) == ("0 sites", "1 site", "2 sites")
