"""People who do not exist: the same for the same seed, and every text that tells is listed."""

import numpy as np

from flame.records.patient import Patient
from flame.virtual.identity import make_identity

PATIENT = Patient("s1p001", age=61.0, sex="F")


def made(seed=5):
    return make_identity(np.random.default_rng(seed), PATIENT, 2)


def test_the_same_seed_makes_the_same_person():
    assert made() == made()
    assert made() != made(6)


def test_age_and_dates_fit_the_record():
    for seed in range(20):
        person = made(seed)
        assert person.day_zero.weekday() == 0
        assert person.on(-14) < person.day_zero < person.on(39)
        years = (person.day_zero - person.birth_date).days / 365.25
        assert 61 <= years < 62


def test_all_that_tells_is_listed():
    person = made()
    family, given = person.name.split("^")
    listed = {person.patient_id, person.other_id, person.address, person.telephone, person.name, family, given}
    assert listed <= set(person.planted)
    assert person.birth_date.strftime("%Y%m%d") in person.planted
    assert person.day_zero.isoformat() not in person.planted


def test_values_fit_their_kind_in_dicom():
    """LO holds 64 characters, SH 16, a component of a person's name 64 (PS3.5 6.2)."""
    person = made()
    assert len(person.patient_id) <= 64
    assert len(person.telephone) <= 16
    assert max(len(part) for part in person.name.split("^")) <= 64
