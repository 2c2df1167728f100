"""DICOM data sets of a made-up hospital: what all of them share, and their bytes. Everything follows from the seed."""

from dataclasses import dataclass
from datetime import date
from hashlib import sha256

from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from flame.virtual.identity import Identity
from flame.virtual.vendors import Department

__all__ = ["Chart", "Series", "Study", "begin", "code", "ds", "reference", "uid"]

_PRIVATE_GROUP = 0x0099
_PRIVATE_CREATOR = "VIRTUAL HOSPITAL"


@dataclass(frozen=True)
class Chart:
    """Whose data these are, where, and from which seed."""

    seed: int
    site: str
    trial_id: str
    identity: Identity
    department: Department

    def uid(self, *names: str | int) -> str:
        """The UID of something of this patient; `names` say what."""
        return uid(self.seed, self.site, self.trial_id, *names)


@dataclass(frozen=True)
class Study:
    """One visit: `day` of the record, `number` from 1."""

    uid: str
    number: int
    day: int
    description: str


@dataclass(frozen=True)
class Series:
    """One series; `minute` is when it began, counted from the beginning of the study."""

    uid: str
    number: int
    modality: str
    description: str
    minute: int = 0


def uid(seed: int, *names: str | int) -> str:
    """A UID below 2.25 that depends on its names alone."""
    text = "\n".join(map(str, (seed, *names)))
    return f"2.25.{int.from_bytes(sha256(text.encode()).digest()[:16])}"


def ds(*values: float) -> list[str]:
    """Numbers as decimal strings of at most 16 characters."""
    return [format_number_as_ds(float(value) + 0.0) for value in values]


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """An item of a code sequence."""
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = scheme
    item.CodeMeaning = meaning
    return item


def reference(sop_class: str, instance: str) -> Dataset:
    """An item that points at an instance."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = instance
    return item


def begin(chart: Chart, study: Study, series: Series, sop_class: str, instance: str) -> Dataset:
    """A new data set with all that patient, study, series, equipment and SOP say of themselves."""
    person, place = chart.identity, chart.department
    when = person.on(study.day)
    dataset = Dataset()
    dataset.SpecificCharacterSet = place.character_set
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = instance
    _describe_person(dataset, person, when)
    dataset.StudyInstanceUID = study.uid
    dataset.StudyID = str(study.number)
    dataset.StudyDescription = study.description
    dataset.AccessionNumber = f"{person.patient_id[2:]}{study.number:02d}"
    dataset.StudyDate = dataset.SeriesDate = when.strftime("%Y%m%d")
    dataset.StudyTime = _time(0)
    dataset.SeriesTime = _time(series.minute)
    dataset.ReferringPhysicianName = person.physician
    dataset.SeriesInstanceUID = series.uid
    dataset.SeriesNumber = series.number
    dataset.SeriesDescription = series.description
    dataset.Modality = series.modality
    dataset.OperatorsName = person.operator
    dataset.InstitutionName = place.institution
    dataset.InstitutionAddress = place.institution_address
    dataset.DeviceSerialNumber = f"SN{int(uid(chart.seed, chart.site, series.modality)[5:]) % 10**6:06d}"
    dataset.StationName = f"{chart.site.upper()}{series.modality}"
    dataset.Manufacturer = place.manufacturer
    dataset.ManufacturerModelName = place.model
    dataset.SoftwareVersions = "1.0"
    block = dataset.private_block(_PRIVATE_GROUP, _PRIVATE_CREATOR, create=True)
    block.add_new(0x01, "LO", f"{person.name} {person.patient_id}")
    return dataset


def _describe_person(dataset: Dataset, person: Identity, when: date) -> None:
    dataset.PatientName = person.name
    dataset.PatientID = person.patient_id
    other = Dataset()
    other.PatientID = person.other_id
    other.TypeOfPatientID = "TEXT"
    dataset.OtherPatientIDsSequence = [other]
    dataset.PatientBirthDate = person.birth_date.strftime("%Y%m%d")
    dataset.PatientSex = person.sex
    dataset.PatientAge = f"{(when - person.birth_date).days // 365:03d}Y"
    dataset.PatientAddress = person.address
    dataset.PatientTelephoneNumbers = person.telephone
    dataset.PatientComments = "Made up: nobody of this name exists"


def _time(minute: int) -> str:
    return f"{8 + minute // 60:02d}{minute % 60:02d}00"
