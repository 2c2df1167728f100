"""A withdrawn patient is left out for good, and nobody outside the site can tell who that is."""

import hmac
import logging
import stat
import traceback
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.site.consents import Hospital, disk_full_after, killed_copies

from flame.errors import ConfigError, EngineError, FlameError, PolicyError
from flame.site.audit import audit
from flame.site.entries import PatientWithdrawn
from flame.site.history import recorded
from flame.site.people import Person
from flame.site.withdrawal import put_patients_right, withdraw_patient, withdrawn_patients

PATIENT = "Zq7Glioma042"


@pytest.fixture
def site(tmp_path: Path) -> Hospital:
    return Hospital(tmp_path)


def out(site: Hospital, patient: str = PATIENT, person: Person | None = None) -> None:
    site.do(lambda folder, ledger: withdraw_patient(folder, ledger, patient, person or site.ada))


def entered(site: Hospital) -> list[PatientWithdrawn]:
    return [event for event in recorded(site.folder) if isinstance(event, PatientWithdrawn)]


def test_nobody_is_withdrawn_until_somebody_is(site: Hospital) -> None:
    assert withdrawn_patients(site.folder) == frozenset()
    out(site)
    assert withdrawn_patients(site.folder) == {PATIENT}
    out(site, "P2", site.grace)
    assert withdrawn_patients(site.folder) == {PATIENT, "P2"}
    assert [event.by for event in entered(site)] == ["ada", "grace"]
    before = site.files()
    out(site, PATIENT, site.grace)
    assert site.files() == before
    assert audit(site.folder, site.identity.public_key).flaws == ()


def test_the_entry_holds_a_digest_that_only_the_sites_secret_gives(site: Hospital, tmp_path: Path) -> None:
    out(site)
    secret = (site.folder / "withdrawn" / "secret").read_bytes()
    (entry,) = entered(site)
    assert entry.keyed_digest == hmac.new(secret, PATIENT.encode(), "sha256").hexdigest()
    assert entry.keyed_digest != sha256(PATIENT.encode()).hexdigest()
    other = Hospital(tmp_path / "other")
    out(other)
    assert entered(other)[0].keyed_digest != entry.keyed_digest


def test_secret_and_list_are_for_the_sites_eyes_alone(site: Hospital) -> None:
    out(site)
    folder = site.folder / "withdrawn"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    names = sorted(folder.iterdir())
    assert len(names) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in names} == {0o600}


