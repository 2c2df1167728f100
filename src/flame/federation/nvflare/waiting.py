"""When a round is over: all have answered, the quorum has and the others had time, or it can't be reached any more."""

from flame.federation.job import Limits

__all__ = ["Waiting"]


class Waiting:
    """Decides about one round from what is told to it.

    Args:
        limits: quorum, grace and deadline.
        started: when the round began [s, any monotonic clock].
    """

    def __init__(self, limits: Limits, started: float) -> None:
        self._limits, self._started = limits, started
        self._quorum_since: float | None = None

    def is_over(self, now: float, valid: int, awaited: int, absent: int = 0) -> bool:
        """Whether to wait no longer.

        Args:
            now: the same clock [s].
            valid: updates that may be aggregated.
            awaited: sites that were asked and have not answered.
            absent: sites that are not connected; they are waited for only where the quorum needs them.
        """
        if now - self._started >= self._limits.deadline_s:
            return True
        if valid < self._limits.quorum:
            return valid + awaited + absent < self._limits.quorum
        if awaited == 0:
            return True
        if self._quorum_since is None:
            self._quorum_since = now
        return now - self._quorum_since >= self._limits.grace_s
