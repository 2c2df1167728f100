"""De-identification by DICOM PS3.15: the basic profile, on every level of nesting, with pseudonyms made from a key.

The result is a new data set into which only what may stay is put; nothing is taken out of the old one, so nothing can
be forgotten in it. Identifiers are keyed, so that images, structures, doses and plans still refer to each other; dates
of one patient are moved by one secret number of days, times of day stay. What is free text stays as far as every word
of it is on a list (`names.py`). Age stays up to 89, then it is 90; sex stays; weight, size and the date of birth go.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from io import BytesIO

import numpy as np
from pydicom.charset import default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from flame.dicom.identity import names, values
from flame.dicom.identity.pixels import packed
from flame.dicom.identity.pseudonym import Key
from flame.dicom.identity.quarantine import IMAGES, Quarantined, reason_to_refuse, text_of
from flame.dicom.identity.rules import Rule, rule, values_of
from flame.dicom.reading import MALFORMED, silence

__all__ = ["DEEPEST", "Quarantined", "deidentify"]

DEEPEST = 12
"""Levels of nesting; objects of today need six."""

_LARGEST_COUNT = 999_999  # an integer string with more digits is a date, a phone number or a patient's number
_VERSION = "FLAME 1"
_PROFILE = {
    "113100": "Basic Application Confidentiality Profile",
    "113105": "Clean Descriptors Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
}
_BINARY = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "UV": 8, "SV": 8, "FL": 4, "FD": 8, "AT": 4}  # bytes of a value
_DECIMALS = re.compile(rb"[0-9eE+\-. \\]*\0?")
_OWN_UID = re.compile(r"2\.25\.[0-9]{1,39}")
_UNNAMED = "structure"


@dataclass(frozen=True)
class _Pass:
    """One walk through one instance. `ours` if this key made it: then pseudonyms and dates stay as they are."""

    key: Key
    patient: str
    days: int
    ours: bool
    signed: bool
    implicit: bool

    def uid(self, original: str) -> str:
        bare = original.strip(" \0")
        if not bare or values.is_standard_uid(bare) or (self.ours and _OWN_UID.fullmatch(bare)):
            return bare
        return self.key.uid(bare)


def deidentify(dataset: Dataset, key: Key) -> Dataset:
    """A new, de-identified instance; the old one is left as it was.

    An instance that this key made already comes out as it is: its mark (PS3.3 C.7.1.1, DeidentificationMethod) is
    checked, its dates are not moved twice. Anything identified that was added to it since goes all the same.

    Args:
        dataset: one instance as it was read or made, with `file_meta` if its pixel data are compressed.
        key: the site's.

    Returns: explicit VR little endian, its pixel data unpacked; implicit VR where there are no pixels, for a contour
        may be longer than explicit VR has room for. `file_meta` is new.
    Raises: Quarantined: if it may not pass or is damaged; neither message nor cause holds a value of it.
    """
    reason = "damaged"
    try:
        with silence():
            refused = reason_to_refuse(dataset)
            if refused is None:
                return _deidentified(dataset, key)
            reason = refused
    except Quarantined as error:
        reason = error.reason
    except MALFORMED:
        pass  # the error would quote a value: the one that follows does not refer to it
    raise Quarantined(reason)


def _deidentified(dataset: Dataset, key: Key) -> Dataset:
    original = text_of(dataset, "PatientID")
    ours = _is_ours(dataset, key)
    with_pixels = text_of(dataset, "SOPClassUID") in IMAGES
    walk = _Pass(
        key=key,
        patient=original if ours else key.patient_id(original),
        days=0 if ours else key.days_offset(original),
        ours=ours,
        signed=text_of(dataset, "PixelRepresentation") == "1",
        implicit=not with_pixels,
    )
    clean = _cleaned(dataset, walk, 0)
    if not clean.get("PatientAge"):
        _compute_age(dataset, clean)
    for sequence, name in (
        ("StructureSetROISequence", "ROIName"),
        ("SegmentSequence", "SegmentLabel"),
        ("DoseReferenceSequence", "DoseReferenceDescription"),
    ):
        _number(clean.get(sequence, ()), name)
    _say_so(clean, key, walk.implicit)
    clean.file_meta = packed(dataset, clean, with_pixels)
    return clean


def _is_ours(dataset: Dataset, key: Key) -> bool:
    mark = key.mark(text_of(dataset, "PatientID"), text_of(dataset, "SOPInstanceUID"))
    return text_of(dataset, "DeidentificationMethod") == f"{_VERSION} {mark}"


def _cleaned(dataset: Dataset, walk: _Pass, depth: int) -> Dataset:
    if depth > DEEPEST:
        raise Quarantined("nested too deep")
    clean = Dataset()
    clean.set_original_encoding(walk.implicit, True, default_encoding)  # so that numbers are written as they are
    coded = False
    for tag in sorted(dataset.keys()):
        what = rule(tag)
        if what in ("remove", "pixels"):
            continue
        if what == "code":
            coded = True
            continue
        element = _element(dataset, tag, what, walk, depth)
        if element is not None:
            clean[tag] = element
    if coded:
        code = values.clean_code(text_of(dataset, "CodingSchemeDesignator"), text_of(dataset, "CodeValue"))
        clean.CodeValue, clean.CodingSchemeDesignator, clean.CodeMeaning = code
    return clean


def _element(dataset: Dataset, tag: int, what: Rule, walk: _Pass, depth: int) -> DataElement | RawDataElement | None:
    """What stays of one element; None if it can't be read, is of another kind than it should be, or may not stay."""
    kind = dictionary_VR(tag)
    if what == "empty":
        return DataElement(tag, kind, "")
    try:
        as_it_was = _numbers_as_they_were(dataset, tag, kind) if what == "number" else None
        if as_it_was is not None:
            return as_it_was
        element = dataset[tag]
    except MALFORMED:
        return None
    if what == "sequence":
        return _sequence(element, walk, depth)
    if what == "number":
        return _number_element(element, kind, walk)
    if kind != element.VR:
        return None
    found = element.value
    many = list(found) if isinstance(found, MultiValue | list | tuple) else [] if found in (None, "") else [found]
    if what == "count":
        return element if all(isinstance(one, int) and abs(one) <= _LARGEST_COUNT for one in many) else None
    kept = _TEXTS[what]([str(one) for one in many], walk)
    return None if kept is None else DataElement(tag, kind, kept[0] if len(kept) == 1 else kept or "")


