"""An update survives the way to the coordinator, and bytes that are none are refused by what is wrong with them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flame.errors import UpdateRejected
from flame.federation.store import encode_arrays
from flame.federation.update import Update, decode, difference, encode, open_update

JOB_HASH = "0123456789abcdef" * 4
UPDATE = Update(JOB_HASH, "site-1", 3, {"w": np.arange(4, dtype=np.float32)}, 12, {"loss": 0.5, "dice": 0.75})


@given(
    values=arrays(np.float32, (2, 3)),
    scalars=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True), st.floats(allow_nan=False, allow_infinity=False)
    ),
    samples=st.integers(-(2**40), 2**40),
)
@settings(deadline=None, derandomize=True)
def test_bytes_give_the_same_update_back(values, scalars, samples):
    update = replace(UPDATE, arrays={"w": values}, scalars=scalars, samples=samples)
    found = decode(encode(update))
    assert found.arrays["w"].tobytes() == values.tobytes()
    assert replace(found, arrays={}) == replace(update, arrays={})
    assert encode(found) == encode(update)


def test_stored_update_is_the_one_that_was_sent(tmp_path):
    path = tmp_path / "site-1.safetensors"
    path.write_bytes(encode(UPDATE))
    assert encode(open_update(path)) == encode(UPDATE)


def test_numpy_numbers_are_written_as_plain_ones():
    mixed = replace(UPDATE, samples=np.int64(12), scalars={"dice": np.float32(0.75), "loss": np.float64(0.5)})
    assert encode(mixed) == encode(UPDATE)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"arrays": {"w": np.zeros(4)}}, "array 'w' is float64"),
        ({"scalars": {"loss": float("nan")}}, "scalars.loss = nan"),
        ({"scalars": {"loss": float("-inf")}}, "scalars.loss = -inf"),
        ({"site": "../site-1"}, "site = '../site-1'"),
        ({"job_hash": "none"}, "job_hash = 'none'"),
        ({"round": -1}, "round = -1"),
    ],
)
def test_what_no_update_can_hold_is_not_written(change, reason):
    with pytest.raises(UpdateRejected, match=reason):
        encode(replace(UPDATE, **change))


HEADER = {"job_hash": JOB_HASH, "site": "site-1", "round": 3, "samples": 12, "scalars": {}}


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "Invalid JSON"),
        ("[" * 10_000, "Invalid JSON"),
        (json.dumps(HEADER | {"round": "3"}), "round = '3'"),
        (json.dumps(HEADER | {"samples": 1.5}), "samples = 1.5"),
        (json.dumps(HEADER | {"samples": True}), "samples = True"),
        (json.dumps(HEADER | {"scalars": {"loss": float("nan")}}), "scalars.loss = nan"),
        (json.dumps(HEADER | {"scalars": {"loss": 1}}).replace("1}", "1e999}"), "scalars.loss = inf"),
        (json.dumps(HEADER | {"format": "flame-update/2"}), "format = 'flame-update/2'"),
        (json.dumps(HEADER | {"call": "os.system"}), "call = 'os.system'"),
        (json.dumps({"job_hash": JOB_HASH}), "Field required"),
    ],
)
def test_malformed_headers_are_refused(header, reason):
    with pytest.raises(UpdateRejected, match=reason):
        decode(encode_arrays(UPDATE.arrays, header))


@given(st.binary(max_size=200))
@settings(deadline=None, derandomize=True)
def test_noise_is_refused(content):
    with pytest.raises(UpdateRejected):
        decode(content)


@given(st.data())
@settings(deadline=None, derandomize=True)
def test_a_flipped_byte_is_refused_or_changes_values_only(data):
    """Whatever byte is damaged, the only ways out are an update and `UpdateRejected`."""
    content = bytearray(encode(UPDATE))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        found = decode(bytes(content))
    except UpdateRejected:
        return
    assert {name: array.dtype for name, array in found.arrays.items()}.popitem()[1] == np.float32


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(UpdateRejected, match=r"nothing\.safetensors"):
        open_update(tmp_path / "nothing.safetensors")


def test_difference_is_what_training_changed():
    before = {"w": np.array([1, 2], np.float32), "b": np.float32(1) * np.ones((), np.float32)}
    after = {"b": np.full((), 4, np.float32), "w": np.array([1.5, 0], np.float32)}
    changed = difference(after, before)
    assert list(changed) == ["w", "b"]
    np.testing.assert_array_equal(changed["w"], [0.5, -2])
    assert changed["b"].shape == ()
    assert changed["b"] == 3


def test_difference_keeps_what_is_not_finite_for_the_check():
    huge = np.full(1, 3e38, np.float32)
    assert np.isinf(difference({"w": huge}, {"w": -huge})["w"])
    assert np.isnan(difference({"w": np.full(1, np.inf, np.float32)}, {"w": np.full(1, np.inf, np.float32)})["w"])


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({}, "array names differ: 'w'"),
        ({"w": np.zeros(4, np.float32), "x": np.zeros(1, np.float32)}, "array names differ: 'x'"),
        ({"w": np.zeros((2, 2), np.float32)}, r"'w' is float32 \(2, 2\), expected float32 \(4,\)"),
        ({"w": np.zeros(4)}, "'w' is float64"),
    ],
)
def test_a_model_of_another_form_has_no_difference(result, reason):
    with pytest.raises(UpdateRejected, match=reason):
        difference(result, {"w": np.zeros(4, np.float32)})


@pytest.mark.parametrize("name", ["[/x]", "", "Loss", "\x1b[2J", "a" * 33])
def test_names_of_scalars_are_plain_words(name):
    with pytest.raises(UpdateRejected, match="scalars"):
        encode(replace(UPDATE, scalars={name: 0.5}))
