"""Arms by site: randomised at confounding 0, fixed at 1."""

import numpy as np
import pytest

from flame.records.patient import ARMS
from flame.virtual.assignment import arm_probabilities, assign_arm, make_site, prescription


def test_randomised_at_zero():
    assert arm_probabilities("carbon", 0.0) == pytest.approx(dict.fromkeys(ARMS, 1 / 3))
    draws = np.random.default_rng(0)
    counts = [sum(assign_arm(draws, "carbon", 0.0) == arm for _ in range(900)) for arm in ARMS]
    assert sum((count - 300) ** 2 / 300 for count in counts) < 13.8, "chi-square with 2 degrees of freedom, p = 0.001"


def test_fixed_by_site_at_one():
    draws = np.random.default_rng(0)
    assert {assign_arm(draws, "proton", 1.0) for _ in range(50)} == {"proton"}


def test_mixture_between():
    assert arm_probabilities("photon", 0.5) == pytest.approx({"photon": 2 / 3, "proton": 1 / 6, "carbon": 1 / 6})


@pytest.mark.parametrize("confounding", [-0.1, 1.1])
def test_refuses_what_is_no_share(confounding):
    with pytest.raises(ValueError, match="confounding"):
        arm_probabilities("photon", confounding)


def test_three_sites_cover_all_arms_and_differ():
    sites = [make_site(7, index) for index in range(3)]
    assert {site.own_arm for site in sites} == set(ARMS)
    assert len({site.scanner for site in sites}) == 3
    assert make_site(7, 1) == sites[1]


@pytest.mark.parametrize(
    ("arm", "frail", "expected"),
    [
        ("photon", False, (60.0, 30)),
        ("proton", False, (60.0, 30)),
        ("carbon", False, (75.0, 33)),
        ("photon", True, (40.05, 15)),
    ],
)
def test_prescriptions(arm, frail, expected):
    assert prescription(arm, frail) == expected
