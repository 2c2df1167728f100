"""When a round is over."""

import pytest

from flame.federation.job import Limits
from flame.federation.nvflare.waiting import Waiting

LIMITS = Limits(quorum=2, grace_s=10, deadline_s=100)


@pytest.mark.parametrize(
    ("seen", "over"),
    [
        ([(1, 0, 3)], False),  # nobody has answered
        ([(1, 3, 0)], True),  # all have
        ([(1, 0, 0)], True),  # all have, and none can be used: closing the round will say so
        ([(1, 1, 0, 1)], False),  # one more is needed, and one that is not connected may come
        ([(1, 0, 0, 1)], True),  # two more are needed
        ([(1, 0, 1, 0)], True),  # whoever is left can't make up a quorum
        ([(1, 2, 0, 1)], True),  # the quorum is there, and an absent site is not waited for
        ([(100, 1, 0, 1)], True),
        ([(1, 2, 1)], False),  # the quorum is there, the third gets its time
        ([(1, 2, 1), (10.9, 2, 1)], False),
        ([(1, 2, 1), (11, 2, 1)], True),  # counted from the quorum on, not from the beginning
        ([(50, 1, 2), (60, 1, 2), (99.9, 1, 2)], False),  # below the quorum only the deadline ends it
        ([(100, 1, 2)], True),
    ],
)
def test_a_round_is_over(seen: list[tuple[float, ...]], over: bool) -> None:
    waiting = Waiting(LIMITS, started=0.0)
    *earlier, last = seen
    assert not any(waiting.is_over(*one) for one in earlier)  # type: ignore[arg-type]
    assert waiting.is_over(*last) is over  # type: ignore[arg-type]


def test_the_clock_may_begin_anywhere() -> None:
    waiting = Waiting(LIMITS, started=1e6)
    assert not waiting.is_over(1e6 + 99, 0, 2)
    assert waiting.is_over(1e6 + 100, 0, 2)
