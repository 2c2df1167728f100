"""Shares on their way: each site's secrets, split, and every share encrypted for its holder alone.

The coordinator carries the letters and can't open them: X25519, HKDF-SHA256, ChaCha20-Poly1305 (RFC 8439), bound to
job, round, sender, receiver and roster. Any `threshold` sites can later give back a secret, fewer can't.
"""

import os
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from pydantic import with_config

from flame.errors import EngineError
from flame.federation.messages import WIRE
from flame.federation.roster import OwnKeys, Roster, canonical, check_origin, rejected, share_key
from flame.federation.sharing import SHARE_BYTES, Random, split

__all__ = ["Letter", "Member", "Sharing", "deliver", "open_shares", "share_secrets"]

_NONCE = 12


@with_config(WIRE)
@dataclass(frozen=True)
class Letter:
    """Shares of the sender's seed and mask key, encrypted for the receiver: a nonce, then ChaCha20-Poly1305."""

    job_hash: str
    round: int
    sender: str
    receiver: str
    content: bytes


@dataclass(frozen=True)
class Sharing:
    """A site that has shared its secrets: its keys, the roster, and the shares that it keeps of its own."""

    own: OwnKeys
    roster: Roster
    kept: bytes = field(repr=False)


@dataclass(frozen=True)
class Member:
    """A site that holds shares of all sites of the roster.

    Args:
        own: its keys.
        roster: of the round.
        held: site -> its shares for this site (seed, then mask key), in name order, itself among them.
        is_masked: whether it has masked its update.
        answered: the survivors of the request that it has answered in this round, if any; the transport keeps them on
            disk for `open_shares`, in case the round is attempted again.
    """

    own: OwnKeys
    roster: Roster
    held: Mapping[str, bytes] = field(repr=False)
    is_masked: bool = False
    answered: tuple[str, ...] | None = None


def share_secrets(own: OwnKeys, roster: Roster, random: Random = os.urandom) -> tuple[Sharing, tuple[Letter, ...]]:
    """Share the seed and the mask key with all sites of the roster, which the site has made itself (`make_roster`).

    Raises: UpdateRejected: if the roster has other keys under this site's name, or another's key gives no secret.
    """
    site = own.public.site
    if roster.keys.get(site) != own.public:
        raise rejected(site, "did not make the keys that the roster holds under its name")
    number, threshold = len(roster.keys), roster.terms.threshold
    seeds = split(own.seed, threshold, number, random)
    keys = split(own.mask_private, threshold, number, random)
    shares = {other: seed + key for other, seed, key in zip(roster.keys, seeds, keys, strict=True)}
    kept = shares.pop(site)
    letters = tuple(_sealed(own, roster, other, content, random(_NONCE)) for other, content in shares.items())
    return Sharing(own, roster, kept), letters


def deliver(roster: Roster, letters: Collection[Letter]) -> dict[str, tuple[Letter, ...]]:
    """Sort letters into inboxes: receiver -> its letters in the order of senders, for every site of the roster.

    Raises:
        UpdateRejected: if a letter is of another round, between sites that are not on the roster, or there twice; the
            message names the sender.
        EngineError: if a site has not written to all others. It has dropped out before any mask was made: begin again
            with new keys and without it.
    """
    sorted_letters: dict[str, dict[str, Letter]] = {}
    for letter in letters:
        _check_letter(roster, letter)
        box = sorted_letters.setdefault(letter.sender, {})
        if letter.receiver in box:
            raise rejected(letter.sender, f"wrote twice to site {letter.receiver!r}")
        box[letter.receiver] = letter
    for receiver in roster.keys:
        senders = {sender for sender, box in sorted_letters.items() if receiver in box}
        _require_all(roster, receiver, senders)
    return {
        receiver: tuple(sorted_letters[sender][receiver] for sender in roster.keys if sender != receiver)
        for receiver in roster.keys
    }


def open_shares(sharing: Sharing, inbox: Collection[Letter], answered: tuple[str, ...] | None = None) -> Member:
    """Decrypt the shares that all others of the roster made for this site.

    All, for a coordinator could leave a site alone with a few that it then declares dropped out, and so read its
    update.

    Args:
        sharing: what `share_secrets` returned.
        inbox: the letters to this site.
        answered: the survivors whose sum this site has unmasked already in an earlier attempt at this round, if any.
            Training repeats to the byte: the sums of two lists would differ by the update of one site.

    Raises:
        UpdateRejected: if a letter is of another round, for another site, there twice, or was changed on its way; the
            message names the sender.
        EngineError: if a letter is missing; the message names its sender.
    """
    own, roster = sharing.own, sharing.roster
    site = own.public.site
    held = {site: sharing.kept}
    for letter in inbox:
        _check_letter(roster, letter)
        if letter.receiver != site:
            raise rejected(letter.sender, f"wrote to site {letter.receiver!r}, not to {site!r}")
        if letter.sender in held:
            raise rejected(letter.sender, "wrote twice, or is this site itself")
        held[letter.sender] = _opened(own, roster, letter)
    _require_all(roster, site, set(held))
    return Member(own, roster, dict(sorted(held.items())), answered=answered)


def _require_all(roster: Roster, receiver: str, senders: Set[str]) -> None:
    missing = sorted(set(roster.keys) - senders - {receiver})
    if missing:
        raise EngineError(
            f"Round {roster.terms.round}: site {missing[0]!r} has no shares for site {receiver!r}",
            "Begin the round again with new keys, without the site that has dropped out.",
        )


def _sealed(own: OwnKeys, roster: Roster, receiver: str, content: bytes, nonce: bytes) -> Letter:
    terms, sender = roster.terms, own.public.site
    key = share_key(roster, own, receiver, sender, receiver)
    sealed = ChaCha20Poly1305(key).encrypt(nonce, content, _bound(roster, sender, receiver))
    return Letter(terms.job_hash, terms.round, sender, receiver, nonce + sealed)


def _opened(own: OwnKeys, roster: Roster, letter: Letter) -> bytes:
    key = share_key(roster, own, letter.sender, letter.sender, letter.receiver)
    nonce, sealed = letter.content[:_NONCE], letter.content[_NONCE:]
    try:
        content = ChaCha20Poly1305(key).decrypt(nonce, sealed, _bound(roster, letter.sender, letter.receiver))
    except (InvalidTag, ValueError) as error:
        raise rejected(letter.sender, "sent shares that were changed, or are of another round or receiver") from error
    if len(content) != 2 * SHARE_BYTES:
        raise rejected(letter.sender, f"sent {len(content)} bytes of shares, expected {2 * SHARE_BYTES}")
    return content


def _bound(roster: Roster, sender: str, receiver: str) -> bytes:
    return canonical("flame-shares/1", [roster.terms.job_hash, roster.terms.round, sender, receiver, roster.digest])


def _check_letter(roster: Roster, letter: Letter) -> None:
    check_origin(roster.terms, letter.sender, "shares", letter.job_hash, letter.round)
    for one in (letter.sender, letter.receiver):
        if one not in roster.keys:
            raise rejected(letter.sender, f"wrote from or to site {one!r}, which is not on the roster")
    if letter.sender == letter.receiver:
        raise rejected(letter.sender, "wrote to itself")
