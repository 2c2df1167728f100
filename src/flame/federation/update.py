"""What a site sends: the differences that its training made, as safetensors bytes that can be read without trust.

An update carries differences and not weights (`docs/adr/0002-updates-are-differences.md`): a difference has a norm that
can be bounded, clipped and noised, and its mean is what the coordinator's optimisers work on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError

from flame.errors import DataError, UpdateRejected
from flame.federation.store import decode_arrays, encode_arrays, open_arrays
from flame.settings import Settings

__all__ = [
    "SCALAR_NAME",
    "SITE_NAME",
    "LocalResult",
    "LocalScore",
    "Update",
    "decode",
    "difference",
    "encode",
    "open_update",
]

SITE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
SCALAR_NAME = r"^[a-z][a-z0-9_]{0,31}$"
_HINT = "The round goes on without this update; look at the site's own log."


@dataclass(frozen=True)
class LocalResult:
    """What training at a site returns to the federation.

    Args:
        arrays: the model after training, float32, with the names and shapes of the model that was sent.
        samples: number of samples that it was trained on, >= 1; the site's weight in a mean.
        scalars: what the site reports of its training, such as its loss; finite.
    """

    arrays: Mapping[str, NDArray[np.float32]]
    samples: int
    scalars: Mapping[str, float]


@dataclass(frozen=True)
class LocalScore:
    """How good a model is on patients whom a site holds back.

    Args:
        score: 0 to 1, larger is better.
        patients: number of these patients, >= 1.
    """

    score: float
    patients: int


@dataclass(frozen=True)
class Update:
    """What a site sends at the end of a round.

    Args:
        job_hash: of the job that it belongs to, 64 hexadecimal digits.
        site: name of the sender.
        round: the round that it belongs to, from 0.
        arrays: model after training minus model that was sent, float32.
        samples: number of samples behind it.
        scalars: what the site reports of its training.
    """

    job_hash: str
    site: str
    round: int
    arrays: Mapping[str, NDArray[np.float32]]
    samples: int
    scalars: Mapping[str, float]


class _Header(Settings):
    """Everything in an update but its arrays; `format` changes when the meaning of any field does."""

    model_config = ConfigDict(strict=True)

    format: Annotated[str, Field(pattern=r"^flame-update/1$")] = "flame-update/1"
    job_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    site: str = Field(pattern=SITE_NAME)
    round: int = Field(ge=0)
    samples: int
    scalars: dict[Annotated[str, Field(pattern=SCALAR_NAME)], float]


def difference(
    result: Mapping[str, NDArray[np.float32]], reference: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """What training changed, `result - reference`, in the order of `reference`.

    Raises: UpdateRejected: if names, shapes or types differ; the message names the first.
    """
    if set(result) != set(reference):
        raise UpdateRejected(f"array names differ: {sorted(set(result) ^ set(reference))[0]!r}", _HINT)
    for name, array in reference.items():
        if result[name].shape != array.shape or result[name].dtype != np.float32:
            found = f"{result[name].dtype} {result[name].shape}"
            raise UpdateRejected(f"array {name!r} is {found}, expected float32 {array.shape}", _HINT)
    with np.errstate(over="ignore", invalid="ignore"):  # the check that follows finds what is not finite
        return {name: np.asarray(result[name] - array) for name, array in reference.items()}


def encode(update: Update) -> bytes:
    """Safetensors bytes with the other fields as JSON header; equal updates give equal bytes.

    Raises: UpdateRejected: if a field can't be written: arrays that are not float32, a scalar that is not finite.
    """
    try:
        header = _Header(
            job_hash=update.job_hash,
            site=update.site,
            round=update.round,
            samples=index(update.samples),
            scalars={name: float(value) for name, value in sorted(update.scalars.items())},
        )
        return encode_arrays(update.arrays, header.model_dump_json())
    except ValidationError as error:
        raise _refused(error) from error
    except ValueError as error:
        raise UpdateRejected(str(error), _HINT) from error


def decode(content: bytes) -> Update:
    """The update that `encode` wrote. Nothing in `content` is executed, and its values are still to be checked.

    Raises: UpdateRejected: if the bytes are not an update.
    """
    try:
        header, arrays = decode_arrays(content)
    except DataError as error:
        raise UpdateRejected(error.message, _HINT) from error
    return _update(header, arrays)


def open_update(path: Path) -> Update:
    """A stored update whose arrays stay on disk until they are looked at, and are mapped one at a time.

    Raises: UpdateRejected: if the file is missing or not an update.
    """
    try:
        header, arrays = open_arrays(path)
    except DataError as error:
        raise UpdateRejected(error.message, _HINT) from error
    return _update(header, arrays)


def _update(header: str, arrays: Mapping[str, NDArray[np.float32]]) -> Update:
    try:
        fields = _Header.model_validate_json(header)
    except ValidationError as error:
        raise _refused(error) from error
    return Update(fields.job_hash, fields.site, fields.round, arrays, fields.samples, fields.scalars)


def _refused(error: ValidationError) -> UpdateRejected:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "header"
    return UpdateRejected(f"{key} = {first.get('input')!r:.80}: {first['msg']}", _HINT)