def test_the_patient_is_named_in_the_list_and_nowhere_else(
    site: Hospital, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither in the ledger's bytes, nor in a file's name, nor in an error with its whole trace, nor in a log."""
    caplog.set_level(logging.DEBUG)
    told = [refusal(lambda: out(site, PATIENT, site.stranger))]
    told.append(refusal(lambda: out(site, PATIENT, Person("ada", site.stranger.identity))))
    told += [
        refusal(lambda wrong=wrong: out(site, wrong)) for wrong in (f"sub-{PATIENT}", f"{PATIENT} ", f"{PATIENT}\n")
    ]
    with pytest.MonkeyPatch.context() as patch:
        disk_full_after(1, patch)
        told.append(refusal(lambda: out(site)))
    out(site)
    files = site.files()
    (record,) = [name for name, content in files.items() if PATIENT.encode() in content]
    assert record.startswith("withdrawn/")
    assert not [name for name in files if PATIENT.lower() in name.lower()]
    (site.folder / record).write_bytes(files[record].replace(b'"by":"ada"', b'"by":"eve"').replace(b"2", b"3"))
    told.append(refusal(lambda: withdrawn_patients(site.folder)))
    told.append(refusal(lambda: out(site, "P2")))
    assert len(told) == 8
    seen = capfd.readouterr()
    for text in (*told, caplog.text, seen.out, seen.err):
        assert PATIENT.lower() not in text.lower()


def refusal(action) -> str:
    """All that an error shows: message, hint, and the trace with its causes."""
    with pytest.raises(FlameError) as refused:
        action()
    return "\n".join([refused.value.message, refused.value.hint, *traceback.format_exception(refused.value)])


@pytest.mark.parametrize("patient", ["", "sub-1", "a/b", "..", "é", "1 2", "٣"])
def test_what_is_no_id_is_refused(site: Hospital, patient: str) -> None:
    before = site.files()
    with pytest.raises(ConfigError, match="letters and digits"):
        out(site, patient)
    assert site.files() == before


def test_only_people_of_the_site_decide(site: Hospital) -> None:
    before = site.files()
    with pytest.raises(PolicyError, match="'mallory'"):
        out(site, person=site.stranger)
    with pytest.raises(PolicyError, match="signature"):
        out(site, person=Person("ada", site.stranger.identity))
    assert site.files() == before


def test_a_record_that_is_missing_or_changed_stops_everything(site: Hospital) -> None:
    out(site)
    out(site, "P2")
    folder = site.folder / "withdrawn"
    path = folder / f"{entered(site)[0].keyed_digest}.json"
    secret, before = (folder / "secret").read_bytes(), path.read_bytes()
    for harm, says in (
        (path.unlink, "1 records are missing"),
        (lambda: path.write_bytes(before.replace(PATIENT.encode(), b"P3")), "not as it was written"),
        (lambda: path.write_bytes(before[:-1]), "not as it was written"),
        (lambda: (folder / "secret").write_bytes(bytes(32)), "not as it was written"),
        ((folder / "secret").unlink, "secret is missing"),
    ):
        harm()
        with pytest.raises(PolicyError, match=says) as refused:
            withdrawn_patients(site.folder)
        assert "nothing is trained" in refused.value.hint
        with pytest.raises(PolicyError, match=says):
            out(site, "P9")
        path.write_bytes(before)
        (folder / "secret").write_bytes(secret)
    assert withdrawn_patients(site.folder) == {PATIENT, "P2"}


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10**6), value=st.integers(1, 255))
def test_whatever_byte_of_a_record_is_changed_it_is_found_or_the_patient_stays_out(
    edited: Hospital, place: int, value: int
) -> None:
    (path,) = (edited.folder / "withdrawn").glob("*.json")
    before = path.read_bytes()
    content = bytearray(before)
    content[place % len(content)] ^= value
    path.write_bytes(bytes(content))
    try:
        found = withdrawn_patients(edited.folder)
    except PolicyError as error:
        found = error.message
    finally:
        path.write_bytes(before)
    assert found == {PATIENT} or "was changed" in found


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    site = Hospital(tmp_path_factory.mktemp("edited"))
    out(site)
    return site


def test_a_record_that_nobody_signed_keeps_the_patient_out_and_out_of_the_ledger(site: Hospital) -> None:
    """In doubt a patient is left out; but the ledger does not say of a person what they did not sign."""
    out(site)
    (path,) = (site.folder / "withdrawn").glob("*.json")
    signature = path.read_bytes().rsplit(b'"signature":"', 1)[1][:128]
    later = site.copied(site.folder.parent / "later")
    secret = (later.folder / "withdrawn" / "secret").read_bytes()
    unsigned = path.read_bytes().replace(PATIENT.encode(), b"P5").replace(signature, b"0" * 128)
    name = hmac.new(secret, b"P5", "sha256").hexdigest()
    (later.folder / "withdrawn" / f"{name}.json").write_bytes(unsigned)
    assert withdrawn_patients(later.folder) == {PATIENT, "P5"}
    later.do(put_patients_right)
    assert len(entered(later)) == 1


def test_after_a_kill_the_patient_is_out_as_soon_as_the_record_is_there_and_the_next_call_enters_it(
    site: Hospital, tmp_path: Path
) -> None:
    """Killed at every moment of writing: secret, record, entry, head. The entry alone would not say who it is."""
    for killed in killed_copies(site, tmp_path, out, steps=14):
        there = any((killed.folder / "withdrawn").glob("[!.]*.json"))
        assert there or not entered(killed)
        assert withdrawn_patients(killed.folder) == ({PATIENT} if there else frozenset())
        out(killed, "P2")
        assert [event.by for event in entered(killed)] == ["ada"] * (1 + there)
        out(killed)
        assert withdrawn_patients(killed.folder) == {PATIENT, "P2"}
        assert len(entered(killed)) == 2
        assert audit(killed.folder, killed.identity.public_key).flaws == ()


def test_a_full_disk_withdraws_nobody(site: Hospital) -> None:
    before = site.files()
    for writes in (0, 1, 1, 2):  # full at the secret; at the record, once there is a secret; at the entry; at its head
        with pytest.MonkeyPatch.context() as patch:
            was_full = disk_full_after(writes, patch)
            with pytest.raises(EngineError, match=r"disk is full|could not be written"):
                out(site)
            assert was_full()
        # A secret without a list says nothing of anybody, and the next withdrawal uses it.
        assert {name: content for name, content in site.files().items() if name != "withdrawn/secret"} == before
        assert withdrawn_patients(site.folder) == frozenset()
    out(site)
    assert withdrawn_patients(site.folder) == {PATIENT}
