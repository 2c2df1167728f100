"""What a structure's name says that it shows, and names that are not used twice."""

import re
from collections.abc import Iterable

from flame.records.intake import Shows

__all__ = ["distinct", "shows"]

_WORDS: tuple[tuple[str, Shows], ...] = (
    (r"ctv|ptv|itv|ring|margin|prv|minus|without|avoid", "other"),
    (r"et|enh|enhancement|enhancing( (lesion|tumou?r))?|enhancing tumou?r core", "ET"),
    (r"netc|necr?|necrosis|necrotic( core)?|non ?enhancing( tumou?r)?( core)?|ncr", "NETC"),
    (r"snfh|o?edema|flair|surrounding (non ?enhancing )?flair hyperintensity", "SNFH"),
    (r"rc|(resection |surgical )?cavity|tumou?r bed", "RC"),
    (r"wt|whole ?tumou?r", "WT"),
    (r"gtv( ?[0-9a-z]{1,2})?( ?(t1|t1ce|mr|mri|ct))?|(gross )?tumou?r( core)?|tc|gross tumou?r volume", "GTV"),
    (r"brain|whole brain|brain mask", "brain"),
)
"""Patterns for a whole name, in lower case with blanks for signs; the first that fits counts."""


def shows(name: str) -> Shows:
    """What a structure or segment shows, by its name; `other` where the name does not say.

    A margin around the tumour (CTV, PTV) is `other`: no label map is made from it.
    """
    words = re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()
    if re.match(_WORDS[0][0], words) or re.search(rf"\b(?:{_WORDS[0][0]})", words):
        return "other"
    for pattern, what in _WORDS[1:]:
        if re.fullmatch(rf"(?:{pattern})(?: [0-9]+)?", words):
            return what
    return "other"


def distinct(names: Iterable[str]) -> list[str]:
    """The names in their order, a number added to those that were there before: `GTV`, `GTV 2`."""
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 1
        while candidate in taken:
            number += 1
            candidate = f"{name} {number}"
        taken.add(candidate)
        result.append(candidate)
    return result
