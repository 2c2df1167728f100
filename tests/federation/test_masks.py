"""Fixed point and keystreams: no overflow at the limits, the stated error, a published keystream."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flame.errors import ConfigError, UpdateRejected
from flame.federation.masks import (
    MAX_SITES,
    MAX_TOTAL_SAMPLES,
    RING_BITS,
    FixedPoint,
    MaskedUpdate,
    add_stream,
    decode_masked,
    encode_masked,
    open_masked,
    reduced,
    signed,
)

invariant = settings(deadline=None, derandomize=True, max_examples=100)
bounds = st.builds(
    lambda sites, share, norm: FixedPoint(sites, max(1, int(share * min(2**29, MAX_TOTAL_SAMPLES // sites))), norm),
    st.integers(1, MAX_SITES),
    st.floats(0, 1),
    st.floats(2.0**-100, 2.0**100),
)


def masked(arrays_by_name, **fields):
    defaults = {"job_hash": "a" * 64, "round": 3, "site": "s1", "roster": "b" * 64}
    return MaskedUpdate(**defaults | {"samples": 2**56 - 1, "arrays": arrays_by_name} | fields)


@given(bounds)
@invariant
def test_the_largest_sum_fits_with_room_for_rounding_and_uses_all_but_two_bits(fixed):
    total = fixed.sites * fixed.max_samples * Fraction(fixed.max_norm) * Fraction(2) ** fixed.exponent
    assert total + Fraction(fixed.sites, 2) < 2 ** (RING_BITS - 1)
    assert total >= 2 ** (RING_BITS - 3) * (1 - 2.0**-50)
    assert fixed.error <= 1e-6 / 2 * fixed.max_norm


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("sites", "samples"), [(300, MAX_TOTAL_SAMPLES // 300), (3, 2**29), (300, 2**16), (5, 2**16)])
@pytest.mark.parametrize("norm", [1000.0, 1.0, 3e-7, 2.0**100])
def test_the_extreme_sum_is_decoded_exactly(sign, sites, samples, norm):
    fixed = FixedPoint(sites, samples, norm)
    extreme = np.full(3, sign * norm, np.float32)
    if abs(float(extreme[0])) > norm:
        extreme = np.nextafter(extreme, np.float32(0))
    total = np.zeros(3, np.uint64)
    for _ in range(sites):
        total += fixed.encode(extreme, samples)
    np.testing.assert_array_equal(fixed.decode(reduced(total), sites * samples), extreme)


def test_beyond_the_limits_is_refused():
    fixed = FixedPoint(3, 100, 10.0)
    assert fixed.encode(np.array([10.0, -10.0], np.float32), 100).size == 2
    for wrong in (
        np.nextafter(np.float32(10), np.float32(11)),
        np.float32(-1e30),
        np.float32("nan"),
        np.float32("inf"),
    ):
        with pytest.raises(ValueError, match="beyond the norm bound or not finite"):
            fixed.encode(np.array([0.0, wrong], np.float32), 1)
    for samples in (0, 101, -1):
        with pytest.raises(ValueError, match="expected 1 to 100"):
            fixed.encode(np.zeros(1, np.float32), samples)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((0, 1, 1.0), "0 sites"),
        ((301, 1, 1.0), "301 sites, expected 1 to 300"),
        ((300, MAX_TOTAL_SAMPLES // 300 + 1, 1.0), "max_samples = 28633116, expected 1 to 28633115"),
        ((3, 2**29 + 1, 1.0), "expected 1 to 536870912"),
        ((3, 0, 1.0), "max_samples = 0"),
        ((3, 1, math.inf), "max_update_norm = inf"),
        ((3, 1, math.nan), "max_update_norm = nan"),
        ((3, 1, 0.0), "max_update_norm = 0.0"),
        ((3, 1, 2.0**101), "max_update_norm"),
    ],
)
def test_terms_that_could_overflow_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        FixedPoint(*fields)


@given(st.data(), bounds, st.integers(1, 6))
@invariant
def test_a_mean_is_within_the_stated_error_of_the_exact_one(data, fixed, sites):
    sites = min(sites, fixed.sites)
    value = st.floats(-1, 1, width=32).map(lambda share: np.float32(share * min(fixed.max_norm, 3e38) * 0.999))
    drawn = data.draw(arrays(np.float32, (sites, 2), elements=value))
    samples = data.draw(st.lists(st.integers(1, fixed.max_samples), min_size=sites, max_size=sites))
    total = sum(fixed.encode(row, count) for row, count in zip(drawn, samples, strict=True))
    found = fixed.decode(reduced(total), sum(samples))
    for column in range(2):
        parts = zip(drawn[:, column], samples, strict=True)
        exact = sum(Fraction(float(part)) * count for part, count in parts) / sum(samples)
        rounding = abs(exact) * Fraction(2) ** -24 + Fraction(2) ** -149
        assert (
            abs(Fraction(float(found[column])) - exact) <= Fraction(fixed.error) * (1 + Fraction(2) ** -40) + rounding
        )


@given(st.lists(st.integers(-(2**55), 2**55 - 1), max_size=9))
@invariant
def test_the_ring_knows_its_signed_integers(integers):
    assert signed(reduced(np.array(integers, np.int64).view(np.uint64))).tolist() == integers


def test_the_keystream_is_that_of_rfc_8439():
    """Appendix A.1, test vector 1: key, nonce and counter zero."""
    first = bytes.fromhex(
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
    )
    values = np.zeros(8, np.uint64)
    add_stream([values], bytes(32))
    assert values.tobytes() == first


def test_a_stream_runs_on_through_targets_and_blocks_and_cancels():
    sizes = (5, 0, 2**15 + 3, 2**16, 1)
    whole, parts = np.zeros(sum(sizes), np.uint64), [np.zeros(size, np.uint64) for size in sizes]
    add_stream([whole], b"k" * 32)
    add_stream(parts, b"k" * 32)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(np.unique(whole)) == whole.size  # no block comes twice
    add_stream([whole], b"k" * 32, negative=True)
    assert not whole.any()


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 1000])
def test_seven_bytes_a_value_come_back_whole(tmp_path, size):
    values = np.random.default_rng(size).integers(0, 2**56, size, np.uint64)
    sent = masked({"w": values, "b": values[:1], "edge": np.array([0, 2**56 - 1], np.uint64)})
    content = encode_masked(sent)
    (tmp_path / "one").write_bytes(content)
    for found in (decode_masked(content), open_masked(tmp_path / "one")):
        assert set(found.arrays) == set(sent.arrays)
        for name, array in sent.arrays.items():
            np.testing.assert_array_equal(found.arrays[name], array)
        assert (found.site, found.samples, found.roster) == (sent.site, sent.samples, sent.roster)
    assert encode_masked(decode_masked(content)) == content
    assert len(content) <= 7 * (size + size // 1000 + 3) + 900


def test_what_is_no_masked_update_is_refused(tmp_path):
    content = encode_masked(masked({"w": np.zeros(4, np.uint64)}))
    for wrong in (b"", content[:-1], content.replace(b"masked-update/1", b"masked-update/2")):
        with pytest.raises(UpdateRejected):
            decode_masked(wrong)
    with pytest.raises(UpdateRejected):
        open_masked(tmp_path / "nothing")
