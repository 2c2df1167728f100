"""The coordinator's side of a round in regions: each region is asked, and answers with the sum of its sites' updates.

A function of the state and of whatever carries messages (`stages.Ask`). What has been answered is on disk: after a kill
only those regions are asked that have not answered.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from flame.errors import ConfigError, EngineError, UpdateRejected
from flame.federation import folder as files
from flame.federation.folder import RoundReport
from flame.federation.job import Job
from flame.federation.region_sum import RegionSum, check_region, open_region
from flame.federation.regions import close_regions, require_sums
from flame.federation.rounds import State, expected
from flame.federation.stages import SUM, Ask, question
from flame.federation.steps import explained, save_round
from flame.files import replacing

__all__ = ["region_round", "require_region_job", "sites_behind"]

Regions = Mapping[str, Collection[str]]

_PATIENCE = 2
"""How much longer than a region waits for its slow sites the coordinator waits for slow regions."""


def require_region_job(job: Job) -> None:
    """Refuse a job that can't be run by regions.

    Raises: ConfigError: if its rule is no weighted sum, or sites are to score models after the last round.
    """
    require_sums(job)
    if job.scores_at_the_end:
        raise ConfigError(
            "evaluation.cross_site: after the last round sites are asked one by one, which regions don't do",
            'Leave out the regions, or set cross_site = "none".',
        )


def region_round(
    state: State, folder: Path, regions: Regions, ask: Ask, seconds: Callable[[], float]
) -> tuple[State, RoundReport]:
    """Run the running round, and save its report and the next state.

    Args:
        state: the running round.
        folder: the job's.
        regions: name -> its sites that take part.
        ask: carries messages to regions, and counts an answer as `sites_behind` says.
        seconds: since the round began.

    Raises: EngineError: if too few sites are behind the sums. A new start goes on in this round.
    """
    there = [region for region in regions if _stored(folder, state.round, region) is not None]
    message = question(state)
    limits = state.job.limits.model_copy(update={"grace_s": _PATIENCE * state.job.limits.grace_s})
    new = [region for region in regions if region not in there]
    before = sum(sites_behind(folder, regions, state, region) for region in there)
    if new:
        ask(state, SUM, dict.fromkeys(new, message), partial(_keep, state, folder, regions), limits, before)
    stored = {region: _stored(folder, state.round, region) for region in regions}
    sums = {region: found for region, found in stored.items() if found is not None}
    refused = partial(_refused, state, folder, regions, sums)
    with explained(folder, state.round, refused), _whole_again(state, folder, regions, sums):
        following = close_regions(state, list(sums.values()))
    report = RoundReport(
        round=state.round,
        samples={site: found.samples[site] for found in sums.values() for site in found.samples},
        scalars={site: dict(found.scalars.get(site, {})) for found in sums.values() for site in found.samples},
        bytes_up={region: files.region_path(folder, state.round, region).stat().st_size for region in sums},
        bytes_down=dict.fromkeys(regions, len(message)),
        refused=refused(),
        seconds=round(seconds(), 3),
    )
    save_round(folder, state, following, report)
    return following, report


def sites_behind(folder: Path, regions: Regions, state: State, region: str) -> int:
    """For how many sites a region's answer stands: those in its sum, or all of it while it has not answered."""
    found = _stored(folder, state.round, region)
    return len(regions[region]) if found is None else len(found.samples)


def _keep(state: State, folder: Path, regions: Regions, region: str, content: bytes) -> str | None:
    """Store a region's sum if it may be added, else why not; it is looked at on disk, for it is large."""
    try:
        with replacing(files.region_path(folder, state.round, region)) as arrived:
            arrived.write_bytes(content)
            found = open_region(arrived)
            check_region(found, expected(state), regions)
            if found.region != region:
                reason = f"it says that it is {found.region!r}, and {region!r} sent it"
                raise UpdateRejected(reason, "Look at the region's coordinator.")
    except UpdateRejected as error:
        files.save_refusal(folder, state.round, region, error.message)
        return error.message
    return None


def _stored(folder: Path, round: int, region: str) -> RegionSum | None:
    path = files.region_path(folder, round, region)
    try:
        return open_region(path) if path.exists() else None
    except UpdateRejected:
        return None  # damaged by the disk: the region is asked again


@contextmanager
def _whole_again(state: State, folder: Path, regions: Regions, sums: Mapping[str, RegionSum]) -> Iterator[None]:
    """If a round can't be closed, forget sums that lack sites: what kept them out may be mended by the next start."""
    try:
        yield
    except EngineError:
        for region, found in sums.items():
            if len(found.samples) < len(regions[region]):
                files.region_path(folder, state.round, region).unlink()
        raise


def _refused(state: State, folder: Path, regions: Regions, sums: Mapping[str, RegionSum]) -> dict[str, str]:
    """Site or region -> why it does not count."""
    found = {site: reason for one in sums.values() for site, reason in one.refused.items()}
    own = {region: files.read_refusal(folder, state.round, region) for region in regions if region not in sums}
    return {**found, **{region: reason for region, reason in own.items() if reason is not None}}
