"""Who takes part in a secure round, on what terms and with which keys; every site verifies it for itself.

Each site draws keys for one round and signs them with its identity (`make_keys`). The signed keys of all sites make
the roster, whose digest goes into everything that is derived from it: sites that were shown different rosters can
neither read each other's shares nor have masks in common.
"""

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import with_config

from flame.errors import ConfigError, EngineError, UpdateRejected
from flame.federation.masks import FixedPoint
from flame.federation.messages import WIRE
from flame.federation.sharing import SECRET_BYTES, Random
from flame.site.identity import Identity, is_signed_by

__all__ = [
    "MIN_SITES",
    "OwnKeys",
    "PublicKeys",
    "Roster",
    "Terms",
    "canonical",
    "check_keys",
    "check_origin",
    "derive_key",
    "has_private_key",
    "make_keys",
    "make_roster",
    "mask_key",
    "rejected",
    "require_threshold",
    "seed_tag",
    "self_mask_key",
    "share_key",
]

MIN_SITES = 3  # in a roster; where only two survive, each learns the other's update from the sum (ADR 13)
_HINT = "The round goes on without this site; compare its job, its clock and its enrolled public key."


@dataclass(frozen=True)
class Terms:
    """What a secure round is about; every site works it out from its own copy of the job, never from a message.

    Args:
        job_hash: of the running job, 64 hexadecimal digits.
        round: the running round, from 0.
        sites: the sites that are asked, in name order, 3 to `masks.MAX_SITES`.
        threshold: sites that must answer at the end, more than half of `sites`. With a coordinator that
            lies, and c colluding sites, no single update is shown while 2 * threshold > len(sites) + c.
        shapes: array name -> shape, as in the model that was sent.
        max_norm: largest Euclidean norm of an update over all arrays.
        max_samples: largest number of samples of a site.

    Raises: ConfigError: if there are too few or too many sites, they repeat or are out of order, the threshold is
        not more than half of them, or sums could overflow (`masks.FixedPoint`).
    """

    job_hash: str
    round: int
    sites: tuple[str, ...]
    threshold: int
    shapes: Mapping[str, tuple[int, ...]]
    max_norm: float
    max_samples: int = 2**16

    def __post_init__(self) -> None:
        number = len(self.sites)
        if number < MIN_SITES:
            raise _terms(f"{number} sites, at least {MIN_SITES} are needed: {', '.join(self.sites)}")
        if list(self.sites) != sorted(set(self.sites)):
            raise _terms(f"sites are not different and in name order: {', '.join(self.sites)}")
        if not number < 2 * self.threshold <= 2 * number:
            raise _terms(f"threshold = {self.threshold}, expected {number // 2 + 1} to {number} for {number} sites")
        FixedPoint(number, self.max_samples, self.max_norm)

    @property
    def fixed_point(self) -> FixedPoint:
        """How values of this round become integers."""
        return FixedPoint(len(self.sites), self.max_samples, self.max_norm)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all terms, 64 hexadecimal digits."""
        shapes = {name: list(shape) for name, shape in self.shapes.items()}
        bounds = [float(self.max_norm), self.max_samples]
        everything = [self.job_hash, self.round, self.sites, self.threshold, shapes, bounds]
        return hashlib.sha256(canonical("flame-secure-terms/1", everything)).hexdigest()


@with_config(WIRE)
@dataclass(frozen=True)
class PublicKeys:
    """What a site shows of its keys of one round.

    Args:
        job_hash: of the running job.
        round: the running round.
        site: name of the owner.
        terms: digest of the terms that the owner works by.
        mask_key: X25519 public key of the masks, 32 bytes.
        share_key: X25519 public key that shares are encrypted for, 32 bytes.
        seed_tag: commitment to the seed of the owner's self-mask, 32 bytes.
        signature: of all the above by the owner's identity (Ed25519), 64 bytes.
    """

    job_hash: str
    round: int
    site: str
    terms: str
    mask_key: bytes
    share_key: bytes
    seed_tag: bytes
    signature: bytes


@dataclass(frozen=True)
class OwnKeys:
    """A site's keys of one round. The private ones stay in memory: who loses them has dropped out of the round."""

    public: PublicKeys
    mask_private: bytes = field(repr=False)
    share_private: bytes = field(repr=False)
    seed: bytes = field(repr=False)


