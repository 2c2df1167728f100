"""Terms that would not protect are refused, and so are keys that are not of this round, signed and alone."""

from dataclasses import replace

import numpy as np
import pytest
from tests.federation.secure_rounds import enrolled, identities, keys, names, roster_of, terms

from flame.errors import ConfigError, EngineError, UpdateRejected
from flame.federation.roster import (
    check_keys,
    derive_key,
    has_private_key,
    make_keys,
    make_roster,
    mask_key,
    self_mask_key,
    share_key,
)

TERMS = terms(5)
OWN = keys(TERMS)
PUBLIC = {site: one.public for site, one in OWN.items()}
A, B, C, D, E = TERMS.sites


@pytest.mark.parametrize(
    ("number", "threshold", "message"),
    [
        (2, 2, "2 sites, at least 3 are needed: site-000, site-001"),
        (4, 2, "threshold = 2, expected 3 to 4 for 4 sites"),
        (5, 2, "threshold = 2, expected 3 to 5 for 5 sites"),
        (5, 6, "threshold = 6, expected 3 to 5 for 5 sites"),
        (301, 200, "301 sites, expected 1 to 300"),
    ],
)
def test_too_few_sites_or_a_threshold_that_is_no_majority_are_refused(number, threshold, message):
    with pytest.raises(ConfigError, match=message):
        terms(number, threshold)


def test_sites_are_different_and_in_order():
    for sites in ((A, B, B, C), (B, A, C)):
        with pytest.raises(ConfigError, match="not different and in name order"):
            replace(TERMS, sites=sites, threshold=3)


def test_every_term_is_in_the_digest():
    changes = [
        {"job_hash": "b" * 64},
        {"round": 4},
        {"sites": names(4)},
        {"threshold": 4},
        {"shapes": {"w": (3, 2), "b": ()}},
        {"shapes": {"v": (2, 3), "b": ()}},
        {"max_norm": 11.0},
        {"max_samples": 2**15},
    ]
    digests = {replace(TERMS, **change).digest for change in changes}
    assert len(digests | {TERMS.digest}) == len(changes) + 1
    assert replace(TERMS, max_norm=10, shapes=dict(reversed(TERMS.shapes.items()))).digest == TERMS.digest


def test_equal_random_bytes_give_equal_keys_and_the_system_gives_others():
    people = identities(TERMS.sites)
    assert keys(TERMS) == OWN
    first, second = (make_keys(TERMS, A, people[A]) for _ in range(2))
    assert first.public != second.public
    for private in (first.mask_private, first.share_private, first.seed):
        assert repr(private) not in repr(first)
        assert private.hex() not in repr(first)
    with pytest.raises(UpdateRejected, match="'stranger' does not take part"):
        make_keys(TERMS, "stranger", people[A])


def test_two_sites_have_the_same_keys_and_each_purpose_its_own():
    roster = roster_of(TERMS, OWN)
    own = {site: one.mask_private for site, one in OWN.items()}
    assert mask_key(roster, own[A], A, B) == mask_key(roster, own[B], B, A)
    assert share_key(roster, OWN[A], B, A, B) == share_key(roster, OWN[B], A, A, B)
    derived = [mask_key(roster, own[A], A, B), mask_key(roster, own[A], A, C), self_mask_key(roster, OWN[A].seed, A)]
    derived += [share_key(roster, OWN[A], B, A, B), share_key(roster, OWN[A], B, B, A)]
    assert len(set(derived)) == len(derived)
    assert has_private_key(PUBLIC[A], own[A])
    assert not has_private_key(PUBLIC[A], own[B])


def test_sites_that_were_shown_different_rosters_have_nothing_in_common():
    whole, part = roster_of(TERMS, OWN), make_roster(TERMS, list(PUBLIC.values())[:4], enrolled(TERMS.sites))
    assert mask_key(whole, OWN[A].mask_private, A, B) != mask_key(part, OWN[B].mask_private, B, A)
    assert share_key(whole, OWN[A], B, A, B) != share_key(part, OWN[B], A, A, B)
    assert self_mask_key(whole, OWN[A].seed, A) != self_mask_key(part, OWN[A].seed, A)


def test_every_key_and_commitment_is_in_the_digest_of_the_roster():
    random = np.random.default_rng(9).bytes
    people = identities(TERMS.sites)
    drawn = [OWN[A].mask_private, OWN[A].share_private, OWN[A].seed]
    digests = set()
    for place in range(4):  # the last one changes nothing
        secrets = iter([random(32) if index == place else one for index, one in enumerate(drawn)])
        changed = make_keys(TERMS, A, people[A], lambda _, secrets=secrets: next(secrets))
        digests.add(roster_of(TERMS, OWN | {A: changed}).digest)
    assert len(digests) == 4
    assert roster_of(TERMS, OWN).digest in digests


