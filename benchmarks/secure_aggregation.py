"""What secure aggregation costs beyond plain aggregation; limits: 2 s more in all, twice the bytes of a site.

python benchmarks/secure_aggregation.py [PARAMETERS] [SITES]    1,000,000 and 5 by default

All sites and the coordinator work one after the other in this process, so that the seconds are those of all together;
on real sites theirs pass side by side. Bytes are those that one site sends: keys, shares, update, answer. Peer: the
same round with plain updates (`encode`, `decode`, `check`, `fedavg`).
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flame.federation.aggregate import fedavg
from flame.federation.checks import Expected, check
from flame.federation.letters import Letter, deliver, open_shares, share_secrets
from flame.federation.masks import decode_masked, encode_masked
from flame.federation.messages import decode_message, encode_message
from flame.federation.privacy import UnmaskAnswer, answer_request, check_masked, mask_update, request_unmasking, unmask
from flame.federation.roster import PublicKeys, Terms, make_keys, make_roster
from flame.federation.update import Update, decode, encode
from flame.site.identity import Identity

SECONDS, BYTES = 2.0, 2.0
REPEATS = 5
ASKED = 1_000_000, 5
SHARES = {"wide": 0.5, "middle": 0.3, "small": 0.199, "bias": 0.001}
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """Mean by array name, and the bytes that the first site sent."""

    mean: dict[str, np.ndarray]
    sent: int


def prepared(parameters: int, sites: int) -> tuple[Terms, list[Update]]:
    """Terms and updates of norm about 1 of every site."""
    shapes = {name: (int(share * parameters),) for name, share in SHARES.items()}
    terms = Terms("a" * 64, 0, tuple(f"site-{n:03d}" for n in range(sites)), sites // 2 + 1, shapes, 10.0)
    draw = np.random.default_rng(1)
    updates = [
        Update(
            terms.job_hash,
            site,
            0,
            {name: draw.standard_normal(shape[0], np.float32) / parameters**0.5 for name, shape in shapes.items()},
            100 + place,
            {},
        )
        for place, site in enumerate(terms.sites)
    ]
    return terms, updates


def plain(terms: Terms, updates: Collection[Update]) -> Result:
    """A round as it is without secure aggregation."""
    expected = Expected(terms.job_hash, 0, terms.sites, terms.shapes, terms.max_norm)
    sent = [encode(update) for update in updates]
    received = [decode(content) for content in sent]
    for update in received:
        check(update, expected)
    return Result(fedavg(received), len(sent[0]))


def secure(terms: Terms, updates: Collection[Update], identities: dict[str, Identity], late: Collection[str]) -> Result:
    """The same round, masked; `late` sites have shared their secrets and send no update."""
    enrolled = {site: identity.public_key for site, identity in identities.items()}
    own = {site: make_keys(terms, site, identities[site]) for site in terms.sites}
    key_bytes = {site: encode_message(one.public) for site, one in own.items()}
    public = [decode_message(PublicKeys, content) for content in key_bytes.values()]
    rosters = {site: make_roster(terms, public, enrolled) for site in (*terms.sites, "coordinator")}
    shared = {site: share_secrets(own[site], rosters[site]) for site in terms.sites}
    written = {site: [encode_message(letter) for letter in letters] for site, (_, letters) in shared.items()}
    received = [decode_message(Letter, content) for letters in written.values() for content in letters]
    inboxes = deliver(rosters["coordinator"], received)
    members = {site: open_shares(shared[site][0], inbox) for site, inbox in inboxes.items()}
    sent: dict[str, bytes] = {}
    for update in updates:
        if update.site not in late:
            members[update.site], masked = mask_update(members[update.site], update)
            sent[update.site] = encode_masked(masked)
    arrived = [decode_masked(content) for content in sent.values()]
    for masked in arrived:
        check_masked(rosters["coordinator"], masked)
    request = request_unmasking(rosters["coordinator"], sent)
    answers = {site: encode_message(answer_request(members[site], request)[1]) for site in request.survivors}
    answered = [decode_message(UnmaskAnswer, content) for content in answers.values()]
    mean = unmask(rosters["coordinator"], request, arrived, answered)
    first = request.survivors[0]
    messages = [key_bytes[first], *written[first], sent[first], answers[first]]
    return Result(dict(mean.arrays), sum(map(len, messages)))


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Fewest seconds of several repeats, and the result."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
    return min(seconds), result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parameters", type=int, nargs="?", default=ASKED[0])
    parser.add_argument("sites", type=int, nargs="?", default=ASKED[1])
    arguments = parser.parse_args()
    terms, updates = prepared(arguments.parameters, arguments.sites)
    identities = {site: Identity(Ed25519PrivateKey.generate()) for site in terms.sites}
    print(f"{arguments.sites} sites, {arguments.parameters:,} parameters, {os.cpu_count()} cores, one process")
    print(f"{'round':16}{'seconds':>9}{'more':>8}{'of limit':>10}{'bytes a site':>14}{'ratio':>8}{'of limit':>10}")
    base, peer = timed(lambda: plain(terms, updates))
    print(f"{'plain':16}{base:9.2f}{'':18}{peer.sent:14,}")
    kept = True
    for name, late in (("secure", ()), ("secure, one late", terms.sites[-1:])):
        seconds, result = timed(lambda late=late: secure(terms, updates, identities, late))
        reference = fedavg([update for update in updates if update.site not in late])
        worst = max(float(np.max(np.abs(result.mean[key] - reference[key]))) for key in reference)
        more, ratio = seconds - base, result.sent / peer.sent
        kept &= more <= SECONDS and ratio <= BYTES and worst <= 1e-6 * terms.max_norm
        print(
            f"{name:16}{seconds:9.2f}{more:8.2f}{more / SECONDS:10.2f}{result.sent:14,}{ratio:8.4f}"
            f"{ratio / BYTES:10.2f}   largest difference {worst / terms.max_norm:.1e} of the norm bound"
        )
    verdict = "kept" if kept else "BROKEN"
    if (arguments.parameters, arguments.sites) != ASKED:
        kept, verdict = True, f"asked for {ASKED[1]} sites and {ASKED[0]:,} parameters only"
    print(f"limits {SECONDS:g} s and {BYTES:g} x the bytes: {verdict}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
