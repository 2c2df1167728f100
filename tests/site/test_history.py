"""Reading a ledger without opening it: all that its owner wrote, and nothing once a byte of it was changed."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.site.ledgers import sent, site_ledger

from flame.errors import PolicyError
from flame.site.history import recorded
from flame.site.identity import make_identity
from flame.site.ledger import ledger_path, open_ledger


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    site_ledger(folder)
    return folder


def test_it_gives_the_events_in_order(whole: Path) -> None:
    events = recorded(whole)
    assert [event.event for event in events] == ["opened", "offered", "approved", "sent", "sent", "sent"]
    assert events[-1] == sent(2)


def test_a_last_entry_that_says_something_else_is_found(tmp_path: Path) -> None:
    site_ledger(tmp_path)
    path = ledger_path(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-1], lines[-1].replace(b'"samples":20', b'"samples":21')]))
    with pytest.raises(PolicyError, match="last entry is not the one that its head knows"):
        recorded(tmp_path)


def test_where_no_ledger_was_begun_nothing_happened(tmp_path: Path) -> None:
    assert recorded(tmp_path) == ()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), value=st.integers(1, 255))
def test_any_changed_byte_is_found(whole: Path, place: int, value: int) -> None:
    path = ledger_path(whole)
    before = path.read_bytes()
    content = bytearray(before)
    content[place % len(content)] ^= value
    path.write_bytes(bytes(content))
    try:
        with pytest.raises(PolicyError, match="was changed"):
            recorded(whole)
    finally:
        path.write_bytes(before)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(6)), kept=st.integers(0, 6))
def test_any_other_order_and_any_missing_entry_is_found(whole: Path, order: list[int], kept: int) -> None:
    path = ledger_path(whole)
    before = path.read_bytes()
    lines = before.splitlines(keepends=True)
    left = [lines[place] for place in order[:kept]]
    path.write_bytes(b"".join(left))
    try:
        if left == lines:
            assert len(recorded(whole)) == 6
        else:
            with pytest.raises(PolicyError, match="was changed"):
                recorded(whole)
    finally:
        path.write_bytes(before)


def test_an_entry_that_the_head_does_not_know_yet_waits(tmp_path: Path) -> None:
    identity = site_ledger(tmp_path)
    head = (tmp_path / "ledger.head").read_bytes()
    with open_ledger(tmp_path, "site-1", identity) as ledger:
        ledger.append(sent(7))
    assert recorded(tmp_path)[-1] == sent(7)
    (tmp_path / "ledger.head").write_bytes(head)  # as a kill between the two leaves it
    assert recorded(tmp_path)[-1] == sent(2)
    with open_ledger(tmp_path, "site-1", identity):
        assert recorded(tmp_path)[-1] == sent(7)


def test_a_ledger_of_another_key_and_a_damaged_head_are_refused(tmp_path: Path) -> None:
    site_ledger(tmp_path)
    stranger = make_identity(tmp_path / "stranger")
    mine = (tmp_path / "identity.pub").read_bytes()
    (tmp_path / "identity.pub").write_text(stranger.public_key.hex())
    with pytest.raises(PolicyError, match="not signed by this site"):
        recorded(tmp_path)
    (tmp_path / "identity.pub").write_bytes(mine)
    head = (tmp_path / "ledger.head").read_text()
    signature = head.rsplit('"', 2)[1]
    (tmp_path / "ledger.head").write_text(head.replace(signature, "no hexadecimal"))
    with pytest.raises(PolicyError, match="not signed by this site"):
        recorded(tmp_path)
    (tmp_path / "ledger.head").write_text("{}")
    with pytest.raises(PolicyError, match="head is missing or damaged"):
        recorded(tmp_path)
