"""What names of structures say."""

import pytest

from flame.dicom.identity.names import STRUCTURES
from flame.dicom.therapy.outline_names import distinct, shows


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("GTV", "GTV"),
        ("GTV 2", "GTV"),
        ("GTV_T1", "GTV"),
        ("Tumour", "GTV"),
        ("Enhancing tumor", "ET"),
        ("Enhancement", "ET"),
        ("ET", "ET"),
        ("NETC", "NETC"),
        ("Necrosis", "NETC"),
        ("non-enhancing tumour core", "NETC"),
        ("Edema", "SNFH"),
        ("oedema", "SNFH"),
        ("Cavity", "RC"),
        ("resection cavity", "RC"),
        ("whole tumour", "WT"),
        ("Brain", "brain"),
        ("Brainstem", "other"),
        ("CTV", "other"),
        ("PTV 2", "other"),
        ("GTV PRV", "other"),
        ("Brain minus PTV", "other"),
        ("structure 1", "other"),
        ("", "other"),
    ],
)
def test_names_say_what_a_structure_shows(name, what):
    assert shows(name) == what


def test_of_all_names_that_survive_only_tumour_and_brain_are_more_than_other():
    assert {name for name in STRUCTURES if shows(name) != "other"} >= {"GTV", "Tumour", "Brain", "Edema", "Necrosis"}
    assert {shows(name) for name in STRUCTURES if name.startswith(("Brains", "CTV", "PTV", "ITV", "Optic", "Eye"))} == {
        "other"
    }


def test_names_that_come_twice_get_a_number_that_is_free():
    assert distinct(["GTV", "GTV", "GTV 2", "PTV"]) == ["GTV", "GTV 2", "GTV 2 2", "PTV"]
