import shutil
from dataclasses import replace

import pytest
from tests.records.sites import make_site

from flame.records.check import check_site
from flame.records.dataset import Site, read_site, write_site


@pytest.fixture
def site(tmp_path):
    made = make_site(tmp_path / "site")
    write_site(made)
    return made


def _copied(site, identity, other):
    """The site with a patient's files copied under another id."""
    for path in sorted(site.folder.rglob(f"sub-{identity}*")):
        if path.is_file():
            new = site.folder / str(path.relative_to(site.folder)).replace(f"sub-{identity}", f"sub-{other}")
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, new)
    table = site.folder / "participants.tsv"
    row = next(line for line in table.read_text().splitlines() if line.startswith(f"sub-{identity}\t"))
    table.write_text(table.read_text() + row.replace(identity, other) + "\n")
    return read_site(site.folder)


def test_a_clean_site_has_no_findings(site):
    assert check_site(read_site(site.folder)) == []


@pytest.mark.parametrize(("patients", "what"), [(0, "no patient"), (1, "one patient only")])
def test_too_few_patients(site, patients, what):
    (finding,) = [
        one for one in check_site(replace(site, patients=site.patients[:patients])) if one.severity == "error"
    ]
    assert finding.patient is None
    assert what in finding.what


def test_a_copied_patient_is_named_with_the_original_once_per_exam(site):
    findings = check_site(_copied(site, "001", "009"))
    assert [(one.severity, one.patient) for one in findings] == [("error", "009")] * 2
    assert "exam of day -14 holds the same image as the exam of day -14 of patient 001" in findings[0].what


def test_an_exam_copied_within_a_patient(site):
    early, late = site.patients[0].exams
    shutil.copy(early.sequences["FLAIR"], late.sequences["FLAIR"])
    (finding,) = check_site(site)
    assert finding.what == "exam of day 70 holds the same image as the exam of day -14 of the same patient"


def test_ids_that_differ_in_case_only(site, tmp_path):
    patients = tuple(replace(one, id=identity) for one, identity in zip(site.patients, ("P1", "p1"), strict=True))
    findings = check_site(Site("site", tmp_path / "elsewhere", patients))
    assert [one.what for one in findings] == ["patient ids P1 and p1 differ in case only"]


def test_a_folder_without_a_line_in_the_table(site):
    (site.folder / "sub-017").mkdir()
    (finding,) = check_site(site)
    assert (finding.severity, finding.patient) == ("warning", "017")
    assert "not in participants.tsv" in finding.what


def test_one_person_twice_at_a_site_by_their_name_in_a_public_set(site):
    patients = tuple(replace(patient, also_known_as=("upenn/00001",)) for patient in site.patients)
    (finding,) = check_site(replace(site, patients=patients))
    assert (finding.severity, finding.patient) == ("error", "002")
    assert "is patient 001 of" in finding.what
