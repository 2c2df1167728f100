"""An estimate with its interval, and how numbers are written in the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["MISSING", "Estimate", "Verdict", "bytes_text", "number", "signed"]

MISSING = "not enough patients"

Verdict = Literal["better", "worse", "undecided", "unknown"]


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval; None where it could not be estimated."""

    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, raw: Mapping[str, Any] | None, patients: int | None = None) -> "Estimate":
        """From `{"estimate", "low", "high"}` of `comparison.json`; None and absent keys give an unknown estimate.

        Args:
            raw: the JSON object.
            patients: how many it rests on, if known; one patient has no interval, whatever resampling says.
        """
        content = raw or {}
        value = content.get("estimate")
        if patients is not None and patients < 2:
            return cls(value, None, None)
        return cls(value, content.get("low"), content.get("high"))

    @property
    def known(self) -> bool:
        """Whether there is a value at all."""
        return self.value is not None

    @property
    def verdict(self) -> Verdict:
        """What a difference (more is better) says: decided only when the interval lies on one side of zero."""
        if self.value is None or self.low is None or self.high is None:
            return "unknown"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "undecided"

    def text(self, digits: int = 2, missing: str = MISSING) -> str:
        """As in `0.71 (0.62–0.79)`; negative bounds are joined by "to"."""
        if self.value is None:
            return missing
        if self.low is None or self.high is None:
            return f"{number(self.value, digits)} (no interval)"
        low, high = number(self.low, digits), number(self.high, digits)
        joint = " to " if self.low < 0 else "–"
        return f"{number(self.value, digits)} ({low}{joint}{high})"

    def difference_text(self, digits: int = 3, missing: str = MISSING) -> str:
        """As in `+0.031 (−0.010 to +0.072)`."""
        if self.value is None:
            return missing
        if self.low is None or self.high is None:
            return f"{signed(self.value, digits)} (no interval)"
        return f"{self.signed_value(digits)} ({self.signed_interval(digits)})"

    def signed_value(self, digits: int = 3) -> str:
        """The value alone, as `difference_text` writes it."""
        return MISSING if self.value is None else signed(self.value, self._digits(digits))

    def signed_interval(self, digits: int = 3) -> str:
        """The interval alone, as `difference_text` writes it."""
        if self.low is None or self.high is None:
            return "no interval"
        digits = self._digits(digits)
        return f"{signed(self.low, digits)} to {signed(self.high, digits)}"

    def _digits(self, digits: int) -> int:
        """As many digits as it takes that a bound beyond zero does not look like zero; six at most."""
        if self.low is not None and self.high is not None and (self.low > 0 or self.high < 0):
            nearest = min(abs(self.low), abs(self.high))
            while digits < 6 and float(f"{nearest:.{digits}f}") == 0:
                digits += 1
        return digits


def number(value: float, digits: int = 2) -> str:
    """A number with a real minus sign; never a negative zero."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def signed(value: float, digits: int = 3) -> str:
    """A number that always shows its sign, except zero."""
    text = number(value, digits)
    return text if text.startswith("−") or float(text) == 0 else f"+{text}"


def bytes_text(count: float) -> str:
    """A number of bytes in the largest unit that keeps it above one: `1.4 MB` (1 MB = 1,000,000 bytes)."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"
