"""One patient under all arms: same person, same tumour, different treatment."""

import numpy as np
import pytest

from flame.records.patient import ARMS, LABELS
from flame.virtual.assignment import make_site
from flame.virtual.simulation import make_patient, patient_id, read_labels, simulate_arm

SPACING_MM = 5.0


@pytest.fixture(scope="module")
def patient():
    return make_patient(21, make_site(21, 0), "s1p004", SPACING_MM, confounding=0.0)


@pytest.fixture(scope="module")
def futures(patient):
    return {arm: simulate_arm(patient, arm) for arm in ARMS}


def test_ids_are_letters_and_digits():
    assert patient_id(0, 3) == "s1p004"
    assert patient_id(11, 0).isalnum()


def test_confounding_moves_the_arm_and_nothing_else(patient):
    """The same patient at a site that gives its own arm to all has the same tumour."""
    other = make_patient(21, make_site(21, 0), "s1p004", SPACING_MM, confounding=1.0)
    assert other.arm == "photon"
    assert other.person == patient.person
    assert np.array_equal(other.tumour.state.viable, patient.tumour.state.viable)
    assert np.array_equal(other.labels, patient.labels)


def test_arms_are_the_prescribed_courses(patient, futures):
    assert not patient.person.is_frail
    assert {arm: (f.prescription_gy, f.fractions) for arm, f in futures.items()} == {
        "photon": (60.0, 30),
        "proton": (60.0, 30),
        "carbon": (75.0, 33),
    }
    assert {arm: f.future.end_day for arm, f in futures.items()} == {"photon": 39, "proton": 39, "carbon": 44}
    assert [part.arm for part in futures["carbon"].plan.parts] == ["proton", "carbon"]


def test_boost_kills_more(futures):
    """Cells left 28 days after the course: fewer under the carbon boost than under photons."""
    left = {arm: float(f.future.states[0][1].viable.sum()) for arm, f in futures.items()}
    assert left["carbon"] < 0.9 * left["photon"]
    assert left["proton"] == pytest.approx(left["photon"], rel=0.35)


def test_reader_draws_the_same_map_twice(patient):
    again = read_labels(21, "s1p004", patient.seen, -14, SPACING_MM)
    assert np.array_equal(again, patient.labels)
    another_day = read_labels(21, "s1p004", patient.seen, 70, SPACING_MM)
    assert not np.array_equal(another_day, patient.labels)


def test_cavity_stays_where_it_was(patient, futures):
    cavity = patient.labels == LABELS["RC"]
    assert cavity.any() == (patient.person.resection != "biopsy")
    for _, seen in futures["photon"].seen:
        assert np.array_equal(seen.cavity, patient.tumour.cavity[seen.box])
        assert seen.cavity.sum() == cavity.sum()
