"""Regions: where a study outgrows one coordinator, some sites have one of their own, which passes on their sum alone.

A region's sum is what its coordinator's running mean is made of: pairs of float64, the second for the rounding errors
of the first. Sums of sums lose nothing, so the model has the bytes that it has without regions (ADR 3), whichever sites
form which. A mean of updates within the norm's bound is within it too, so that bound holds for a region as for a site.

Masks and robust rules don't go with it: masks cancel over all sites of a round, and a median looks at single updates.
What a site reports beside its update, and why there is none, goes on by name.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from flame.errors import ConfigError, EngineError, UpdateRejected
from flame.federation import folder as files
from flame.federation.aggregate import Sum, weighted_sums
from flame.federation.checks import check_origin
from flame.federation.job import Job, job_hash
from flame.federation.optimiser import step
from flame.federation.region_sum import RegionSum, check_region, check_region_names, open_region, write_region
from flame.federation.rounds import State, expected
from flame.federation.steps import Combine
from flame.federation.update import Update

__all__ = ["by_regions", "close_regions", "region_sum", "require_sums"]

_HINT = "Look at the regions' coordinators."


def require_sums(job: Job) -> None:
    """Refuse a job whose rule is no weighted sum.

    Raises: ConfigError: names the rule.
    """
    if job.privacy.secure_aggregation:
        raise ConfigError(
            "privacy.secure_aggregation: masks cancel in the sum over all sites, and regions see parts of it",
            "Leave out the regions, or the masks.",
        )
    if job.aggregation.name in ("median", "trimmed_mean"):
        raise ConfigError(
            f"aggregation {job.aggregation.name} looks at single updates, which regions don't pass on",
            "Leave out the regions, or choose a mean.",
        )


def region_sum(
    state: State, region: str, updates: Collection[Update], refused: Mapping[str, str] = MappingProxyType({})
) -> RegionSum:
    """What a region's coordinator makes of its sites' updates of the running round; they are read one at a time.

    Args:
        state: the running round.
        region: name of the region.
        updates: at least one, each checked (`checks.check`).
        refused: other sites of the region -> why their updates don't count.

    Raises:
        ConfigError: if the job's rule is no weighted sum.
        UpdateRejected: if an update is from another job or round or an unknown site, or two are from one site.
    """
    require_sums(state.job)
    awaited = expected(state)
    received: set[str] = set()
    for update in updates:
        check_origin(update, awaited, received)
        received.add(update.site)
    sums, _ = weighted_sums(updates)
    ordered = sorted(updates, key=lambda update: update.site)
    return RegionSum(
        job_hash(state.job),
        region,
        state.round,
        {update.site: update.samples for update in ordered},
        {name: total.pair() for name, total in sums.items()},
        {update.site: dict(sorted(update.scalars.items())) for update in ordered},
        dict(sorted(refused.items())),
    )


def close_regions(state: State, sums: Collection[RegionSum]) -> State:
    """The state after the running round, out of the regions' sums; as `rounds.close_round` out of all updates.

    Args:
        state: the running round.
        sums: one of each region, checked (`check_region`), in any order.

    Raises: EngineError: if the regions hold fewer updates than the quorum; UpdateRejected: if a site is in two of them.
    """
    require_sums(state.job)
    sites = [site for one in sums for site in one.samples]
    if len(set(sites)) < len(sites):
        raise UpdateRejected("a site is in the sums of two regions", _HINT)
    if len(sites) < state.job.limits.quorum:
        raise EngineError(
            f"Round {state.round}: {len(sites)} valid updates of {len(state.sites)} sites in {len(sums)} regions, "
            f"the quorum is {state.job.limits.quorum}",
            "Look at why the other sites' updates are missing or refused, then start the same job again.",
        )
    totals = {name: Sum(array.shape) for name, array in state.arrays.items()}
    for one in sums:
        for name, total in totals.items():
            total.add_pair(one.pairs[name])
    samples = sum(sum(one.samples.values()) for one in sums)
    mean = {name: total.divided(samples) for name, total in totals.items()}
    arrays, moments = step(state.job.aggregation, state.moments, state.arrays, mean)
    return State(state.job, state.sites, state.round + 1, arrays, moments)


def by_regions(first: State, regions: Mapping[str, Collection[str]], folder: Path) -> Combine:
    """How the embedded engine closes rounds by regions: each region's sum goes through a file, as it would travel.

    Args:
        first: the state before the first round.
        regions: name -> its sites; together they are all sites, none of them twice.
        folder: the job's.

    Raises: ConfigError: if the regions are not those sites, a name can't be used, or the job's rule is no weighted sum.
    """
    require_sums(first.job)
    members = sorted(site for sites in regions.values() for site in sites)
    if members != list(first.sites) or not all(regions.values()):
        odd = sorted(set(members) ^ set(first.sites)) or members
        raise ConfigError(f"the regions don't hold every site once: {odd[0]}", "Name each site in one region.")
    check_region_names(regions)
    names = {site: region for region, sites in regions.items() for site in sites}

    def combine(state: State, updates: Collection[Update]) -> State:
        sums = []
        for region in sorted(regions):
            own = [update for update in updates if names[update.site] == region]
            if own:
                path = files.region_path(folder, state.round, region)
                write_region(path, region_sum(state, region, own))
                sums.append(open_region(path))
                check_region(sums[-1], expected(state), regions)
        return close_regions(state, sums)

    return combine
