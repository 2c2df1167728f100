"""A hospital's rules, people, ledger and data: what keeps it from taking part, told without naming a patient."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.records.sites import make_site, with_patient
from tests.site.consents import Hospital

from flame.federation.doctor import Condition
from flame.federation.readiness import (
    data_condition,
    last_signed,
    ledger_condition,
    people_condition,
    policy_condition,
    rehearsal_condition,
    taking_part,
)
from flame.records.dataset import Site, write_site
from flame.site.withdrawal import withdraw_patient

POLICY = 'tasks = ["evolution"]\nmodels = ["unet"]\nmin_patients = 2\narrays = ["head.*"]\n'


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    return Hospital(tmp_path, offered=False)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Two patients without a flaw but one warning each."""
    made = make_site(tmp_path / "data")
    write_site(made)
    return made


def policy(folder: Path, text: str, patients: int | None = 2) -> Condition:
    (folder / "policy.toml").write_text(text)
    return policy_condition(folder, patients)


def test_a_policy_is_told_in_one_line(tmp_path: Path) -> None:
    found = policy(tmp_path, POLICY)
    assert found.state == "ok"
    assert found.found.startswith("allows evolution with unet; arrays head.*; 2 patients or more")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('["head.*"]', "[]", "arrays: nothing is allowed"),
        ('"unet"', '"unett"', "no model unett for evolution"),
        ('"evolution"', '"response"', "no model unet for response"),
        ("= 2", "= 3", "min_patients is 3"),
        ("= 2", "= no", "not valid TOML"),
        ("models", "moddels", "moddels"),
    ],
)
def test_a_policy_under_which_nothing_can_run_is_an_error(tmp_path: Path, old: str, new: str, words: str) -> None:
    found = policy(tmp_path, POLICY.replace(old, new))
    assert found.state == "error"
    assert words in found.found
    assert found.what_to_do != "nothing"


def test_no_policy_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    found = policy_condition(tmp_path, None)
    assert found.state == "error"
    assert str(tmp_path / "policy.toml") in found.what_to_do


def test_somebody_has_to_be_there_who_may_decide(hospital: Hospital, tmp_path: Path) -> None:
    assert people_condition(hospital.folder).found == "ada, grace"
    (hospital.folder / "people" / "ada.pub").unlink()
    assert people_condition(hospital.folder).found == "grace"
    (hospital.folder / "people" / "grace.pub").unlink()
    assert people_condition(hospital.folder).state == "error"
    (tmp_path / "new").mkdir()
    found = people_condition(tmp_path / "new")
    assert (found.state, "flame site register" in found.what_to_do) == ("error", True)


def test_a_ledger_is_whole_or_the_first_flaw_is_told(hospital: Hospital, tmp_path: Path) -> None:
    assert ledger_condition(tmp_path).found == "not begun"
    assert last_signed(tmp_path) is None
    whole = ledger_condition(hospital.folder)
    assert (whole.state, whole.found) == ("ok", "3 entries, whole")
    assert last_signed(hospital.folder) is not None
    path = hospital.folder / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"grace"', b'"Grace"'))
    assert ledger_condition(hospital.folder).state == "error"


def test_a_ledger_whose_key_was_exchanged_can_not_be_written_on(hospital: Hospital, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "ada" / "identity.key", hospital.folder / "identity.key")
    found = ledger_condition(hospital.folder)
    assert (found.state, "do not belong together" in found.found) == ("error", True)


def test_data_are_told_in_numbers(site: Site) -> None:
    found, read = data_condition(site.folder)
    assert found.found.startswith("2 patients, 0 errors")
    assert read is not None
    image = next(iter(site.patients[0].exams[0].sequences.values()))
    image.write_bytes(b"no image")
    found, _ = data_condition(site.folder)
    assert found.state == "error"
    assert str(site.folder) in found.what_to_do


def break_table(site: Site) -> None:
    table = site.folder / "participants.tsv"
    table.write_text(table.read_text().replace("sub-001", "sub-0 01"))


@pytest.mark.parametrize("do_harm", [break_table, lambda site: shutil.rmtree(site.folder)])
def test_records_that_can_not_be_read_are_told_without_their_words(
    site: Site, do_harm: Callable[[Site], object]
) -> None:
    do_harm(site)
    found, read = data_condition(site.folder)
    assert read is None
    assert (found.state, found.found) == ("error", "the records can't be read")


def test_a_batch_is_prepared_and_learnt_from_and_nothing_stays(site: Site, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    found = rehearsal_condition(site, work)
    assert found.state == "ok", found.found
    assert "s for a step on" in found.found
    assert not list(work.iterdir())


def test_patients_that_give_nothing_to_learn_from_are_an_error_that_names_none(site: Site, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for patient in site.patients:
        for exam in patient.exams:
            assert exam.label_map is not None
            exam.label_map.write_bytes(b"no image")
    found = rehearsal_condition(site, work)
    assert (found.state, found.found.startswith("none of 2 patients tried")) == ("error", True)
    untreated = with_patient(site, lambda patient: replace(patient, courses=()))
    assert rehearsal_condition(untreated, work).found.startswith("none of 1 patients tried")
    assert not any(patient.id in found.found + found.what_to_do for patient in site.patients)
    assert not list(work.iterdir())


def test_a_work_folder_that_is_not_there_is_told(site: Site, tmp_path: Path) -> None:
    found = rehearsal_condition(site, tmp_path / "nowhere")
    assert (found.state, "FileNotFoundError" in found.found) == ("error", True)


def test_who_withdrew_is_not_rehearsed_with(hospital: Hospital, site: Site) -> None:
    hospital.do(lambda folder, ledger: withdraw_patient(folder, ledger, "001", hospital.ada))
    assert [patient.id for patient in taking_part(site, hospital.folder).patients] == ["002"]