@dataclass(frozen=True)
class Roster:
    """The verified keys of a round, in name order; only `make_roster` makes one.

    Args:
        terms: of the round.
        keys: site -> its public keys.
        digest: SHA-256 of terms and keys, 64 hexadecimal digits.
    """

    terms: Terms
    keys: Mapping[str, PublicKeys]
    digest: str

    def point(self, site: str) -> int:
        """Where the shares of `site` lie, from 1."""
        return list(self.keys).index(site) + 1


def make_keys(terms: Terms, site: str, identity: Identity, random: Random = os.urandom) -> OwnKeys:
    """Draw and sign a site's keys of one round; two X25519 pairs (RFC 7748) and the seed of its self-mask.

    Args:
        terms: of the round.
        site: name of the site.
        identity: of the site.
        random: source of random bytes; anything but the default is for tests.

    Raises: UpdateRejected: if the site does not take part.
    """
    if site not in terms.sites:
        raise rejected(site, "does not take part in this round")
    mask, share, seed = (random(SECRET_BYTES) for _ in range(3))
    tag = seed_tag(seed, terms.digest, site)
    fields = (terms.job_hash, terms.round, site, terms.digest, _public(mask), _public(share), tag)
    unsigned = PublicKeys(*fields, signature=b"")
    return OwnKeys(PublicKeys(*fields, identity.sign(_signed(unsigned))), mask, share, seed)


def check_keys(terms: Terms, keys: PublicKeys, enrolled: Mapping[str, bytes]) -> None:
    """Refuse keys that are not of this round or not signed by the site whose name they bear.

    Args:
        terms: of the round.
        keys: as received.
        enrolled: site -> public key of its identity, 32 bytes, from a source that is not the coordinator's word.

    Raises: UpdateRejected: names the site and the first reason.
    """
    site = keys.site
    if site not in terms.sites:
        raise rejected(site, "does not take part in this round")
    check_origin(terms, site, "keys", keys.job_hash, keys.round)
    if keys.terms != terms.digest:
        raise rejected(site, "works by other terms: sites, threshold, shapes or bounds differ")
    if site not in enrolled:
        raise rejected(site, "has no enrolled public key")
    if {len(keys.mask_key), len(keys.share_key), len(keys.seed_tag)} != {32}:
        raise rejected(site, "sent a key that is not 32 bytes long")
    if not is_signed_by(enrolled[site], keys.signature, _signed(keys)):
        raise rejected(site, "did not sign these keys with its enrolled identity")


def make_roster(terms: Terms, keys: Collection[PublicKeys], enrolled: Mapping[str, bytes]) -> Roster:
    """The roster out of signed keys in any order; the coordinator and each site call it, and none believes another's.

    Raises:
        UpdateRejected: if keys are refused (`check_keys`), or two are of one site or alike; the message names the site.
        EngineError: if there are fewer than the threshold.
    """
    ordered: dict[str, PublicKeys] = {}
    seen: set[bytes] = set()
    for one in sorted(keys, key=lambda each: each.site):
        check_keys(terms, one, enrolled)
        if one.site in ordered:
            raise rejected(one.site, "sent its keys twice")
        if {one.mask_key, one.share_key} & seen or one.mask_key == one.share_key:
            raise rejected(one.site, "sent a key that is there already")
        seen |= {one.mask_key, one.share_key}
        ordered[one.site] = one
    require_threshold(terms, len(ordered), "keys")
    content = [[one.site, one.mask_key.hex(), one.share_key.hex(), one.seed_tag.hex()] for one in ordered.values()]
    digest = hashlib.sha256(canonical("flame-secure-roster/1", [terms.digest, content])).hexdigest()
    return Roster(terms, ordered, digest)


