"""Named float32 arrays with a text header, as safetensors bytes or as a file that is read piece by piece.

Reading executes nothing. A stored file is opened as a mapping whose arrays are mapped into memory only while they are
looked at, so that three hundred stored updates need no more memory than three.
"""

import json
import math
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from flame.errors import DataError

__all__ = ["StoredArrays", "decode_arrays", "encode_arrays", "open_arrays"]

_KEY = "flame"  # one key only: safetensors writes several in no fixed order
_LENGTH = 8  # a safetensors file starts with the length of its JSON as 8 bytes, least significant first


def encode_arrays(arrays: Mapping[str, NDArray[np.float32]], header: str) -> bytes:
    """Safetensors bytes of `arrays` with `header` as metadata; equal input gives equal bytes.

    Raises: ValueError: if an array is not float32.
    """
    for name, array in arrays.items():
        if array.dtype != np.float32:
            raise ValueError(f"array {name!r} is {array.dtype}, not float32")
    whole = {name: np.require(arrays[name], requirements=["C"]) for name in sorted(arrays)}
    return save({name: array.reshape(arrays[name].shape) for name, array in whole.items()}, metadata={_KEY: header})


def decode_arrays(content: bytes) -> tuple[str, dict[str, NDArray[np.float32]]]:
    """Header and arrays of what `encode_arrays` made.

    Raises: DataError: if the bytes are not whole safetensors of float32 arrays with a header.
    """
    try:
        arrays = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _damaged("The bytes", str(error)) from error
    header, layout = _parse(content[: _LENGTH + int.from_bytes(content[:_LENGTH], "little")], "The bytes")
    return header, {name: arrays[name] for name in layout}


def open_arrays(path: Path) -> tuple[str, "StoredArrays"]:
    """Header and arrays of a file that holds what `encode_arrays` made.

    Raises: DataError: if the file is missing, cut off, or not safetensors of float32 arrays with a header.
    """
    try:
        with safe_open(path, framework="numpy"):
            pass
        with path.open("rb") as file:
            length = file.read(_LENGTH)
            head = length + file.read(int.from_bytes(length, "little"))
    except (SafetensorError, OSError) as error:
        raise _damaged(path.name, str(error)) from error
    header, layout = _parse(head, path.name)
    return header, StoredArrays(path, layout)


@dataclass(frozen=True)
class _Place:
    """Where an array lies in a file: its shape and its first byte."""

    shape: tuple[int, ...]
    offset: int


class StoredArrays(Mapping[str, NDArray[np.float32]]):
    """The arrays of a safetensors file; each look-up maps one array afresh, read-only, and keeps nothing."""

    def __init__(self, path: Path, layout: Mapping[str, _Place]) -> None:
        self._path = str(path)
        self._layout = layout

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        place = self._layout[name]
        count = math.prod(place.shape)
        if count == 0:
            return np.zeros(place.shape, np.float32)
        with open(self._path, "rb") as file:  # noqa: PTH123  called for every block of every site: a Path costs more
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(mapped, np.float32, count, place.offset).reshape(place.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layout)

    def __len__(self) -> int:
        return len(self._layout)


def _parse(head: bytes, what: str) -> tuple[str, dict[str, _Place]]:
    """Header text and layout out of a safetensors head that the library has accepted; arrays in name order."""
    fields = json.loads(head[_LENGTH:])
    metadata = fields.pop("__metadata__", {})
    if _KEY not in metadata:
        raise _damaged(what, f"no header {_KEY!r}")
    wrong = sorted(name for name, field in fields.items() if field["dtype"] != "F32")
    if wrong:
        raise _damaged(what, f"array {wrong[0]!r} is {fields[wrong[0]]['dtype']}, not F32")
    places = {
        name: _Place(tuple(fields[name]["shape"]), len(head) + fields[name]["data_offsets"][0])
        for name in sorted(fields)
    }
    return metadata[_KEY], places


def _damaged(what: str, reason: str) -> DataError:
    return DataError(f"{what} can't be read as named float32 arrays: {reason}", "Ask for it again or restore the file.")
