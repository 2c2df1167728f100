"""Numbers that can be summed while they are hidden: fixed point in a ring, and keystreams that cancel in the sum.

A site turns its update into integers modulo 2**56 and adds keystreams to them (`add_stream`). Who lacks one of the
keys sees uniform integers; the sum over all sites, in which the keystreams cancel, is exact and depends on no order.
Computing is done on uint64, whose arithmetic modulo 2**64 reduces to that modulo 2**56; 7 bytes a value are sent.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from flame.errors import ConfigError, DataError, UpdateRejected
from flame.federation.checks import MAX_SAMPLES
from flame.federation.store import decode_arrays, encode_arrays, open_arrays
from flame.federation.update import SITE_NAME
from flame.settings import Settings

__all__ = [
    "MAX_SITES",
    "MAX_TOTAL_SAMPLES",
    "RING_BITS",
    "FixedPoint",
    "MaskedUpdate",
    "add_stream",
    "decode_masked",
    "encode_masked",
    "open_masked",
    "reduced",
    "signed",
]

RING_BITS = 56
MAX_SITES = 300
MAX_TOTAL_SAMPLES = 2**33  # of all sites together; keeps the error within 5e-7 of the norm bound
_WIRE_BYTES = RING_BITS // 8
_MASK = np.uint64(2**RING_BITS - 1)
_BLOCK = 2**15  # values that meet a keystream at a time: 256 KiB, small enough for the processor's cache
_NORMS = (2.0**-100, 2.0**100)  # float32 reaches from 2**-149 to 2**128; within these no scale leaves float64
_HINT = "The round goes on without this update; compare FLAME's version at the site."


@dataclass(frozen=True)
class FixedPoint:
    """How values times samples become integers of the ring, such that no sum of a round can overflow.

    No value of an update exceeds its norm, so a sum of `sites` values times samples is at most
    S = sites * max_samples * max_norm. The scale is the power of two 2**exponent with 2**53 <= S * 2**exponent < 2**54.
    Integers from -2**55 to 2**55 - 1 can be told apart in the ring, so rounding (half a unit a site) and a factor of
    nearly two are left over. A float32 times `samples` <= 2**29 times a power of two is exact in float64, so rounding
    to a whole number is the only error: half a unit a site, and after division by the samples of all, at least one a
    site, `error` = 2**-(exponent + 1) in a mean. That is at most sites * max_samples * 2**-54 of `max_norm`: 5e-7
    at the limit `MAX_TOTAL_SAMPLES`, 1.1e-9 for 300 sites with 65,536 samples, 2e-11 for 5 sites. A ring of 2**32
    would give 0.02 for 300 sites; one of 2**64 would send 8 bytes a value, twice those of float32, and
    with keys and shares more than that, for digits that float32 has no room for.

    Args:
        sites: most summands, 1 to `MAX_SITES`.
        max_samples: largest weight of a site, 1 to `checks.MAX_SAMPLES`; sites * max_samples <= `MAX_TOTAL_SAMPLES`.
        max_norm: largest Euclidean norm of an update, 2**-100 to 2**100.

    Raises: ConfigError: if one of them is out of its range.
    """

    sites: int
    max_samples: int
    max_norm: float

    def __post_init__(self) -> None:
        if not 1 <= self.sites <= MAX_SITES:
            raise _limits(f"{self.sites} sites, expected 1 to {MAX_SITES}")
        most = min(MAX_SAMPLES, MAX_TOTAL_SAMPLES // self.sites)
        if not 1 <= self.max_samples <= most:
            raise _limits(f"max_samples = {self.max_samples}, expected 1 to {most} for {self.sites} sites")
        if not _NORMS[0] <= self.max_norm <= _NORMS[1]:
            raise _limits(f"max_update_norm = {self.max_norm}, expected {_NORMS[0]:.3g} to {_NORMS[1]:.3g}")

    @property
    def exponent(self) -> int:
        """The scale's power of two."""
        return RING_BITS - 2 - math.frexp(self.sites * self.max_samples * self.max_norm)[1]

    @property
    def error(self) -> float:
        """Largest difference of a decoded mean from the exact one, before it is rounded to float32."""
        return math.ldexp(0.5, -self.exponent)

    def encode(self, values: NDArray[np.float32], samples: int) -> NDArray[np.uint64]:
        """`values` times `samples` as integers of the ring, modulo 2**64, one-dimensional in C order.

        Raises: ValueError: if `samples` or any value is out of bounds or not finite; no value is quoted.
        """
        if not 1 <= samples <= self.max_samples:
            raise ValueError(f"samples = {samples}, expected 1 to {self.max_samples}")
        flat = np.ravel(values)
        scale = math.ldexp(samples, self.exponent)
        whole = np.empty(flat.size, np.int64)
        for start in range(0, flat.size, _BLOCK):
            block = flat[start : start + _BLOCK].astype(np.float64)
            if not np.max(np.abs(block)) <= self.max_norm:
                raise ValueError("a value is beyond the norm bound or not finite")
            whole[start : start + _BLOCK] = np.rint(block * scale)
        return whole.view(np.uint64)

    def decode(self, sums: NDArray[np.uint64], samples: int) -> NDArray[np.float32]:
        """The mean that `sums` of encoded values stand for, given the samples of all sites together, >= 1."""
        return (signed(sums) / math.ldexp(samples, self.exponent)).astype(np.float32)


