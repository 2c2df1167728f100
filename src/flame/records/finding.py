"""What a check finds: how bad, about whom, what, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Severity"]

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing found in a site's data.

    Attributes:
        severity: `error` stands in the way of learning from the patient or would mislead it; `warning` asks for a
            second look; `note` is for information.
        patient: the site's own id of the patient, or None if it is about the whole site.
        what: what was found and where, quoting the offending value.
        what_to_do: what the reader can do about it.
    """

    severity: Severity
    patient: str | None
    what: str
    what_to_do: str
