"""Shamir's sharing: every large enough set gives the secret back; every smaller one leaves every secret possible."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame.federation.sharing import PRIME, SHARE_BYTES, combine, lagrange_weights, split

SECRET = bytes(range(32))
invariant = settings(deadline=None, derandomize=True, max_examples=50)


def source(seed=1):
    return np.random.default_rng(seed).bytes


def number(value):
    return value.to_bytes(SHARE_BYTES, "big")


def from_points(shares, points):
    return combine([shares[point - 1] for point in points], lagrange_weights(points))


def test_the_example_of_wikipedia():
    """Shamir's secret sharing, Wikipedia: 1234 + 166 x + 94 x^2; its integers are those of any larger prime field."""
    drawn = iter([166, 94])
    shares = split((1234).to_bytes(32, "big"), 3, 6, lambda size: (next(drawn) << 7).to_bytes(size, "big"))
    assert shares == tuple(map(number, (1494, 1942, 2578, 3402, 4414, 5614)))
    assert int.from_bytes(from_points(shares, (2, 4, 5)), "big") == 1234


@pytest.mark.parametrize(("threshold", "holders"), [(1, 1), (1, 3), (2, 3), (3, 5), (5, 5), (4, 7)])
def test_every_large_enough_set_gives_the_secret_in_any_order(threshold, holders):
    shares = split(SECRET, threshold, holders, source())
    for size in range(threshold, holders + 1):
        for points in combinations(range(1, holders + 1), size):
            assert from_points(shares, points) == SECRET
    for points in permutations(range(1, threshold + 1)):
        assert from_points(shares, points) == SECRET


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.integers(0, 2**32))
@invariant
def test_one_share_too_few_leaves_every_secret_possible(secret, other, seed):
    """For t - 1 shares and any other secret there is one polynomial, as likely as the true one, that has both."""
    points = (1, 3)
    known = [split(secret, 3, 5, source(seed))[point - 1] for point in points]
    # The line through the two known shares and `other` at 0 continues to a share at 2; with it, `other` comes out.
    x = (0, *points)
    y = (int.from_bytes(other, "big"), *(int.from_bytes(share, "big") for share in known))
    third = 0
    for i in range(3):
        above = below = 1
        for j in range(3):
            if j != i:
                above, below = above * (2 - x[j]) % PRIME, below * (x[i] - x[j]) % PRIME
        third = (third + y[i] * above * pow(below, -1, PRIME)) % PRIME
    assert combine([*known, number(third)], lagrange_weights((*points, 2))) == other


def test_shares_are_uniform_whatever_the_secret():
    """The mean of 4000 uniform numbers in [0, 1) lies within 5 standard errors of 1/2, for extreme secrets too."""
    for secret in (bytes(32), b"\xff" * 32):
        random = source(5)
        values = [int.from_bytes(split(secret, 2, 2, random)[0], "big") / PRIME for _ in range(4000)]
        assert abs(np.mean(values) - 0.5) < 5 / np.sqrt(12 * 4000)
        assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 5 / np.sqrt(4000)


def test_a_changed_share_gives_another_secret_or_none():
    """Lagrange's weights of 1, 2, 3 are 3, -3, 1: a bit more at 2 is 3 less at 0. Only a commitment shows that."""
    shares = list(split(SECRET, 3, 5, source()))
    true = shares[1]
    shares[1] = number(int.from_bytes(true, "big") + 1)
    assert int.from_bytes(from_points(shares, (1, 2, 3)), "big") == int.from_bytes(SECRET, "big") - 3
    shares[1] = number(int.from_bytes(true, "big") ^ 1 << 500)
    with pytest.raises(ValueError, match="do not belong together"):
        from_points(shares, (1, 2, 3))


def test_three_hundred_holders():
    shares = split(SECRET, 151, 300, source())
    assert len(set(shares)) == 300
    assert from_points(shares, tuple(range(150, 301))) == SECRET


def test_an_element_that_is_none_is_drawn_again():
    drawn = iter([b"\xff" * 66, number(7 << 7)])
    assert split(SECRET, 2, 1 + 1, lambda _: next(drawn))[0] == number(int.from_bytes(SECRET, "big") + 7)


def test_what_can_not_be_shared_or_combined_is_refused():
    for secret, threshold, holders in ((b"short", 2, 3), (SECRET, 0, 3), (SECRET, 4, 3)):
        with pytest.raises(ValueError, match=r"32 bytes|threshold"):
            split(secret, threshold, holders, source())
    for points in ((1, 1), (0, 1), (1, PRIME)):
        with pytest.raises(ValueError, match="must be different and >= 1"):
            lagrange_weights(points)
    shares = split(SECRET, 2, 3, source())
    weights = lagrange_weights((1, 2))
    for wrong in ([shares[0]], [shares[0], shares[1][:-1]], [shares[0], number(PRIME)]):
        with pytest.raises(ValueError, match=r"1 shares and 2 weights|malformed"):
            combine(wrong, weights)
