"""A hospital's folder full of identities, each of which is written down, to look for them afterwards in what was made.

The syllables and numbers are such that none comes about by chance. Dates could, as shifted dates or in the digits of
a new UID: so use a key that is always the same.
"""

import json
from collections.abc import Callable
from collections.abc import Sequence as Sequence_
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from tests.dicom.instances import KINDS, as_file, instance, item

__all__ = ["Planted", "plant", "traces"]

_ONSETS = ("qu", "zv", "kj", "vr", "xt", "gn", "pf", "wh", "ml", "dz")
_VOWELS = ("ao", "ie", "uu", "oe", "ya", "eu", "oi", "ua")
_CODAS = ("mbrick", "lgrund", "vsky", "thwen", "xley", "gfeld", "pczak", "nstroem", "rquist", "wvogt")
_PASSING = tuple(kind for kind in KINDS if kind not in ("report", "capture"))


@dataclass(frozen=True)
class Planted:
    """What was planted: text as it was written (dates as YYYYMMDD), and the hospital's UIDs.

    `passing` and `refused` are how many of the files are instances that may and may not pass; `others` are no DICOM.
    """

    strings: tuple[str, ...]
    uids: tuple[str, ...]
    passing: int
    refused: int
    others: int


def plant(folder: Path, generator: np.random.Generator) -> Planted:
    """Fill `folder` (made if need be) with three patients' instances of every kind, sidecars and odd files."""
    seeds = _Seeds(generator)
    uids: set[str] = set()
    passing = refused = 0
    for number in range(3):
        patient, name, birth = seeds.number(), seeds.person(), seeds.date(1931)
        study_date = seeds.date()
        inside = folder / f"{name} {seeds.number()}" / seeds.word()
        inside.mkdir(parents=True)
        for kind in KINDS:
            one = instance(kind, patient=patient)
            uids |= _uids(one)
            one.PatientName, one.PatientBirthDate, one.StudyDate = name, birth, study_date
            _plant_in(one, kind, seeds)
            content = as_file(one, "1.2.840.10008.1.2" if number % 2 else "1.2.840.10008.1.2.1")
            preamble = f"{seeds.person()} {seeds.number()}".encode().ljust(128)
            (inside / f"{seeds.person()}_{kind}.dcm").write_bytes(preamble + content[128:])
            passing, refused = passing + (kind in _PASSING), refused + (kind not in _PASSING)
        _odd_files(inside, seeds)
    return Planted(tuple(seeds.given), tuple(sorted(uids)), passing, refused, others=12)


def traces(haystack: bytes, strings: tuple[str, ...]) -> list[str]:
    """Those of `strings` that are in `haystack` in any form: encodings, letter cases, dates as people write them."""
    lower = haystack.lower()
    return [text for text in strings if any(form in lower for form in _forms(text))]


def _forms(text: str) -> set[bytes]:
    written = {text}
    if len(text) == 8 and text.isdigit():
        year, month, day = text[:4], text[4:6], text[6:]
        written |= {f"{year}-{month}-{day}", f"{day}.{month}.{year}", f"{day}/{month}/{year}"}
    encodings = ("utf-8", "utf-16-le", "utf-16-be", "latin-1", "shift_jis", "gb18030", "iso2022_jp")
    found = {one.encode(encoding, "ignore").lower() for one in written for encoding in encodings}
    found |= {json.dumps(one)[1:-1].encode().lower() for one in written}
    return {one for one in found if len(one) >= 4}


class _Seeds:
    """Makes up identities, no two alike, and remembers them."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator
        self.given: list[str] = []

    def _new(self, make: Callable[[], str]) -> str:
        made = next(one for one in iter(make, None) if one not in self.given)
        self.given.append(made)
        return made

    def _pick(self, among: Sequence_[str]) -> str:
        return among[int(self.generator.integers(len(among)))]

    def word(self) -> str:
        return self._new(lambda: "".join(map(self._pick, (_ONSETS, _VOWELS, _ONSETS, _CODAS))).capitalize())

    def person(self) -> str:
        return f"{self.word()}^{self.word()}"

    def place(self) -> str:
        return f"{self.word()}str. {self.generator.integers(1, 99)}"

    def number(self) -> str:
        return self._new(lambda: str(self.generator.integers(10**12, 10**13)))

    def phone(self) -> str:
        return self._new(lambda: f"0{self.generator.integers(10**12, 10**13)}")

    def date(self, year: int = 2024) -> str:
        return self._new(lambda: f"{date(year, 1, 1) + timedelta(int(self.generator.integers(365))):%Y%m%d}")

    def kanji(self) -> str:
        signs = "山田太郎鈴木佐藤高橋伊渡辺中村小林加吉本斎松井清水崎森池橋阿部石川前藤岡後近遠青坂福西三浦原竹内"
        return self._new(lambda: "".join(self._pick(signs) for _ in range(4)))


def _uids(dataset: Dataset) -> set[str]:
    """The hospital's own UIDs in an instance."""
    found = {str(element.value) for element in dataset.iterall() if element.VR == "UI"}
    return {one for one in found if one.startswith("1.3.12.2.")}


