"""A region's sum of a round as it travels: how it is written, read, and looked at before it may count."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from flame.errors import ConfigError, UpdateRejected
from flame.federation.checks import MAX_SAMPLES, Expected
from flame.federation.folder import LONGEST
from flame.federation.update import SCALAR_NAME, SITE_NAME
from flame.files import replacing
from flame.settings import Settings

__all__ = ["RegionSum", "check_region", "check_region_names", "open_region", "write_region"]

_KEY = "flame"
_HINT = "The round goes on without this region; look at its coordinator."
_ROUNDING = 1.0 + 1e-6  # of a region's norm, against the sites' own
SiteName = Annotated[str, Field(pattern=SITE_NAME)]
ScalarName = Annotated[str, Field(pattern=SCALAR_NAME)]


@dataclass(frozen=True)
class RegionSum:
    """What a region passes on of a round.

    Args:
        job_hash: of the job.
        region: its name.
        round: of the job.
        samples: site -> samples behind its update, >= 1.
        pairs: array name -> sum of the sites' differences times their samples, float64 (2, *shape).
        scalars: site -> what it reported, of those in `samples`.
        refused: site -> why its update does not count, of no site in `samples`.
    """

    job_hash: str
    region: str
    round: int
    samples: Mapping[str, int]
    pairs: Mapping[str, NDArray[np.float64]]
    scalars: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


class _Header(Settings):
    """Everything in a region's sum but its arrays."""

    model_config = ConfigDict(strict=True)

    format: Annotated[str, Field(pattern=r"^flame-region/1$")] = "flame-region/1"
    job_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    region: SiteName
    round: int = Field(ge=0)
    samples: dict[SiteName, Annotated[int, Field(ge=1, le=MAX_SAMPLES)]] = Field(min_length=1)
    scalars: dict[SiteName, dict[ScalarName, Annotated[float, Field(allow_inf_nan=False)]]] = Field(
        default_factory=dict
    )
    refused: dict[SiteName, Annotated[str, Field(max_length=LONGEST)]] = Field(default_factory=dict)


def write_region(path: Path, content: RegionSum) -> None:
    """Keep a region's sum as it travels: safetensors, float64, with the other fields as JSON header; atomically.

    Equal sums give equal bytes. Arrays are written from where they lie: the library would copy all of them first.
    """
    about = {"job_hash": content.job_hash, "region": content.region, "round": content.round}
    told = {"samples": content.samples, "scalars": content.scalars, "refused": content.refused}
    header = _Header.model_validate({**about, **{key: dict(value) for key, value in told.items()}})
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
    told = (header.scalars, header.refused)
    return RegionSum(header.job_hash, header.region, header.round, header.samples, _StoredPairs(path, names), *told)


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
    strangers = sorted({*content.samples, *content.scalars, *content.refused} - set(regions[content.region]))
    if strangers or not content.samples:
        raise UpdateRejected(f"region {content.region} speaks for {', '.join(strangers) or 'no site'}", _HINT)
    both = sorted(content.samples.keys() & content.refused.keys()) or sorted(content.scalars.keys() - content.samples)
    if both:
        raise UpdateRejected(f"region {content.region} contradicts itself about {both[0]}", _HINT)
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


def check_region_names(names: Collection[str]) -> None:
    """Refuse names that can't go into a sum, or into the name of its file.

    Raises: ConfigError: if one can't be used, or there is none.
    """
    try:
        _Header(job_hash="0" * 64, region=next(iter(names)), round=0, samples=dict.fromkeys(names, 1))
    except (StopIteration, ValidationError) as error:
        raise ConfigError("a region's name can't be used", "Use letters, digits, - and _, at most 64.") from error
