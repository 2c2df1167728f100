"""Secure rounds in one process, with keys drawn from a seed, for the tests of their parts."""

from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flame.federation.letters import deliver, open_shares, share_secrets
from flame.federation.privacy import answer_request, mask_update, request_unmasking, unmask
from flame.federation.roster import Roster, Terms, make_keys, make_roster
from flame.federation.update import Update
from flame.site.identity import Identity

JOB = "a" * 64
SHAPES = {"w": (2, 3), "b": ()}


def names(number):
    return tuple(f"site-{index:03d}" for index in range(number))


def terms(number=5, threshold=None, shapes=None, **fields):
    fields = {"job_hash": JOB, "round": 3, "max_norm": 10.0} | fields
    return Terms(sites=names(number), threshold=threshold or number // 2 + 1, shapes=shapes or SHAPES, **fields)


def identities(sites, seed=1):
    draw = np.random.default_rng(seed)
    return {site: Identity(Ed25519PrivateKey.from_private_bytes(draw.bytes(32))) for site in sites}


def enrolled(sites, seed=1):
    return {site: identity.public_key for site, identity in identities(sites, seed).items()}


def keys(agreed, seed=1):
    people = identities(agreed.sites)
    random = np.random.default_rng((2, seed)).bytes
    return {site: make_keys(agreed, site, people[site], random) for site in agreed.sites}


def roster_of(agreed, own):
    return make_roster(agreed, [one.public for one in own.values()], enrolled(agreed.sites))


def update(agreed, site, seed=1, size=1.0, samples=None):
    """An update with norm `size`, drawn from the seed and the site's place."""
    place = agreed.sites.index(site)
    draw = np.random.default_rng((seed, place))
    arrays = {name: draw.standard_normal(shape) for name, shape in agreed.shapes.items()}
    norm = np.sqrt(sum(np.sum(np.square(array)) for array in arrays.values())) or 1.0
    arrays = {name: np.asarray(array * (size / norm), np.float32) for name, array in arrays.items()}
    return Update(agreed.job_hash, site, agreed.round, arrays, samples or 10 + place, {"loss": 0.5})


@dataclass(frozen=True)
class Played:
    """A round up to the masked updates: who holds what."""

    roster: Roster
    letters: tuple
    members: dict
    masked: dict

    def request(self, survivors=None):
        return request_unmasking(self.roster, self.masked if survivors is None else survivors)

    def answers(self, request, by=None):
        return {site: answer_request(self.members[site], request)[1] for site in by or request.survivors}

    def mean(self, survivors=None, by=None):
        request = self.request(survivors)
        answers = self.answers(request, by)
        return unmask(self.roster, request, [self.masked[site] for site in request.survivors], answers.values())


def play(agreed, updates, silent=(), seed=1, answered=None):
    """Everything before unmasking; `silent` sites show no keys; who has no update masks none."""
    own = {site: one for site, one in keys(agreed, seed).items() if site not in silent}
    roster = roster_of(agreed, own)
    random = np.random.default_rng((3, seed)).bytes
    shared = {site: share_secrets(own[site], roster, random) for site in own}
    letters = tuple(letter for _, written in shared.values() for letter in written)
    inboxes = deliver(roster, letters)
    members = {site: open_shares(shared[site][0], inbox, answered) for site, inbox in inboxes.items()}
    masked = {}
    for one in updates:
        members[one.site], masked[one.site] = mask_update(members[one.site], one)
    return Played(roster, letters, members, masked)
