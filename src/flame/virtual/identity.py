"""Made-up people for a made-up hospital: names that nobody has, addresses that do not exist."""

from dataclasses import astuple, dataclass
from datetime import date, timedelta

import numpy as np

from flame.records.patient import Patient, Sex

__all__ = ["Identity", "make_identity"]

_FAMILY = ("Chimère", "Imaginaire", "Mirage", "Nullepart", "Utopie", "Fictive", "Inventée", "Songecreux", "Sansnom")
_GIVEN: dict[Sex, tuple[str, ...]] = {
    "F": ("Zéphyrine", "Philomène", "Ombeline", "Cunégonde", "Sidonie"),
    "M": ("Anthelme", "Barnabé", "Eusèbe", "Fulgence", "Théodule"),
}
_STREETS = ("rue des Chimères", "allée du Mirage", "impasse de l'Utopie", "quai de Nullepart")
_FIRST_MONDAY = date(2016, 1, 4)
_WEEKS = 312


@dataclass(frozen=True)
class Identity:
    """One person; every field but `sex` and `day_zero` tells who it is.

    `day_zero` is the Monday of the first fraction; all dates follow from it.
    """

    name: str
    patient_id: str
    other_id: str
    birth_date: date
    sex: Sex
    address: str
    telephone: str
    physician: str
    operator: str
    day_zero: date

    def on(self, day: int) -> date:
        """The calendar date of a day of the record."""
        return self.day_zero + timedelta(days=day)

    @property
    def planted(self) -> tuple[str, ...]:
        """Every text that may not be found where nobody may be recognised; names also by their parts."""
        texts = [value for value in astuple(self) if isinstance(value, str) and len(value) > 1]
        parts = [part for text in (self.name, self.physician, self.operator) for part in text.split("^")]
        known = {*texts, *parts, self.birth_date.strftime("%Y%m%d")}
        return tuple(sorted(text for text in known if len(text) > 3))


def make_identity(generator: np.random.Generator, patient: Patient, site_number: int) -> Identity:
    """A made-up person for a patient of the virtual trial.

    Args:
        site_number: from 1; keeps hospitals' patient numbers apart.
    """
    sex = patient.sex or "F"
    name = f"{_pick(generator, _FAMILY)}^{_pick(generator, _GIVEN[sex])}"
    number = int(generator.integers(100_000, 1_000_000))
    day_zero = _FIRST_MONDAY + timedelta(weeks=int(generator.integers(_WEEKS)))
    years = 60.0 if patient.age is None else patient.age
    birth = day_zero - timedelta(days=round(365.25 * years) + int(generator.integers(1, 360)))
    return Identity(
        name=name,
        patient_id=f"VH{site_number}{number}",
        other_id=f"{generator.integers(10**14, 10**15)}",
        birth_date=birth,
        sex=sex,
        address=f"{generator.integers(1, 300)} {_pick(generator, _STREETS)}, 00000 Nulleville",
        telephone=f"+33 0 {generator.integers(10**7, 10**8)}",
        physician=f"{_pick(generator, _FAMILY)}^{_pick(generator, _GIVEN['F'])}^^Dr",
        operator=f"{_pick(generator, _FAMILY)}^{_pick(generator, _GIVEN['M'])}",
        day_zero=day_zero,
    )


def _pick(generator: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(generator.integers(len(words)))]
