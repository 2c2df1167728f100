"""Every way in which an update can be wrong is refused by its name; a right one passes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flame.errors import UpdateRejected
from flame.federation.checks import MAX_SAMPLES, Expected, check, norm
from flame.federation.update import Update

EXPECTED = Expected("a" * 64, 3, ("site-1", "site-2"), {"w": (2,), "b": ()}, max_norm=5.0)
ARRAYS = {"w": np.array([3, 0], np.float32), "b": np.full((), 4, np.float32)}
UPDATE = Update("a" * 64, "site-1", 3, ARRAYS, 12, {"loss": 0.5})


def test_norm_is_that_of_all_arrays_together():
    assert norm(UPDATE) == 5.0  # 3-4-5


def test_norm_of_the_largest_values_does_not_overflow():
    largest = np.full(4, np.finfo(np.float32).max)
    assert norm(replace(UPDATE, arrays={"w": largest})) == 2 * float(largest[0])


def test_the_bound_itself_is_allowed():
    assert norm(UPDATE) == EXPECTED.max_norm
    check(UPDATE, EXPECTED, received={"site-2"})


def changed(**fields):
    return replace(UPDATE, **fields)


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        (changed(job_hash="b" * 64), "belongs to job bbbbbbbbbbbb, not aaaaaaaaaaaa"),
        (changed(round=2), "belongs to round 2, not 3"),
        (changed(site="site-9"), "site 'site-9' does not take part"),
        (changed(site="site-2"), "'site-2' has already sent"),
        (changed(arrays={"w": ARRAYS["w"]}), "names differ from the model's: 'b'"),
        (changed(arrays=ARRAYS | {"x": ARRAYS["b"]}), "names differ from the model's: 'x'"),
        (
            changed(arrays=ARRAYS | {"w": np.zeros((1, 2), np.float32)}),
            r"'w' is float32 \(1, 2\), expected float32 \(2,\)",
        ),
        (changed(arrays=ARRAYS | {"w": np.zeros(2)}), "'w' is float64"),
        (changed(arrays=ARRAYS | {"w": np.array([1, np.nan], np.float32)}), "'w' holds NaN or infinity"),
        (changed(arrays=ARRAYS | {"b": np.full((), -np.inf, np.float32)}), "'b' holds NaN or infinity"),
        (changed(arrays=ARRAYS | {"b": np.full((), 4.001, np.float32)}), "norm 5.0008 is above the bound 5"),
        (changed(samples=0), "samples = 0"),
        (changed(samples=MAX_SAMPLES + 1), "samples = 536870913"),
        (changed(samples=1.5), "samples = 1.5"),
        (changed(samples=True), "samples = True"),
        (changed(scalars={"loss": float("nan")}), "scalar 'loss' = nan"),
    ],
)
def test_wrong_updates_are_refused(update, reason):
    with pytest.raises(UpdateRejected, match=reason):
        check(update, EXPECTED, received={"site-2"})


@given(arrays(np.float32, 2), st.floats(0.01, 1e6))
@settings(deadline=None, derandomize=True)
def test_finite_updates_within_the_bound_pass_and_no_others(values, bound):
    update = changed(arrays={"w": values, "b": np.zeros((), np.float32)})
    allowed = np.isfinite(values).all() and np.sqrt(np.sum(values.astype(float) ** 2)) <= bound
    try:
        check(update, replace(EXPECTED, max_norm=bound))
    except UpdateRejected:
        assert not allowed
    else:
        assert allowed
