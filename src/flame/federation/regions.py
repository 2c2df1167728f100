"""Regions: where a study outgrows one coordinator, some sites have one of their own, which passes on their sum alone.

A region's sum is what its coordinator's running mean is made of: pairs of float64, the second for the rounding errors
of the first. Sums of sums lose nothing, so the model has the bytes that it has without regions (ADR 3), whichever sites
form which. A mean of updates within the norm's bound is within it too, so that bound holds for a region as for a site.

Masks and robust rules don't go with it: masks cancel over all sites of a round, and a median looks at single updates.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from flame.errors import ConfigError, EngineError, UpdateRejected
from flame.federation import folder as files
from flame.federation.aggregate import Sum, weighted_sums
from flame.federation.checks import MAX_SAMPLES, Expected, check_origin
from flame.federation.job import Job, job_hash
from flame.federation.optimiser import step
from flame.federation.rounds import State, expected
from flame.federation.steps import Combine
from flame.federation.update import SITE_NAME, Update
from flame.files import replacing
from flame.settings import Settings

__all__ = [
    "RegionSum",
    "by_regions",
    "check_region",
    "close_regions",
    "open_region",
    "region_sum",
    "require_sums",
    "write_region",
]

_KEY = "flame"
_HINT = "The round goes on without this region; look at its coordinator."
_ROUNDING = 1.0 + 1e-6  # of a region's norm, against the sites' own
SiteName = Annotated[str, Field(pattern=SITE_NAME)]


@dataclass(frozen=True)
class RegionSum:
    """What a region passes on of a round.

    Args:
        job_hash: of the job.
        region: its name.
        round: of the job.
        samples: site -> samples behind its update, >= 1.
        pairs: array name -> sum of the sites' differences times their samples, float64 (2, *shape).
    """

    job_hash: str
    region: str
    round: int
    samples: Mapping[str, int]
    pairs: Mapping[str, NDArray[np.float64]]


class _Header(Settings):
    """Everything in a region's sum but its arrays."""

    model_config = ConfigDict(strict=True)

    format: Annotated[str, Field(pattern=r"^flame-region/1$")] = "flame-region/1"
    job_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    region: SiteName
    round: int = Field(ge=0)
    samples: dict[SiteName, Annotated[int, Field(ge=1, le=MAX_SAMPLES)]] = Field(min_length=1)


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


def region_sum(state: State, region: str, updates: Collection[Update]) -> RegionSum:
    """What a region's coordinator makes of its sites' updates of the running round; they are read one at a time.

    Args:
        state: the running round.
        region: name of the region.
        updates: at least one, each checked (`checks.check`).

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
    samples = {update.site: update.samples for update in updates}
    pairs = {name: total.pair() for name, total in sums.items()}
    return RegionSum(job_hash(state.job), region, state.round, dict(sorted(samples.items())), pairs)


def write_region(path: Path, content: RegionSum) -> None:
    """Keep a region's sum as it travels: safetensors, float64, with the other fields as JSON header; atomically.

    Equal sums give equal bytes. Arrays are written from where they lie: the library would copy all of them first.
    """
    about = {"job_hash": content.job_hash, "region": content.region, "round": content.round}
    header = _Header.model_validate({**about, "samples": dict(content.samples)})
    layout: dict[str, object] = {"__metadata__": {_KEY: header.model_dump_json()}}
    end = 0
    for name in sorted(content.pairs):
        pair = content.pairs[name]
        layout[name] = {"dtype": "F64", "shape": pair.shape, "data_offsets": (end, end + pair.nbytes)}
        end += pair.nbytes
    head = json.dumps(layout, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)  # arrays begin at a multiple of their size
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name in sorted(content.pairs):
            file.write(np.ascontiguousarray(content.pairs[name], "<f8").reshape(-1).data)


def open_region(path: Path) -> RegionSum:
    """A stored sum whose arrays stay on disk until they are looked at, one at a time.

    Raises: UpdateRejected: if the file is missing, cut off, or no region's sum.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            text, names = (file.metadata() or {}).get(_KEY, ""), tuple(sorted(file.keys()))
        header = _Header.model_validate_json(text)
    except (SafetensorError, OSError) as error:
        raise UpdateRejected(f"{path.name} can't be read as a region's sum: {error}", _HINT) from error
    except ValidationError as error:
        raise UpdateRejected(f"{path.name} is no region's sum: {error.errors()[0]['msg']}", _HINT) from error
    return RegionSum(header.job_hash, header.region, header.round, header.samples, _StoredPairs(path, names))


class _StoredPairs(Mapping[str, NDArray[np.float64]]):
    """The arrays of a stored sum; each look-up reads one array and keeps nothing."""

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self._path, self._names = path, names

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        with safe_open(self._path, framework="numpy") as file:
            return np.asarray(file.get_tensor(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def check_region(content: RegionSum, awaited: Expected, regions: Mapping[str, Collection[str]]) -> None:
    """Refuse a region's sum that may not be added.

    Args:
        content: what the region sent.
        awaited: what updates of this round must be.
        regions: name -> its sites.

    Raises: UpdateRejected: if it is from another job, round or region, speaks for a site that is not the region's, has
        other names, shapes or types, or values that are not finite; or if the region's mean has too large a norm.
    """
    if (content.job_hash, content.round) != (awaited.job_hash, awaited.round):
        raise UpdateRejected(f"it is of job {content.job_hash[:12]}, round {content.round}", _HINT)
    if content.region not in regions:
        raise UpdateRejected(f"there is no region {content.region!r}", _HINT)
    strangers = sorted(set(content.samples) - set(regions[content.region]))
    if strangers or not content.samples:
        raise UpdateRejected(f"region {content.region} speaks for {', '.join(strangers) or 'no site'}", _HINT)
    if set(content.pairs) != set(awaited.shapes):
        first = sorted(set(content.pairs) ^ set(awaited.shapes))[0]
        raise UpdateRejected(f"array names differ from the model's: {first!r}", _HINT)
    square, samples = 0.0, sum(content.samples.values())
    for name, shape in awaited.shapes.items():
        pair = content.pairs[name]
        if pair.dtype != np.float64 or pair.shape != (2, *shape):
            raise UpdateRejected(f"array {name!r} is {pair.dtype} {pair.shape}, expected float64 {(2, *shape)}", _HINT)
        if not np.isfinite(pair).all():
            raise UpdateRejected(f"array {name!r} holds NaN or infinity", _HINT)
        mean = (pair[0] + pair[1]).reshape(-1)
        mean /= samples
        square += float(mean @ mean)
    if not square**0.5 <= awaited.max_norm * _ROUNDING:
        raise UpdateRejected(f"norm {square**0.5:.6g} is above the bound {awaited.max_norm:.6g}", _HINT)


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
    try:
        names = {site: region for region, sites in regions.items() for site in sites}
        _Header(job_hash=job_hash(first.job), region=next(iter(regions)), round=0, samples=dict.fromkeys(regions, 1))
    except ValidationError as error:
        raise ConfigError("a region's name can't be used", "Use letters, digits, - and _, at most 64.") from error

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
