import copy
from itertools import pairwise

import pytest

from flame import errors
from flame.errors import DataError, FlameError

KINDS = [getattr(errors, name) for name in errors.__all__]


def test_every_kind_has_its_own_exit_code_and_none_is_that_of_success_or_misuse():
    codes = sorted(kind.exit_code for kind in KINDS)
    assert all(low < high for low, high in pairwise(codes))
    assert not {0, 2} & set(codes), "0 is success, and 2 is what shells and Typer use for misuse"


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_says_what_and_what_to_do(kind):
    error = kind("sub-1: age 'old' is not a number", "Write n/a.")
    assert isinstance(error, FlameError)
    assert str(error) == error.message == "sub-1: age 'old' is not a number"
    assert error.hint == "Write n/a."


def test_an_error_survives_the_way_between_processes():
    """Copying takes the same road as sending to another process: `__reduce_ex__`."""
    sent = copy.copy(DataError("what", "what to do"))
    assert type(sent) is DataError
    assert (sent.message, sent.hint) == ("what", "what to do")
