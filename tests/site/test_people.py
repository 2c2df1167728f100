"""Who may decide: people whom the site registered, by the key that it registered, and nobody else."""

from pathlib import Path

import pytest
from tests.site.consents import Hospital, disk_full_after, killed_copies
from tests.site.ledgers import ticking

from flame.errors import ConfigError, EngineError, PolicyError
from flame.site.decision import Decision
from flame.site.entries import Registered, digest
from flame.site.history import recorded
from flame.site.identity import make_identity
from flame.site.people import Person, key_of, read_record, refuse_unsigned, register, signed

SOME = digest(b"some")


def unsigned(by: str) -> Decision:
    return Decision(by=by, at=ticking()(), job=SOME, proposal=SOME, number=1, verdict="approved")


def test_a_registered_person_is_known_by_their_key(tmp_path: Path) -> None:
    site = Hospital(tmp_path)
    events = recorded(site.folder)
    assert key_of(site.folder, "ada", events) == site.ada.identity.public_key
    assert Registered(person="ada", public_key=site.ada.identity.public_key.hex()) in events
    refuse_unsigned(site.folder, signed(unsigned("ada"), site.ada), events)
    before = site.files()
    site.do(lambda folder, ledger: register(folder, ledger, "ada", site.ada.identity.public_key))
    assert site.files() == before


def test_nobody_else_is(tmp_path: Path) -> None:
    site = Hospital(tmp_path)
    events = recorded(site.folder)
    with pytest.raises(PolicyError, match="'mallory'") as refused:
        refuse_unsigned(site.folder, signed(unsigned("mallory"), site.stranger), events)
    assert "flame site register" in refused.value.hint
    for record in (
        unsigned("ada"),
        signed(unsigned("ada"), site.grace),
        signed(unsigned("ada"), site.ada).model_copy(update={"verdict": "declined"}),
    ):
        with pytest.raises(PolicyError, match="signature is not the one of 'ada'"):
            refuse_unsigned(site.folder, record, events)


def test_a_key_that_somebody_puts_there_by_hand_makes_nobody_a_person_of_the_site(tmp_path: Path) -> None:
    site = Hospital(tmp_path)
    stranger = site.stranger.identity.public_key.hex()
    (site.folder / "people" / "mallory.pub").write_text(stranger)
    with pytest.raises(PolicyError, match="Nobody is registered here as 'mallory'"):
        key_of(site.folder, "mallory", recorded(site.folder))
    (site.folder / "people" / "ada.pub").write_text(stranger)
    with pytest.raises(PolicyError, match="not the one in the ledger"):
        key_of(site.folder, "ada", recorded(site.folder))
    (site.folder / "people" / "ada.pub").unlink()
    with pytest.raises(PolicyError, match="no longer registered"):
        key_of(site.folder, "ada", recorded(site.folder))


def test_one_name_has_one_key_and_one_key_one_name(tmp_path: Path) -> None:
    site = Hospital(tmp_path)
    before = site.files()
    with pytest.raises(PolicyError, match="registered with another key"):
        site.do(lambda folder, ledger: register(folder, ledger, "ada", site.stranger.identity.public_key))
    with pytest.raises(PolicyError, match="registered for 'ada'"):
        site.do(lambda folder, ledger: register(folder, ledger, "ada-2", site.ada.identity.public_key))
    assert site.files() == before


@pytest.mark.parametrize("name", ["", "../ada", "a/b", ".hidden", "two words", "x" * 65, "line\nbreak", "-dash"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    site = Hospital(tmp_path)
    before = site.files()
    with pytest.raises(ConfigError, match="can't be the name of a person"):
        site.do(lambda folder, ledger: register(folder, ledger, name, site.stranger.identity.public_key))
    assert site.files() == before


def test_a_name_may_be_french(tmp_path: Path) -> None:
    site = Hospital(tmp_path)
    helene = Person("Hélène.Lévy", make_identity(tmp_path / "helene"))
    site.do(lambda folder, ledger: register(folder, ledger, helene.name, helene.identity.public_key))
    assert any(getattr(event, "person", None) == "Hélène.Lévy" for event in recorded(site.folder))
    refuse_unsigned(site.folder, signed(unsigned(helene.name), helene), recorded(site.folder))


def test_a_record_that_differs_by_one_byte_is_none(tmp_path: Path) -> None:
    site = Hospital(tmp_path)
    path, record = tmp_path / "record.json", signed(unsigned("ada"), site.ada)
    path.write_bytes(record.content())
    assert read_record(path, Decision) == record
    for content in (record.content()[:-1], record.content() + b" ", record.content().replace(b":1,", b": 1,"), b""):
        assert content != record.content()
        path.write_bytes(content)
        assert read_record(path, Decision) is None


def test_a_kill_leaves_somebody_who_is_registered_or_not_and_the_next_call_puts_it_right(tmp_path: Path) -> None:
    key = make_identity(tmp_path / "new").public_key

    def add(site: Hospital) -> object:
        return site.do(lambda folder, ledger: register(folder, ledger, "new", key))

    # key, entry and head are brought to disk, key and head put in their places: before and after
    for site in killed_copies(Hospital(tmp_path), tmp_path, add, steps=10):
        entered = Registered(person="new", public_key=key.hex())
        if entered in recorded(site.folder):
            assert key_of(site.folder, "new", recorded(site.folder)) == key  # never an entry without its file
        add(site)
        assert key_of(site.folder, "new", recorded(site.folder)) == key
        assert recorded(site.folder).count(entered) == 1


def test_a_full_disk_registers_nobody(tmp_path: Path) -> None:
    site, writes = Hospital(tmp_path), 0
    before = site.files()
    key = site.stranger.identity.public_key
    while True:
        with pytest.MonkeyPatch.context() as patch, site.ledger() as ledger:
            was_full = disk_full_after(writes, patch)
            if writes == 3:
                register(site.folder, ledger, "mallory", key)
                break
            with pytest.raises(EngineError):
                register(site.folder, ledger, "mallory", key)
            assert was_full()
        assert site.files() == before
        writes += 1
    assert key_of(site.folder, "mallory", recorded(site.folder)) == key