def test_hkdf_is_that_of_rfc_5869_with_its_purpose_as_json():
    """HKDF-SHA256 written out: extract with a zero salt, expand by one block."""
    import hashlib
    import hmac

    extracted = hmac.digest(bytes(32), b"secret", hashlib.sha256)
    expected = hmac.digest(extracted, b'["flame-mask/1",["x","a","b"]]' + b"\x01", hashlib.sha256)
    assert derive_key(b"secret", "flame-mask/1", "x", "a", "b") == expected


def test_a_roster_is_the_same_in_any_order():
    ordered = list(PUBLIC.values())
    one, two = (make_roster(TERMS, some, enrolled(TERMS.sites)) for some in (ordered, ordered[::-1]))
    assert one == two
    assert list(one.keys) == list(TERMS.sites)
    assert [one.point(site) for site in TERMS.sites] == [1, 2, 3, 4, 5]


def signed_by(site, **changes):
    """Keys of site A with other content, signed by a site."""
    other = replace(TERMS, **changes)
    return make_keys(other, A, identities(TERMS.sites)[site], np.random.default_rng(9).bytes).public


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (replace(PUBLIC[A], site="stranger"), "'stranger' does not take part"),
        (signed_by(A, job_hash="b" * 64), "'site-000' sent keys of job bbbbbbbbbbbb, not aaaaaaaaaaaa"),
        (signed_by(A, round=2), "'site-000' sent keys of round 2, not 3"),
        (replace(signed_by(A, round=2), round=3), "'site-000' works by other terms"),
        (replace(signed_by(A, round=2), round=3, terms=TERMS.digest), "'site-000' did not sign"),
        (signed_by(A, threshold=4), "'site-000' works by other terms"),
        (signed_by(B), "'site-000' did not sign these keys with its enrolled identity"),
        (replace(PUBLIC[A], site=B), "'site-001' did not sign"),
        (replace(PUBLIC[A], mask_key=PUBLIC[B].mask_key), "'site-000' did not sign"),
        (replace(PUBLIC[A], share_key=PUBLIC[B].share_key), "'site-000' did not sign"),
        (replace(PUBLIC[A], seed_tag=PUBLIC[B].seed_tag), "'site-000' did not sign"),
        (replace(PUBLIC[A], signature=PUBLIC[A].signature[::-1]), "'site-000' did not sign"),
        (replace(PUBLIC[A], signature=b""), "'site-000' did not sign"),
        (replace(PUBLIC[A], share_key=b"short"), "'site-000' sent a key that is not 32 bytes"),
    ],
)
def test_keys_that_are_not_of_this_round_and_site_are_refused(wrong, message):
    with pytest.raises(UpdateRejected, match=message):
        check_keys(TERMS, wrong, enrolled(TERMS.sites))
    with pytest.raises(UpdateRejected, match=message):
        make_roster(TERMS, [wrong, *(PUBLIC[site] for site in (B, C, D, E))], enrolled(TERMS.sites))


def test_a_site_without_an_enrolled_key_is_refused():
    with pytest.raises(UpdateRejected, match="'site-000' has no enrolled public key"):
        check_keys(TERMS, PUBLIC[A], enrolled((B, C, D, E)))


def test_doubles_and_too_few_are_refused():
    known = enrolled(TERMS.sites)
    with pytest.raises(UpdateRejected, match="'site-001' sent its keys twice"):
        make_roster(TERMS, [*PUBLIC.values(), PUBLIC[B]], known)
    with pytest.raises(EngineError, match="Round 3: keys of 2 sites, the threshold is 3"):
        make_roster(TERMS, [PUBLIC[A], PUBLIC[B]], known)
    copied = make_keys(TERMS, B, identities(TERMS.sites)[B], np.random.default_rng((2, 1)).bytes).public
    assert copied.mask_key == PUBLIC[A].mask_key  # the same random bytes as site A's
    with pytest.raises(UpdateRejected, match="'site-001' sent a key that is there already"):
        make_roster(TERMS, [PUBLIC[A], copied, PUBLIC[C]], known)


def test_a_key_that_gives_no_secret_is_refused():
    """RFC 7748, section 6.1: a point of small order would make the shared secret zero."""
    roster = roster_of(TERMS, OWN)
    bad = replace(roster, keys={**roster.keys, B: replace(PUBLIC[B], mask_key=bytes(32))})
    with pytest.raises(UpdateRejected, match="'site-001' sent a key that gives no secret"):
        mask_key(bad, OWN[A].mask_private, A, B)
