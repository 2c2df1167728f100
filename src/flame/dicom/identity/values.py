"""One value of a DICOM element to what may stay of it; None where nothing may.

Each function gives its own output back unchanged (dates apart, which move whenever they are told to).
"""

import re
from datetime import date, timedelta
from functools import lru_cache

from pydicom.config import IGNORE
from pydicom.sr.codedict import Collection
from pydicom.uid import UID

from flame.dicom.identity.terms import TERMS

__all__ = [
    "OLDEST_YEARS",
    "age_on",
    "clean_age",
    "clean_code",
    "clean_term",
    "clean_terms",
    "clean_time",
    "is_standard_uid",
    "shift_date",
    "shift_datetime",
]

OLDEST_YEARS = 90
"""Everybody older than 89 is 90: so few reach that age that it would name them (as HIPAA's safe harbour has it)."""

_DATE = re.compile(r"([0-9]{4})[.-]?([0-9]{2})[.-]?([0-9]{2})")
_TIME = re.compile(r"[0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2}(?:\.[0-9]{1,6})?)?)?")
_DATETIME = re.compile(r"([0-9]{8})([0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:\.[0-9]{1,6})?)?)?)?(?:[+-][0-9]{4})?")
_AGE = re.compile(r"([0-9]{3})([DWMY])")
_SCHEMES = ("DCM", "SCT", "UCUM", "NCIt", "RADLEX", "FMA", "IBSI")
_UNKNOWN_CODE = ("unknown", "99FLAME", "unknown")


def is_standard_uid(uid: str) -> bool:
    """Whether a UID is registered in PS3.6: a class, a transfer syntax or a well-known object, and nobody's own.

    With a blank, a tab or the end of a line around it, it is not: those are lost before the name is looked up.
    """
    found = UID(uid, IGNORE)
    return str(found) == uid and found.name != uid


def shift_date(text: str, days: int) -> str | None:
    """A date (DA) moved by `days`, as YYYYMMDD."""
    found = _DATE.fullmatch(text.strip(" \0"))
    try:
        return (date(*map(int, found.groups())) + timedelta(days)).strftime("%Y%m%d").zfill(8) if found else None
    except (ValueError, OverflowError):
        return None


def shift_datetime(text: str, days: int) -> str | None:
    """A date with time (DT) moved by `days`; the time of day stays, the time zone goes."""
    found = _DATETIME.fullmatch(text.strip(" \0"))
    shifted = shift_date(found.group(1), days) if found else None
    return shifted + (found.group(2) or "") if found and shifted else None


def clean_time(text: str) -> str | None:
    """A time of day (TM) if it is one."""
    bare = text.strip(" \0")
    return bare.replace(":", "") if _TIME.fullmatch(bare) else None


def clean_age(text: str) -> str | None:
    """An age (AS) if it is one, at most `OLDEST_YEARS`."""
    found = _AGE.fullmatch(text.strip(" \0"))
    if not found:
        return None
    years = int(found.group(1)) if found.group(2) == "Y" else 0
    return f"{min(years, OLDEST_YEARS):03d}Y" if found.group(2) == "Y" else found.group(0)


def age_on(birth: str, day: str) -> str | None:
    """Age in whole years between two dates (DA), as AS; None if either is no date, or they are in the wrong order."""
    dates = [_DATE.fullmatch(text.strip(" \0")) for text in (birth, day)]
    if not dates[0] or not dates[1]:
        return None
    born, then = (tuple(map(int, found.groups())) for found in dates if found)
    years = then[0] - born[0] - (then[1:] < born[1:])
    return clean_age(f"{years:03d}Y") if 0 <= years < 150 else None


def clean_term(text: str) -> str | None:
    """A code string (CS) if the standard or a scanner's maker defines it."""
    bare = text.strip(" \0")
    return bare if bare.upper() in TERMS or not bare else None


def clean_terms(texts: list[str]) -> list[str] | None:
    """A code string of one value or several; places in `ImageType` count, so an unknown one there becomes `OTHER`."""
    kept = [clean_term(text) for text in texts]
    if len(kept) == 1:
        return None if kept[0] is None else [kept[0]]
    return ["OTHER" if one is None else one for one in kept]


def clean_code(scheme: str, value: str) -> tuple[str, str, str]:
    """Value, scheme and meaning of a code, the meaning from a dictionary; what is in none becomes `unknown`.

    The dictionaries are pydicom's: all codes that a context group of the standard names. A hospital's own codes are
    in none, nor is a number that only looks like a code.
    """
    scheme, value = scheme.strip(" \0"), value.strip(" \0")
    meaning = _dictionary(scheme).get(value) if scheme in _SCHEMES else None
    return _UNKNOWN_CODE if meaning is None else (value, scheme, meaning[:64])


@lru_cache
def _dictionary(scheme: str) -> dict[str, str]:
    return {code.value: code.meaning for code in Collection(scheme).concepts.values()}
