"""Whatever is done to a ledger is found, by itself or by what the other side wrote down."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.site.ledgers import coordinator_ledger, sent, site_ledger, ticking

from flame.errors import DataError
from flame.site.audit import audit, compare
from flame.site.entries import digest
from flame.site.identity import Identity
from flame.site.ledger import ledger_path, open_ledger


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Identity]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, site_ledger(folder)


def changed(whole: tuple[Path, Identity], content: bytes) -> tuple[str, ...]:
    folder, identity = whole
    path = ledger_path(folder)
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        return tuple(flaw.what for flaw in audit(folder, identity.public_key).flaws)
    finally:
        path.write_bytes(before)


def test_an_untouched_ledger_has_no_flaw(whole: tuple[Path, Identity]) -> None:
    folder, identity = whole
    found = audit(folder, identity.public_key)
    assert found.flaws == ()
    assert found.owner == "site-1"
    assert len(found.entries) == len(found.hashes) == 6


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), value=st.integers(1, 255))
def test_any_changed_byte_is_found(whole: tuple[Path, Identity], place: int, value: int) -> None:
    content = bytearray(ledger_path(whole[0]).read_bytes())
    content[place % len(content)] ^= value
    assert changed(whole, bytes(content))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(6)), kept=st.integers(0, 6))
def test_any_other_order_and_any_missing_entry_is_found(
    whole: tuple[Path, Identity], order: list[int], kept: int
) -> None:
    lines = ledger_path(whole[0]).read_bytes().splitlines(keepends=True)
    left = [lines[place] for place in order[:kept]]
    assert bool(changed(whole, b"".join(left))) == (left != lines)


def test_an_entry_that_somebody_else_signed_is_found(tmp_path: Path) -> None:
    identity, stranger = site_ledger(tmp_path / "mine"), site_ledger(tmp_path / "other")
    assert audit(tmp_path / "mine", identity.public_key).flaws == ()
    flaws = audit(tmp_path / "mine", stranger.public_key).flaws
    assert {flaw.entry for flaw in flaws} == {0, 1, 2, 3, 4, 5, None}
    assert "not signed" in flaws[0].what


def test_a_clock_that_was_set_back_is_told(tmp_path: Path) -> None:
    identity = site_ledger(tmp_path)
    with open_ledger(tmp_path, "site-1", identity, ticking()) as ledger:  # begins again at the first second
        ledger.append(sent(8))
    (flaw,) = audit(tmp_path, identity.public_key).flaws
    assert flaw.entry == 6
    assert "clock was set back" in flaw.what


def test_two_sides_that_tell_the_same_story_agree(tmp_path: Path) -> None:
    site, coordinator = site_ledger(tmp_path / "s"), coordinator_ledger(tmp_path / "c", rounds=2)
    ours, theirs = audit(tmp_path / "s", site.public_key), audit(tmp_path / "c", coordinator.public_key)
    assert compare(ours, theirs) == compare(theirs, ours) == ()  # the last update never arrived: connections break


def test_a_ledger_that_its_own_owner_cut_short_is_found_by_the_other_side(tmp_path: Path) -> None:
    site = site_ledger(tmp_path / "s")
    shutil.copytree(tmp_path / "s", tmp_path / "early")
    with open_ledger(tmp_path / "s", "site-1", site) as ledger:
        ledger.append(sent(3))
        head = ledger.head
    coordinator = coordinator_ledger(tmp_path / "c", rounds=4, head=(head.count, head.hash))
    theirs = audit(tmp_path / "c", coordinator.public_key)
    assert compare(audit(tmp_path / "s", site.public_key), theirs) == ()
    rolled_back = audit(tmp_path / "early", site.public_key)
    assert rolled_back.flaws == ()  # by itself it is whole
    says = [flaw.what for flaw in compare(rolled_back, theirs)]
    assert [word in text for word, text in zip(("no entry of having sent", "changed or cut short"), says)] == [True] * 2


def test_a_message_that_was_exchanged_for_another_is_found(tmp_path: Path) -> None:
    site, coordinator = site_ledger(tmp_path / "s", rounds=0), coordinator_ledger(tmp_path / "c", rounds=1)
    with open_ledger(tmp_path / "s", "site-1", site) as ledger:
        ledger.append(sent(0, content=b"what I really sent"))
    flaws = compare(audit(tmp_path / "c", coordinator.public_key), audit(tmp_path / "s", site.public_key))
    assert [flaw.what for flaw in flaws] == ["round 0: site-1 says that it sent something else"]
    assert digest(b"what I really sent" + bytes([0])) == sent(0, content=b"what I really sent").digest


def test_a_look_at_an_entry_that_is_just_being_written_waits_for_it(tmp_path: Path) -> None:
    """An entry is on the disk a moment before the head knows it; that is no flaw while the ledger is open."""
    identity = site_ledger(tmp_path)
    head = tmp_path / "ledger.head"
    with ThreadPoolExecutor(1) as other:
        with open_ledger(tmp_path, "site-1", identity) as ledger:
            before = head.read_bytes()
            ledger.append(sent(3))
            after = head.read_bytes()
            head.write_bytes(before)
            look = other.submit(audit, tmp_path, identity.public_key)
            with pytest.raises(TimeoutError):
                look.result(0.2)
            head.write_bytes(after)
        assert look.result(60).flaws == ()


def test_where_there_is_no_ledger_nothing_is_audited(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no ledger"):
        audit(tmp_path, b"0" * 32)