def _plant_in(one: Dataset, kind: str, seeds: _Seeds) -> None:
    one.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    one.OtherPatientNames = f"{seeds.person()}={seeds.kanji()}"
    one.PatientTelephoneNumbers, one.PatientAddress = seeds.phone(), seeds.place()
    one.InstitutionName, one.StationName, one.DeviceSerialNumber = seeds.word(), seeds.word(), seeds.number()
    one.AccessionNumber, one.StudyID, one.OperatorsName = seeds.number(), seeds.number(), seeds.person()
    one.SeriesDate, one.PerformedProcedureStepStartDate = seeds.date(), seeds.date(1952)
    one.AcquisitionDateTime = f"{one.SeriesDate}101112.123456+0100"
    one.SeriesDescription, one.ProtocolName = (
        f"t1 {seeds.word()} sag",
        f"{seeds.word()}_{one.PerformedProcedureStepStartDate}",
    )
    one.ManufacturerModelName, one.SoftwareVersions = f"MAGNETOM {seeds.word()}", seeds.number()
    one.BodyPartExamined, one.ImageComments = seeds.word().upper(), seeds.person()
    one.ImageType = ["DERIVED", "PRIMARY", seeds.word().upper()]
    one.SequenceName, one.ContrastBolusAgent = seeds.word(), seeds.word()
    one.PatientAge = "093Y"
    _private(one, seeds)
    one.add(DataElement(0x00080054, "UN", seeds.word().encode()))
    one.add(DataElement(0x00181008, "UN", seeds.number().encode()))
    one.add_new(0x60000010, "US", 4)
    one.add_new(0x60000102, "US", 0)
    one.add_new(0x60003000, "OW", seeds.word().encode().ljust(40))
    one.add_new(0x60000022, "LO", seeds.word())
    one.add_new(0xFFFCFFFC, "OB", seeds.word().encode().ljust(40))
    one.ReferencedImageSequence = Sequence([_nested(seeds)])
    one.RequestAttributesSequence = Sequence([item(RequestedProcedureID=seeds.number())])
    if "StructureSetROISequence" in one:
        one.StructureSetROISequence[2].ROIName = seeds.word()
        one.StructureSetROISequence[0].ROIName = f"GTV {seeds.word()} {seeds.date(1953)}"
        one.StructureSetROISequence[0].ROIDescription = seeds.person()
        _private(one.ROIContourSequence[0].ContourSequence[0], seeds)
    if "PixelData" in one:
        hidden = seeds.word().encode().ljust(16)
        one.PixelData = hidden.ljust(len(one.PixelData)) if kind == "capture" else one.PixelData + hidden
    one.file_meta.PrivateInformationCreatorUID, one.file_meta.PrivateInformation = (
        "1.2.3",
        seeds.person().encode() + b" " * 2,
    )
    one.file_meta.SourceApplicationEntityTitle = seeds.word()[:16]
    one.file_meta.ImplementationVersionName = seeds.word()[:16]


def _private(one: Dataset, seeds: _Seeds) -> None:
    block = one.private_block(0x0029, f"{seeds.word()} HEADER", create=True)
    block.add_new(0x10, "LO", seeds.person())
    block.add_new(0x11, "OB", seeds.number().encode() + b" ")
    block.add_new(0x12, "SQ", Sequence([item(PatientName=seeds.person())]))


def _nested(seeds: _Seeds) -> Dataset:
    """Three levels, the outer two of which stay after de-identification."""
    third = item(
        CodeValue=seeds.number(), CodingSchemeDesignator="SCT", CodeMeaning=seeds.word(), PatientName=seeds.person()
    )
    _private(third, seeds)
    third.ContextIdentifier = seeds.word().upper()
    second = item(CodeValue="121311", CodingSchemeDesignator="DCM", CodeMeaning=seeds.word())
    second.EquivalentCodeSequence = Sequence([third])
    first = item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.4", ReferencedSOPInstanceUID=f"1.2.3.{seeds.number()}")
    first.PurposeOfReferenceCodeSequence = Sequence([second])
    first.InstitutionName = seeds.word()
    return first


def _odd_files(folder: Path, seeds: _Seeds) -> None:
    sidecar = {"PatientName": seeds.person(), "PatientID": seeds.number(), "AcquisitionDateTime": seeds.date(1954)}
    (folder / f"{seeds.word()}.json").write_text(json.dumps(sidecar), encoding="utf-8")
    (folder / f"{seeds.word()}.txt").write_text(f"{seeds.person()}, {seeds.place()}, {seeds.phone()}", encoding="utf-8")
    (folder / "DICOMDIR").write_bytes(f"{seeds.word()} {seeds.number()}".encode("utf-16"))
    (folder / f"{seeds.word()}.nii.gz").write_bytes(b"\x1f\x8b" + seeds.word().encode())
