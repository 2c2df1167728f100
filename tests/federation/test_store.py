"""Named arrays survive bytes and disk; damaged or foreign bytes are refused."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.numpy import save

from flame.errors import DataError
from flame.federation.store import decode_arrays, encode_arrays, open_arrays

float32_arrays = arrays(np.float32, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(lambda n: n != "__metadata__")


def same(left, right):
    return all(left[n].shape == right[n].shape and left[n].tobytes() == right[n].tobytes() for n in left)


@given(st.dictionaries(names, float32_arrays, max_size=4), st.text(st.characters(exclude_categories=["Cs"])))
@settings(deadline=None, derandomize=True)
def test_bytes_and_file_give_the_same_arrays_back(tmp_path_factory, given_arrays, header):
    content = encode_arrays(given_arrays, header)
    path = tmp_path_factory.mktemp("store") / "arrays.safetensors"
    path.write_bytes(content)
    for found_header, found in (decode_arrays(content), open_arrays(path)):
        assert found_header == header
        assert list(found) == sorted(given_arrays)
        assert same(given_arrays, found)


def test_bytes_depend_neither_on_the_order_of_names_nor_on_the_layout_in_memory():
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(2, np.float32)
    columns = np.asfortranarray(a)
    assert columns.strides != a.strides
    assert encode_arrays({"a": a, "b": b}, "h") == encode_arrays({"b": b, "a": columns}, "h")


def test_only_float32_is_written():
    with pytest.raises(ValueError, match="'a' is float64"):
        encode_arrays({"a": np.zeros(2)}, "")


WHOLE = encode_arrays({"a": np.arange(4, dtype=np.float32)}, "h")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        WHOLE[:5],
        WHOLE[:30],
        WHOLE[:-1],
        WHOLE + b"\0",
        b"\xff" * 64,
        save({"a": np.zeros(4, np.float32)}),
        save({"a": np.zeros(4)}, metadata={"flame": "h"}),
        WHOLE.replace(b'"F32"', b'"F16"'),
        WHOLE.replace(b'"F32"', b'"XYZ"'),
        WHOLE.replace(b"[4]", b"[9]"),
        b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93.",
    ],
)
def test_anything_else_is_refused(tmp_path, content):
    path = tmp_path / "arrays.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match="can't be read as named float32 arrays"):
        decode_arrays(content)
    with pytest.raises(DataError, match="can't be read as named float32 arrays"):
        open_arrays(path)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.safetensors"):
        open_arrays(tmp_path / "nothing.safetensors")


def is_open(path):
    return any(os.path.realpath(one) == str(path.resolve()) for one in Path("/proc/self/fd").iterdir())


def test_opening_a_file_reads_no_array_and_keeps_no_file_open(tmp_path):
    path = tmp_path / "arrays.safetensors"
    path.write_bytes(encode_arrays({"a": np.zeros(2**20, np.float32)}, "h"))
    tracemalloc.start()
    _, stored = open_arrays(path)
    assert not is_open(path)
    total = float(stored["a"].sum())
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 0.0
    assert used < 2**18  # 4 MiB lie in the file
    assert not is_open(path)
    with path.open("rb"):
        assert is_open(path)  # it does look


def test_stored_arrays_are_read_only(tmp_path):
    (tmp_path / "arrays.safetensors").write_bytes(WHOLE)
    _, stored = open_arrays(tmp_path / "arrays.safetensors")
    with pytest.raises(ValueError, match="read-only"):
        stored["a"][0] = 1.0
