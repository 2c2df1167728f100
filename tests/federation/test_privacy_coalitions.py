"""What a coordinator and colluding sites see of another site's update: bytes that chi-square can't tell from chance."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare
from tests.federation.secure_rounds import keys, play, terms, update

from flame.federation.masks import add_stream, encode_masked, reduced
from flame.federation.roster import mask_key, self_mask_key

WIDE = terms(5, shapes={"w": (4000,)}, max_norm=1e4)
A, B, C, D, E = WIDE.sites


def histogram(values):
    """How often each byte occurs in the 7 bytes of each value."""
    octets = np.ascontiguousarray(values, "<u8").view(np.uint8).reshape(-1, 8)[:, :7]
    return np.bincount(octets.ravel(), minlength=256)


def unmasked_by(played, site, others, *, with_seed):
    """Site's masked array without the masks that it shares with `others`, and without its self-mask if it is known."""
    own = keys(played.roster.terms)
    array = played.masked[site].arrays["w"].copy()
    streams = [np.zeros(1, np.uint64), array]  # the first value hides the samples
    if with_seed:
        add_stream(streams, self_mask_key(played.roster, own[site].seed, site), negative=True)
    for other in others:
        key = mask_key(played.roster, own[site].mask_private, site, other)
        add_stream(streams, key, negative=site < other)
    return reduced(array)


@pytest.mark.parametrize(
    ("known", "with_seed", "situation"),
    [
        ((), False, "the coordinator alone, before unmasking"),
        ((D, E), False, "with two colluding sites, before unmasking"),
        ((D, E), True, "the same, after unmasking has shown the seed"),
        ((C, D, E), True, "the same, and C has dropped out, so that its key is known: one mask is left"),
        ((B, C, D, E), False, "A dropped out and its update came too late: its self-mask is left"),
    ],
)
def test_a_coalition_below_the_threshold_sees_uniform_values(known, with_seed, situation):
    for size in (0.0, 9999.0):
        played = play(WIDE, [update(WIDE, A, size=size)])
        seen = unmasked_by(played, A, known, with_seed=with_seed)
        assert chisquare(histogram(seen)).pvalue > 0.001, situation
        upper = np.bincount(seen >> np.uint64(48), minlength=256)
        assert chisquare(upper).pvalue > 0.001, situation


def test_with_every_mask_taken_away_the_update_lies_open():
    """The counter-test: `unmasked_by` would show the update, and chi-square would see it, if a mask were missing."""
    plain = update(WIDE, A, size=9999.0)
    seen = unmasked_by(play(WIDE, [plain]), A, (B, C, D, E), with_seed=True)
    np.testing.assert_array_equal(seen, reduced(WIDE.fixed_point.encode(plain.arrays["w"], plain.samples)))
    assert chisquare(histogram(seen)).pvalue < 1e-12


def test_masked_updates_of_different_updates_can_not_be_told_apart():
    small, large = (play(WIDE, [update(WIDE, A, size=size)], seed=int(size)).masked[A] for size in (0.0, 9999.0))
    both = [histogram(one.arrays["w"]) for one in (small, large)]
    assert chi2_contingency(both).pvalue > 0.001
    open_ones = [WIDE.fixed_point.encode(update(WIDE, A, size=size).arrays["w"], 10) for size in (1e3, 9e3)]
    assert chi2_contingency([histogram(reduced(one)) + 1 for one in open_ones]).pvalue < 1e-12


def test_nothing_of_the_update_is_in_the_message():
    plain = replace(update(WIDE, A, size=9999.0, samples=54321), scalars={"loss": 0.5})
    content = encode_masked(play(WIDE, [plain]).masked[A])
    for source in (plain.arrays["w"], reduced(WIDE.fixed_point.encode(plain.arrays["w"], plain.samples))):
        whole = source.tobytes()
        assert not any(whole[start : start + 6] in content for start in range(0, len(whole), 8))
    assert b"loss" not in content
    assert b"54321" not in content


def smallest_sum(number, threshold, colluding):
    """Fewest honest sites whose sum a coordinator can read that tells each site another list of survivors.

    Each honest site answers one list, of `threshold` sites or more and itself among them; colluding sites give all.
    A sum lies open if the seeds of its sites are known, and the mask keys of all other honest sites.
    """
    honest = number - colluding
    lists = [
        [story for story in range(2**number) if story >> site & 1 and story.bit_count() >= threshold]
        for site in range(honest)
    ]
    found = honest
    for stories in product(*lists):
        seed_shares = [sum(story >> site & 1 for story in stories) for site in range(honest)]
        has_seed = [shares + colluding >= threshold for shares in seed_shares]
        has_key = [honest - shares + colluding >= threshold for shares in seed_shares]
        hidden = [site for site in range(honest) if not has_key[site]]
        if all(has_seed[site] for site in hidden) and (hidden or any(has_seed)):
            found = min(found, max(1, len(hidden)))
    return found


@pytest.mark.parametrize(
    ("number", "threshold", "colluding", "smallest"),
    [(3, 2, 0, 2), (4, 3, 0, 3), (4, 3, 1, 2), (5, 4, 0, 4), (5, 4, 1, 3), (5, 4, 2, 2), (5, 3, 1, 1)],
)
def test_lies_about_survivors_bare_no_single_update_while_2t_exceeds_n_plus_c(number, threshold, colluding, smallest):
    """Every way to lie, tried out; the last case breaks the rule 2 t > n + c and shows what it is good for."""
    assert smallest_sum(number, threshold, colluding) == smallest
    assert (smallest > 1) == (2 * threshold > number + colluding)