def _sequence(element: DataElement, walk: _Pass, depth: int) -> DataElement | None:
    if not isinstance(element.value, Sequence):
        return None
    return DataElement(element.tag, "SQ", Sequence([_cleaned(item, walk, depth + 1) for item in element.value]))


def _numbers_as_they_were(dataset: Dataset, tag: int, kind: str) -> RawDataElement | None:
    """Numbers that nobody has converted yet, as bytes: contours have a hundred thousand, conversion takes seconds."""
    raw: object = dataset.get_item(tag)
    if not isinstance(raw, RawDataElement) or not raw.is_little_endian or not raw.value or len(raw.value) % 2:
        return None
    long = kind == "DS" and raw.VR == "UN"  # explicit VR has no room for more than 64 kB of DS: PS3.5, 6.2.2
    if (not long and (raw.VR or kind) != kind) or not (
        kind in _BINARY or (kind == "DS" and _DECIMALS.fullmatch(raw.value))
    ):
        return None
    many = len(raw.value) / _BINARY[kind] if kind in _BINARY else raw.value.count(b"\\") + 1
    if many != (values_of(tag) or int(many)):
        return None
    return raw._replace(VR=kind, length=len(raw.value), is_implicit_VR=False)


def _number_element(element: DataElement, kind: str, walk: _Pass) -> DataElement | None:
    found = element.value
    if kind == "US or SS":
        if isinstance(found, bytes):
            found = np.frombuffer(found[: len(found) // 2 * 2], "<i2" if walk.signed else "<u2").tolist()
        kind = "SS" if walk.signed else "US"
    elif kind != element.VR or kind not in {*_BINARY, "DS"}:
        return None
    many = list(found) if isinstance(found, MultiValue | list | tuple) else [] if found in (None, "") else [found]
    if not all(isinstance(one, int | float | Decimal) for one in many):
        return None
    if many and len(many) != (values_of(element.tag) or len(many)):
        return None  # bytes of something else that were taken for numbers
    return DataElement(element.tag, kind, many[0] if len(many) == 1 else many or None)


def _compute_age(dataset: Dataset, clean: Dataset) -> None:
    birth = text_of(dataset, "PatientBirthDate")
    days = [text_of(dataset, keyword) for keyword in ("StudyDate", "SeriesDate", "ContentDate", "AcquisitionDate")]
    age = next((age for age in (values.age_on(birth, day) for day in days) if age), None)
    if age:
        clean.PatientAge = age


def _number(items: Iterable[Dataset], keyword: str) -> None:
    """Tell apart what has the same name: `GTV`, `GTV 2`; `structure 1`, `structure 2` for those without one."""
    seen: Counter[str] = Counter()
    for item in items:
        if keyword in item:
            name = str(item[keyword].value)
            seen[name] += 1
            item[keyword].value = f"{name} {seen[name]}" if name == _UNNAMED or seen[name] > 1 else name


def _say_so(clean: Dataset, key: Key, implicit: bool) -> None:
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = f"{_VERSION} {key.mark(clean.PatientID, clean.SOPInstanceUID)}"
    clean.LongitudinalTemporalInformationModified = "MODIFIED"
    profile = _encoded_profile(implicit)
    clean[profile.tag] = profile


@lru_cache(maxsize=2)
def _encoded_profile(implicit: bool) -> RawDataElement:
    """The sequence of what was done, which is the same for all instances of one encoding, as its bytes."""
    said, file = Dataset(), DicomBytesIO()
    said.DeidentificationMethodCodeSequence = Sequence([_code(*one) for one in _PROFILE.items()])
    file.is_little_endian, file.is_implicit_VR = True, implicit
    write_dataset(file, said)
    (raw,) = read_dataset(BytesIO(file.getvalue()), implicit, True).values()
    assert isinstance(raw, RawDataElement)  # nobody has looked at it
    return raw._replace(VR="SQ")


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


_Text = Callable[[list[str], _Pass], list[str] | None]


def _each(clean: Callable[[str, _Pass], str | None]) -> _Text:
    """All values through `clean`, or none of them."""

    def apply(texts: list[str], walk: _Pass) -> list[str] | None:
        kept = [clean(text, walk) for text in texts]
        return None if None in kept else [one for one in kept if one is not None]

    return apply


def _joined(clean: Callable[[str], str]) -> _Text:
    """One text, of its values with blanks between them."""
    return lambda texts, _: [clean(" ".join(texts))]


def _contrast(text: str) -> str:
    denied = {"", "no", "none", "non", "sans", "ohne", "without", "n"}
    return "" if set(re.findall(r"\w+", text.casefold())) & denied or not text.strip(" \0-") else "contrast"


_TEXTS: dict[Rule, _Text] = {
    "uid": _each(lambda text, walk: walk.uid(text)),
    "date": _each(lambda text, walk: values.shift_date(text, walk.days)),
    "datetime": _each(lambda text, walk: values.shift_datetime(text, walk.days)),
    "time": _each(lambda text, _: values.clean_time(text)),
    "age": _each(lambda text, _: values.clean_age(text)),
    "term": lambda texts, _: values.clean_terms(texts),
    "patient": lambda _, walk: [walk.patient],
    "descriptor": _joined(names.descriptor),
    "structure": _joined(lambda text: names.structure(text) or _UNNAMED),
    "maker": _joined(names.maker),
    "model": _joined(names.model),
    "sequence name": _joined(names.sequence_name),
    "contrast": _joined(_contrast),
    "label": _joined(lambda _: "unnamed"),
    "stack": _joined(lambda text: text if re.fullmatch(r"[0-9]{1,3}", text) else "1"),
}