def mask_key(roster: Roster, own_private: bytes, own: str, other: str) -> bytes:
    """The key of the mask that two sites have in common, 32 bytes; both get the same.

    Raises: UpdateRejected: if the other site's key is none (RFC 7748, section 6.1: the secret would be zero).
    """
    secret = _exchanged(own_private, roster.keys[other].mask_key, other)
    return derive_key(secret, "flame-mask/1", roster.digest, *sorted((own, other)))


def share_key(roster: Roster, own: OwnKeys, other: str, sender: str, receiver: str) -> bytes:
    """The key for the shares that `sender` encrypts for `receiver`, 32 bytes; one of them is `other`, one is oneself.

    Raises: UpdateRejected: as `mask_key`.
    """
    secret = _exchanged(own.share_private, roster.keys[other].share_key, other)
    return derive_key(secret, "flame-share/1", roster.digest, sender, receiver)


def self_mask_key(roster: Roster, seed: bytes, site: str) -> bytes:
    """The key of the mask that a site has for itself, 32 bytes."""
    return derive_key(seed, "flame-self-mask/1", roster.digest, site)


def seed_tag(seed: bytes, terms: str, site: str) -> bytes:
    """Commitment to a seed, 32 bytes: tells nothing of 256 random bits, and shows whether shares give them back."""
    return derive_key(seed, "flame-seed-tag/1", terms, site)


def has_private_key(keys: PublicKeys, mask_private: bytes) -> bool:
    """Whether a private key belongs to the mask key that its site had signed."""
    return _public(mask_private) == keys.mask_key


def derive_key(secret: bytes, *purpose: str) -> bytes:
    """A key for one purpose out of a secret: HKDF-SHA256 (RFC 5869) without salt, 32 bytes."""
    return HKDF(SHA256(), 32, salt=None, info=canonical(purpose[0], purpose[1:])).derive(secret)


def check_origin(terms: Terms, site: str, what: str, job: str, number: int) -> None:
    """Refuse what a site sent (`what`, such as "keys") if its job or its round (`number`) are not those of the terms.

    Raises: UpdateRejected: names the site.
    """
    if job != terms.job_hash:
        raise rejected(site, f"sent {what} of job {job[:12]}, not {terms.job_hash[:12]}")
    if number != terms.round:
        raise rejected(site, f"sent {what} of round {number}, not {terms.round}")


def require_threshold(terms: Terms, number: int, what: str) -> None:
    """End the round if `what`, such as "keys", came from fewer sites than the threshold.

    Raises: EngineError: says how many there are.
    """
    if number < terms.threshold:
        raise EngineError(
            f"Round {terms.round}: {what} of {number} sites, the threshold is {terms.threshold}",
            "Look at why the other sites are missing or refused, then start the round again.",
        )


def rejected(site: str, what: str) -> UpdateRejected:
    """The refusal of something that came from a site: "site 'name' `what`", to be raised."""
    return UpdateRejected(f"site {site!r} {what}", _HINT)


def canonical(kind: str, fields: object) -> bytes:
    """One text for one content: compact JSON with sorted keys, which no two different lists of fields share."""
    return json.dumps([kind, fields], sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _signed(keys: PublicKeys) -> bytes:
    public = [keys.mask_key.hex(), keys.share_key.hex(), keys.seed_tag.hex()]
    return canonical("flame-round-keys/1", [keys.job_hash, keys.round, keys.site, keys.terms, *public])


def _public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def _exchanged(private: bytes, public: bytes, other: str) -> bytes:
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise rejected(other, "sent a key that gives no secret") from error


def _terms(what: str) -> ConfigError:
    return ConfigError(f"A secure round is not possible: {what}", "Let more sites take part or change the threshold.")
