"""Secure aggregation: the coordinator learns the sites' weighted sum and no site's update.

After Bonawitz et al., Practical secure aggregation for privacy-preserving machine learning, CCS 2017, figure 4, for a
coordinator that is curious but keeps to the protocol; `docs/adr/0013-masks-that-cancel.md` says what holds beyond.
Nothing here sends, stores or looks at a clock. A round calls, in this order:

    each site     own = make_keys(terms, …)                     roster.py; own.public goes to the coordinator
    all           roster = make_roster(terms, keys, enrolled)   roster.py; the coordinator passes on all keys
    each site     sharing, letters = share_secrets(own, roster) letters.py; letters go to the coordinator
    coordinator   inboxes = deliver(roster, letters)            letters.py; to every site its inbox
    each site     member = open_shares(sharing, inbox)          letters.py
    each site     member, masked = mask_update(member, update)
    coordinator   request = request_unmasking(roster, arrived)
    each site     member, answer = answer_request(member, request)
    coordinator   mean = unmask(roster, request, masked, answers); state = close_secure_round(state, mean)

A site goes on with the state that a step returned, and forgets the one before: that is what "only once" rests on.
Small messages travel as `messages.encode_message` writes them, masked updates as `masks.encode_masked`.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import with_config

from flame.errors import EngineError, PolicyError, UpdateRejected
from flame.federation.checks import Expected, check
from flame.federation.job import job_hash
from flame.federation.letters import Member
from flame.federation.masks import RING_BITS, MaskedUpdate, add_stream, reduced, signed
from flame.federation.messages import WIRE
from flame.federation.optimiser import step
from flame.federation.roster import (
    Roster,
    Terms,
    check_origin,
    has_private_key,
    mask_key,
    rejected,
    require_threshold,
    seed_tag,
    self_mask_key,
)
from flame.federation.rounds import State, expected
from flame.federation.sharing import SHARE_BYTES, combine, lagrange_weights
from flame.federation.update import Update

__all__ = [
    "SecureMean",
    "UnmaskAnswer",
    "UnmaskRequest",
    "answer_request",
    "check_answer",
    "check_masked",
    "close_secure_round",
    "mask_update",
    "mean_in_the_clear",
    "request_unmasking",
    "secure_terms",
    "unmask",
]

_HINT = "The round goes on without this site; look at its own log."
_SITE_HINT = "This site leaves the round; ask the coordinator's operator why."


@with_config(WIRE)
@dataclass(frozen=True)
class UnmaskRequest:
    """What the coordinator asks of the survivors: of whose masked update it wants the self-mask, of whom the key."""

    job_hash: str
    round: int
    roster: str
    survivors: tuple[str, ...]


@with_config(WIRE)
@dataclass(frozen=True)
class UnmaskAnswer:
    """A survivor's shares: of the seed of each survivor and of the mask key of each site that dropped out."""

    job_hash: str
    round: int
    site: str
    survivors: tuple[str, ...]
    seed_shares: Mapping[str, bytes] = field(repr=False)
    key_shares: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True)
class SecureMean:
    """All that the coordinator learns: the mean weighted by samples, the samples of all, and who took part."""

    job_hash: str
    round: int
    sites: tuple[str, ...]
    samples: int
    arrays: Mapping[str, NDArray[np.float32]]


