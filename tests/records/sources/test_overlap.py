"""Who is in several sets: by names, and by what is known of the sets."""

import pytest

from flame.records.patient import Patient
from flame.records.sources.overlap import overlaps, public_name, public_names


def person(identity, *names):
    return Patient(id=identity, also_known_as=names)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("BraTS-GLI-00005-101", ["brats-gli/00005"]),
        ("PatientID_0007_Timepoint_3", ["mu-glioma-post/0007"]),
        ("UCSD-PTGBM-0176_02", ["ucsd-ptgbm/0176"]),
        ("UCSF-PDGM-0004 and UPENN-GBM-00042_11", ["ucsf-pdgm/4", "upenn/00042"]),
        ("TCGA-02-0001", ["tcga/TCGA-02-0001"]),
        ("Oligodendroglioma", []),
    ],
)
def test_names_in_a_text_without_visits(text, names):
    assert list(public_names(text)) == names


def test_one_person_at_two_sites_is_an_error():
    found = overlaps(
        {
            "A": [person("A1", "brats-gli/00005", "ucsf-alptdg/100225"), person("A2", "brats-gli/00006")],
            "B": [person("B1", "ucsf-alptdg/100225")],
        }
    )
    assert [(one.severity, one.patient, one.what) for one in found] == [
        ("error", "B1", "patient B1 of B is patient A1 of A")
    ]


def test_one_person_twice_at_one_site_is_an_error_too():
    (found,) = overlaps({"A": [person("A1", "upenn/00001"), person("A2", "upenn/00001")]})
    assert found.what == "patient A2 of A is patient A1 of A"


def test_sets_that_share_people_without_saying_whom_are_a_warning():
    found = overlaps(
        {
            "A": [person("A1", public_name("brats-gli", "00005"))],
            "B": [person("B1", public_name("mu-glioma-post", "0001"))],
            "C": [person("C1", public_name("cfb-gbm", "1"))],
        }
    )
    (warning,) = found
    assert (warning.severity, warning.patient) == ("warning", None)
    assert "A and B come from brats-gli and mu-glioma-post" in warning.what


def test_names_of_both_sets_end_the_warning():
    known = person("A1", "brats-gli/00005", "mu-glioma-post/0009")
    assert overlaps({"A": [known], "B": [person("B1", "mu-glioma-post/0001")]}) == []


def test_people_without_public_names_are_nobodys_concern():
    assert overlaps({"A": [person("1")], "B": [person("1")]}) == []