def reduced(values: NDArray[np.uint64], out: NDArray[np.uint64] | None = None) -> NDArray[np.uint64]:
    """`values` modulo 2**56: what leaves a site; written into `out` if there is one."""
    return np.bitwise_and(values, _MASK, out=out)


def signed(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The integers from -2**55 to 2**55 - 1 that are `values` modulo 2**56."""
    above = np.uint64(64 - RING_BITS)
    return (values << above).view(np.int64) >> np.int64(above)


def add_stream(targets: Iterable[NDArray[np.uint64]], key: bytes, *, negative: bool = False) -> None:
    """Add one ChaCha20 keystream (RFC 8439), or take it away, running through all targets in their order, in place.

    Args:
        targets: one-dimensional, contiguous, together fewer than 2**35 values (the cipher's counter of 256 GiB).
        key: 32 bytes that serve this one stream: the nonce is zero.
        negative: take the stream away.
    """
    cipher = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
    zeros = memoryview(bytes(8 * _BLOCK))
    stream = bytearray(8 * _BLOCK)
    change = np.subtract if negative else np.add
    for target in targets:
        for start in range(0, target.size, _BLOCK):
            part = target[start : start + _BLOCK]
            cipher.update_into(zeros[: 8 * part.size], stream)
            change(part, np.frombuffer(stream, "<u8", part.size), out=part)


@dataclass(frozen=True)
class MaskedUpdate:
    """What a site sends in place of an update. Without its masks, samples and arrays are uniform integers.

    Args:
        job_hash: of the job that it belongs to, 64 hexadecimal digits.
        round: the round that it belongs to, from 0.
        site: name of the sender.
        roster: digest of the round's keys, 64 hexadecimal digits; it says whose masks are in it.
        samples: number of samples, masked, 0 to 2**56 - 1.
        arrays: name -> values times samples, masked, uint64 below 2**56, one-dimensional in C order.
    """

    job_hash: str
    round: int
    site: str
    roster: str
    samples: int
    arrays: Mapping[str, NDArray[np.uint64]]


class _Header(Settings):
    """Everything in a masked update but its arrays."""

    format: Annotated[str, Field(pattern=r"^flame-masked-update/1$")] = "flame-masked-update/1"
    job_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    round: int = Field(ge=0)
    site: str = Field(pattern=SITE_NAME)
    roster: str = Field(pattern=r"^[0-9a-f]{64}$")
    samples: int = Field(ge=0, lt=2**RING_BITS)


def encode_masked(masked: MaskedUpdate) -> bytes:
    """Safetensors bytes with the other fields as JSON header: 7 bytes a value; equal input gives equal bytes."""
    header = _Header(
        job_hash=masked.job_hash,
        round=masked.round,
        site=masked.site,
        roster=masked.roster,
        samples=masked.samples,
    )
    packed = {name: _packed(array) for name, array in masked.arrays.items()}
    return encode_arrays(packed, header.model_dump_json())


def decode_masked(content: bytes) -> MaskedUpdate:
    """The masked update that `encode_masked` wrote; `privacy.check_masked` says whether it fits the round.

    Raises: UpdateRejected: if the bytes are not a masked update.
    """
    try:
        return _masked(*decode_arrays(content))
    except DataError as error:
        raise UpdateRejected(error.message, _HINT) from error


def open_masked(path: Path) -> MaskedUpdate:
    """A stored masked update whose arrays stay on disk until they are looked at, one at a time.

    Raises: UpdateRejected: if the file is missing or not a masked update.
    """
    try:
        return _masked(*open_arrays(path))
    except DataError as error:
        raise UpdateRejected(error.message, _HINT) from error


def _masked(header: str, packed: Mapping[str, NDArray[np.float32]]) -> MaskedUpdate:
    try:
        fields = _Header.model_validate_json(header)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "header"
        raise UpdateRejected(f"masked update: {key}: {first['msg']}", _HINT) from error
    return MaskedUpdate(fields.job_hash, fields.round, fields.site, fields.roster, fields.samples, _Unpacked(packed))


class _Unpacked(Mapping[str, NDArray[np.uint64]]):
    """Packed arrays that are unpacked when they are looked at."""

    def __init__(self, packed: Mapping[str, NDArray[np.float32]]) -> None:
        self._packed = packed

    def __getitem__(self, name: str) -> NDArray[np.uint64]:
        octets = np.ravel(self._packed[name]).view(np.uint8)
        count = octets.size // _WIRE_BYTES  # at most 3 octets of padding: fewer than a value has
        values = np.zeros((count, 8), np.uint8)
        values[:, :_WIRE_BYTES] = octets[: count * _WIRE_BYTES].reshape(count, _WIRE_BYTES)
        return values.reshape(-1).view("<u8").astype(np.uint64, copy=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


def _packed(values: NDArray[np.uint64]) -> NDArray[np.float32]:
    """The 7 lower bytes of each value one after the other, looked at as float32, which is what is stored and mapped."""
    size = _WIRE_BYTES * values.size
    padded = np.zeros(-(-size // 4) * 4, np.uint8)
    octets = np.ascontiguousarray(values, "<u8").view(np.uint8).reshape(-1, 8)
    padded[:size].reshape(-1, _WIRE_BYTES)[:] = octets[:, :_WIRE_BYTES]
    return padded.view(np.float32)


def _limits(what: str) -> ConfigError:
    return ConfigError(f"Secure aggregation can't sum without overflow or loss: {what}", "Change the job's limits.")
