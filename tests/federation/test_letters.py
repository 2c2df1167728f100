"""Shares reach their holders and nobody else; whatever was changed, swapped or replayed on the way is refused."""

from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from tests.federation.secure_rounds import enrolled, keys, play, roster_of, terms

from flame.errors import EngineError, UpdateRejected
from flame.federation.letters import deliver, open_shares, share_secrets
from flame.federation.roster import canonical, make_roster, share_key
from flame.federation.sharing import SHARE_BYTES, combine, lagrange_weights

TERMS = terms(5)
OWN = keys(TERMS)
ROSTER = roster_of(TERMS, OWN)
PLAYED = play(TERMS, [])
LETTERS = {(letter.sender, letter.receiver): letter for letter in PLAYED.letters}
A, B, C, D, E = TERMS.sites


def sharing(site):
    return share_secrets(OWN[site], ROSTER)[0]


def inbox(site, **replaced):
    return [replaced.get(other, LETTERS[other, site]) for other in TERMS.sites if other != site]


def test_any_threshold_of_holders_has_a_sites_secrets_and_the_letters_show_none():
    weights = lagrange_weights([2, 3, 5])
    for site in TERMS.sites:
        held = [PLAYED.members[other].held[site] for other in (B, C, E)]
        assert combine([shares[:SHARE_BYTES] for shares in held], weights) == OWN[site].seed
        assert combine([shares[SHARE_BYTES:] for shares in held], weights) == OWN[site].mask_private
    sent = b"".join(letter.content for letter in PLAYED.letters)
    for member in PLAYED.members.values():
        for shares in member.held.values():
            assert shares[:SHARE_BYTES] not in sent
            assert shares[SHARE_BYTES:] not in sent
            assert repr(shares) not in repr(member)


def changed(letter, place):
    content = bytearray(letter.content)
    content[place] ^= 1
    return replace(letter, content=bytes(content))


@pytest.mark.parametrize("place", [0, 11, 12, 80, -1])
def test_a_share_that_was_changed_on_its_way_is_refused(place):
    with pytest.raises(UpdateRejected, match="site 'site-002' sent shares that were changed"):
        open_shares(sharing(A), inbox(A, **{C: changed(LETTERS[C, A], place)}))


OTHER_ROUND = play(terms(5, round=4), [])
ELSEWHERE = {(letter.sender, letter.receiver): letter for letter in OTHER_ROUND.letters}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (LETTERS[C, B], "'site-002' wrote to site 'site-001', not to 'site-000'"),
        (
            replace(LETTERS[C, B], receiver=A),
            "'site-002' sent shares that were changed, or are of another round or rec",
        ),
        (replace(LETTERS[D, A], sender=C), "'site-002' sent shares that were changed"),
        (ELSEWHERE[C, A], "'site-002' sent shares of round 4, not 3"),
        (replace(ELSEWHERE[C, A], round=3), "'site-002' sent shares that were changed, or are of another round"),
        (replace(LETTERS[C, A], job_hash="b" * 64), "'site-002' sent shares of job bbbbbbbbbbbb, not aaaaaaaaaaaa"),
        (LETTERS[B, A], "'site-001' wrote twice"),
        (replace(LETTERS[C, A], content=b""), "'site-002' sent shares that were changed"),
        (replace(LETTERS[C, A], sender="stranger"), "'stranger' wrote from or to site 'stranger'"),
        (replace(LETTERS[C, A], sender=A), "'site-000' wrote to itself"),
    ],
)
def test_swapped_replayed_and_forged_letters_are_refused(wrong, message):
    with pytest.raises(UpdateRejected, match=message):
        open_shares(sharing(A), inbox(A, **{C: wrong}))


def test_a_letter_is_bound_to_job_round_sender_receiver_and_roster_even_for_who_has_its_key():
    letter = LETTERS[C, A]
    cipher = ChaCha20Poly1305(share_key(ROSTER, OWN[A], C, C, A))
    bound = [letter.job_hash, 3, C, A, ROSTER.digest]
    nonce, sealed = letter.content[:12], letter.content[12:]
    held = PLAYED.members[A].held[C]
    assert cipher.decrypt(nonce, sealed, canonical("flame-shares/1", bound)) == held
    for place, other in enumerate(["b" * 64, 4, D, B, "b" * 64]):
        changed_bound = [*bound[:place], other, *bound[place + 1 :]]
        with pytest.raises(InvalidTag):
            cipher.decrypt(nonce, sealed, canonical("flame-shares/1", changed_bound))


def test_who_was_shown_another_roster_can_not_read_the_letters():
    part = make_roster(TERMS, [OWN[site].public for site in (A, B, C, D)], enrolled(TERMS.sites))
    _, letters = share_secrets(OWN[C], part)
    letter = next(one for one in letters if one.receiver == A)
    with pytest.raises(UpdateRejected, match="'site-002' sent shares that were changed"):
        open_shares(sharing(A), inbox(A, **{C: letter}))


def test_a_roster_with_other_keys_under_ones_name_is_refused():
    other = keys(TERMS, seed=7)
    with pytest.raises(UpdateRejected, match="'site-000' did not make the keys"):
        share_secrets(OWN[A], roster_of(TERMS, other))


def test_the_coordinator_sorts_letters_in_any_order():
    inboxes = deliver(ROSTER, PLAYED.letters[::-1])
    assert inboxes == deliver(ROSTER, PLAYED.letters)
    assert [letter.sender for letter in inboxes[B]] == [A, C, D, E]


def test_the_coordinator_refuses_what_would_split_the_sites():
    letters = list(PLAYED.letters)
    with pytest.raises(UpdateRejected, match="'site-000' wrote twice to site 'site-001'"):
        deliver(ROSTER, [*letters, letters[0]])
    with pytest.raises(EngineError, match="Round 3: site 'site-000' has no shares for site 'site-001'"):
        deliver(ROSTER, letters[1:])
    with pytest.raises(UpdateRejected, match="'site-001' sent shares of round 4, not 3"):
        deliver(ROSTER, [*letters, ELSEWHERE[B, A]])


def test_a_site_takes_no_part_unless_all_of_the_roster_have_shared_with_it():
    """Alone with B and C, which are then declared dropped out, A would send an update without an unknown mask."""
    for missing in (B, D):
        with pytest.raises(EngineError, match=f"Round 3: site {missing!r} has no shares for site 'site-000'"):
            open_shares(sharing(A), [letter for letter in inbox(A) if letter.sender != missing])


def test_a_round_begins_again_without_a_site_that_has_not_shared():
    assert list(play(TERMS, [], silent=(C,)).members[A].held) == [A, B, D, E]