def secure_terms(state: State) -> Terms:
    """The terms of the running round; the threshold is the quorum, or just above half of the sites if that is more.

    Raises: ConfigError: as `Terms`.
    """
    threshold = max(state.job.limits.quorum, len(state.sites) // 2 + 1)
    awaited = expected(state)
    most = state.job.privacy.max_samples
    return Terms(awaited.job_hash, state.round, state.sites, threshold, awaited.shapes, awaited.max_norm, most)


def mask_update(member: Member, update: Update) -> tuple[Member, MaskedUpdate]:
    """Hide an update, once: masks that serve twice would show the difference of two updates.

    The coordinator can't check what it can't see, so the bounds are enforced here. Scalars are not sent.

    Raises: UpdateRejected: as `checks.check`; if there are more samples than the terms allow; if it is another site's
        update; if this site has masked one already.
    """
    roster, site, terms = member.roster, member.own.public.site, member.roster.terms
    if member.is_masked:
        raise UpdateRejected(f"site {site!r} has already masked its update of round {terms.round}", _SITE_HINT)
    if update.site != site:
        raise UpdateRejected(f"site {site!r} can't mask the update of site {update.site!r}", _SITE_HINT)
    check(update, Expected(terms.job_hash, terms.round, terms.sites, terms.shapes, terms.max_norm))
    if update.samples > terms.max_samples:
        raise UpdateRejected(f"samples = {update.samples}, the terms allow {terms.max_samples}", _SITE_HINT)
    names = sorted(terms.shapes)
    values = [np.array([update.samples], np.uint64)]
    values += [terms.fixed_point.encode(update.arrays[name], update.samples) for name in names]
    add_stream(values, self_mask_key(roster, member.own.seed, site))
    for other in member.held:
        if other != site:
            key = mask_key(roster, member.own.mask_private, site, other)
            add_stream(values, key, negative=site > other)
    samples, *arrays = (reduced(array, out=array) for array in values)
    hidden = dict(zip(names, arrays, strict=True))
    masked = MaskedUpdate(terms.job_hash, terms.round, site, roster.digest, int(samples[0]), hidden)
    return replace(member, is_masked=True), masked


def check_masked(roster: Roster, masked: MaskedUpdate) -> None:
    """Refuse a masked update that would spoil the sum, as far as that can be seen, before it is stored.

    Raises: UpdateRejected: if it is from another job, round or roster, from a site that is not on it, or names, sizes
        or types differ; the message names the site.
    """
    terms = roster.terms
    check_origin(terms, masked.site, "a masked update", masked.job_hash, masked.round)
    if masked.roster != roster.digest:
        raise rejected(masked.site, "masked its update with another roster")
    if masked.site not in roster.keys:
        raise rejected(masked.site, "is not on the roster")
    if not 0 <= masked.samples < 2**RING_BITS:
        raise rejected(masked.site, "sent masked samples outside the ring")
    if set(masked.arrays) != set(terms.shapes):
        raise rejected(masked.site, f"array names differ: {sorted(set(masked.arrays) ^ set(terms.shapes))[0]!r}")
    for name, shape in terms.shapes.items():
        array = masked.arrays[name]
        if array.dtype != np.uint64 or array.shape != (math.prod(shape),):
            raise rejected(masked.site, f"array {name!r} is {array.dtype} {array.shape}, expected {math.prod(shape)}")


def request_unmasking(roster: Roster, arrived: Collection[str]) -> UnmaskRequest:
    """Close the list of sites whose masked updates are there. Keep the request: sites answer no second one.

    Raises: EngineError: if they are fewer than the threshold.
    """
    require_threshold(roster.terms, len(set(arrived)), "masked updates")
    terms = roster.terms
    return UnmaskRequest(terms.job_hash, terms.round, roster.digest, tuple(sorted(set(arrived))))


def answer_request(member: Member, request: UnmaskRequest) -> tuple[Member, UnmaskAnswer]:
    """Give the shares that unmask the sum of the survivors; of no site both the seed and the key.

    The same request may come again, as after a lost connection, and gets the same answer.

    Raises: PolicyError: if the request is of another round or roster, has fewer survivors than the threshold or not
        this site, names sites that are not on the roster, or is not the one that was answered.
    """
    terms, site = member.roster.terms, member.own.public.site
    survivors = request.survivors
    reasons = {
        "is of another job, round or roster": (request.job_hash, request.round, request.roster)
        != (terms.job_hash, terms.round, member.roster.digest),
        "names survivors that are not different sites of the roster in name order": list(survivors)
        != [one for one in member.held if one in survivors],
        f"names {len(survivors)} survivors, the threshold is {terms.threshold}": len(survivors) < terms.threshold,
        "leaves this site out, or comes before its update": site not in survivors or not member.is_masked,
        "is a second one with another list": member.answered not in (None, survivors),
    }
    for reason, holds in reasons.items():
        if holds:
            raise PolicyError(f"Site {site!r} refuses to unmask round {terms.round}: the request {reason}", _SITE_HINT)
    seeds = {one: member.held[one][:SHARE_BYTES] for one in survivors}
    keys = {one: shares[SHARE_BYTES:] for one, shares in member.held.items() if one not in survivors}
    answer = UnmaskAnswer(terms.job_hash, terms.round, site, survivors, seeds, keys)
    return replace(member, answered=survivors), answer


def check_answer(roster: Roster, request: UnmaskRequest, answer: UnmaskAnswer) -> None:
    """Refuse an answer that is not one to this request.

    Raises: UpdateRejected: names the site and the reason.
    """
    check_origin(roster.terms, answer.site, "an answer", answer.job_hash, answer.round)
    if answer.site not in request.survivors or answer.survivors != request.survivors:
        raise rejected(answer.site, "answers another request")
    dropped = set(roster.keys) - set(request.survivors)
    if set(answer.seed_shares) != set(request.survivors) or set(answer.key_shares) != dropped:
        raise rejected(answer.site, "gives shares of other sites than were asked for")


def unmask(
    roster: Roster, request: UnmaskRequest, masked: Iterable[MaskedUpdate], answers: Collection[UnmaskAnswer]
) -> SecureMean:
    """The mean of the survivors' updates weighted by their samples; equal bytes in any order of either collection.

    It differs from `aggregate.fedavg` of the plain updates by `fixed_point.error` and one rounding to float32. Memory
    is that of one sum: masked updates are looked at one after the other (`masks.open_masked`).

    Raises:
        UpdateRejected: if a masked update or an answer is refused (`check_masked`, `check_answer`), is there twice, or
            shares of a site do not give what it has signed; the message names the site.
        EngineError: if an update is missing, there are fewer answers than the threshold, or the sum is beyond what
            the terms allow.
    """
    secrets = _recovered(roster, request, answers)
    sums = _added(roster, request, masked)
    for site, secret in secrets.items():
        if site in request.survivors:
            add_stream(sums, self_mask_key(roster, secret, site), negative=True)
        else:
            for other in request.survivors:
                add_stream(sums, mask_key(roster, secret, site, other), negative=other < site)
    return _mean(roster.terms, request.survivors, sums)


def mean_in_the_clear(terms: Terms, updates: Iterable[Update]) -> SecureMean:
    """The mean that `unmask` gives, to the byte, of updates that nobody masked: for one machine that holds them all.

    Args:
        terms: of the round.
        updates: checked ones, in any order.

    Raises: EngineError: if they are fewer than the threshold.
    """
    names = sorted(terms.shapes)
    samples, sites = 0, []
    sums = [np.zeros(math.prod(terms.shapes[name]), np.uint64) for name in names]
    for update in updates:
        sites.append(update.site)
        samples += update.samples
        for total, name in zip(sums, names, strict=True):
            total += terms.fixed_point.encode(update.arrays[name], update.samples)
    require_threshold(terms, len(sites), "updates")
    return _mean(terms, tuple(sorted(sites)), [np.array([samples], np.uint64), *sums])


def close_secure_round(state: State, mean: SecureMean) -> State:
    """The state after the running round, as `rounds.close_round` gives it for the plain updates.

    Raises:
        UpdateRejected: if the mean is of another job or round.
        EngineError: if it is of fewer sites than the quorum.
    """
    if (mean.job_hash, mean.round) != (job_hash(state.job), state.round):
        raise UpdateRejected(f"the mean belongs to round {mean.round} of job {mean.job_hash[:12]}", _HINT)
    if len(mean.sites) < state.job.limits.quorum:
        raise EngineError(
            f"Round {state.round}: {len(mean.sites)} sites are in the mean, the quorum is {state.job.limits.quorum}",
            "Raise the threshold of secure aggregation to the quorum.",
        )
    arrays, moments = step(state.job.aggregation, state.moments, state.arrays, dict(mean.arrays))
    return State(state.job, state.sites, state.round + 1, arrays, moments)


def _recovered(roster: Roster, request: UnmaskRequest, answers: Collection[UnmaskAnswer]) -> dict[str, bytes]:
    """Site -> its seed if it survived, its private mask key if not; out of the first answers in name order."""
    ordered: dict[str, UnmaskAnswer] = {}
    for answer in sorted(answers, key=lambda each: each.site):
        check_answer(roster, request, answer)
        if answer.site in ordered:
            raise rejected(answer.site, "answered twice")
        ordered[answer.site] = answer
    require_threshold(roster.terms, len(ordered), "answers")
    used = list(ordered.values())[: roster.terms.threshold]
    weights = lagrange_weights([roster.point(answer.site) for answer in used])
    secrets = {}
    for site in roster.keys:
        has_survived = site in request.survivors
        shares = [(answer.seed_shares if has_survived else answer.key_shares)[site] for answer in used]
        secrets[site] = _verified(roster, site, shares, weights, has_survived)
    return secrets


def _verified(roster: Roster, site: str, shares: list[bytes], weights: tuple[int, ...], is_seed: bool) -> bytes:
    what = "seed" if is_seed else "mask key"
    try:
        secret = combine(shares, weights)
    except ValueError as error:
        raise rejected(site, f"can't be unmasked: shares of its {what}: {error}") from error
    public = roster.keys[site]
    fits = (
        seed_tag(secret, roster.terms.digest, site) == public.seed_tag if is_seed else has_private_key(public, secret)
    )
    if not fits:
        raise rejected(site, f"can't be unmasked: the shares do not give the {what} that it has signed")
    return secret


def _added(roster: Roster, request: UnmaskRequest, masked: Iterable[MaskedUpdate]) -> list[NDArray[np.uint64]]:
    """Sums modulo 2**64: of the samples, then of the arrays in name order."""
    names = sorted(roster.terms.shapes)
    sums = [np.zeros(1, np.uint64), *(np.zeros(math.prod(roster.terms.shapes[name]), np.uint64) for name in names)]
    missing = set(request.survivors)
    for one in masked:
        check_masked(roster, one)
        if one.site not in missing:
            raise rejected(one.site, "is not among those asked for, or its masked update is there twice")
        missing.remove(one.site)
        sums[0] += np.uint64(one.samples)
        for total, name in zip(sums[1:], names, strict=True):
            total += one.arrays[name]
    if missing:
        raise EngineError(f"The masked update of site {min(missing)!r} is missing", "Ask for it again.")
    return sums


def _mean(terms: Terms, sites: tuple[str, ...], sums: list[NDArray[np.uint64]]) -> SecureMean:
    samples = int(signed(sums[0])[0])
    if not len(sites) <= samples <= len(sites) * terms.max_samples:
        raise _implausible(terms, "the samples of all sites are impossible")
    arrays = {
        name: terms.fixed_point.decode(total, samples).reshape(terms.shapes[name])
        for name, total in zip(sorted(terms.shapes), sums[1:], strict=True)
    }
    size = math.sqrt(math.fsum(float(np.sum(np.square(one, dtype=np.float64))) for one in arrays.values()))
    values = sum(total.size for total in sums[1:])
    if not size <= terms.max_norm * (1 + 1e-6) + terms.fixed_point.error * math.sqrt(values):
        raise _implausible(terms, f"the norm of the mean is above the bound {terms.max_norm:.6g}")
    return SecureMean(terms.job_hash, terms.round, sites, samples, arrays)


def _implausible(terms: Terms, what: str) -> EngineError:
    return EngineError(
        f"Round {terms.round}: {what}: a site broke the protocol or a mask did not cancel",
        "Start the round again; if it stays, leave sites out one by one to find which it is.",
    )
