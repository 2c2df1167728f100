"""Appending to a ledger: chained, signed, one writer, and whole after a kill or a full disk."""

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from tests.site.ledgers import sent, site_ledger, ticking

from flame.errors import EngineError, PolicyError
from flame.site.audit import audit
from flame.site.identity import make_identity, read_identity
from flame.site.ledger import BEGINNING, ledger_path, open_ledger


def test_each_entry_names_the_hash_of_the_line_before_it(tmp_path: Path) -> None:
    site_ledger(tmp_path)
    lines = ledger_path(tmp_path).read_bytes().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["number"] for entry in entries] == [0, 1, 2, 3, 4, 5]
    assert [entry["what"]["event"] for entry in entries] == ["opened", "offered", "approved", "sent", "sent", "sent"]
    assert entries[0]["previous"] == BEGINNING
    for before, entry in zip(lines, entries[1:]):
        assert entry["previous"] == sha256(before).hexdigest()


def test_a_ledger_is_gone_on_with(tmp_path: Path) -> None:
    identity = site_ledger(tmp_path)
    with open_ledger(tmp_path, "site-1", identity) as ledger:
        assert ledger.append(sent(9)).number == 6
    found = audit(tmp_path, identity.public_key)
    assert found.flaws == ()
    assert len(found.entries) == 7


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    identity = site_ledger(tmp_path)
    with (
        open_ledger(tmp_path, "site-1", identity),
        pytest.raises(EngineError, match="another process"),
        open_ledger(tmp_path, "site-1", identity, patience_s=0.1),
    ):
        pass


def test_a_process_waits_for_another_that_is_about_to_be_done(tmp_path: Path) -> None:
    import threading

    identity = site_ledger(tmp_path)
    opened = open_ledger(tmp_path, "site-1", identity)
    opened.__enter__()
    threading.Timer(0.2, lambda: opened.__exit__(None, None, None)).start()
    with open_ledger(tmp_path, "site-1", identity) as ledger:
        before = ledger.known_head.count
        ledger.append(sent(9))
        assert ledger.known_head.count == before + 1


def test_a_torn_line_is_dropped_and_an_entry_without_a_head_is_taken_up(tmp_path: Path) -> None:
    """What a kill can leave behind, at every byte of the last entry, before and after the head was written."""
    identity = site_ledger(tmp_path / "whole")
    content = ledger_path(tmp_path / "whole").read_bytes()
    old = tmp_path / "old"
    shutil.copytree(tmp_path / "whole", old)
    with open_ledger(tmp_path / "whole", "site-1", identity) as ledger:
        ledger.append(sent(7))
    longer = ledger_path(tmp_path / "whole").read_bytes()
    for size in (*range(len(content), len(longer), 41), len(longer) - 1, len(longer)):
        ledger_path(old).write_bytes(longer[:size])
        shutil.copy(tmp_path / "whole" / "identity.key", old / "identity.key")
        before = (old / "ledger.head").read_bytes()
        with open_ledger(old, "site-1", identity) as ledger:
            assert ledger.head.count == (7 if size == len(longer) else 6)
        assert audit(old, identity.public_key).flaws == ()
        (old / "ledger.head").write_bytes(before)


def test_nothing_is_appended_to_a_ledger_that_was_changed(tmp_path: Path) -> None:
    identity = site_ledger(tmp_path)
    path = ledger_path(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    for name, changed in (
        ("shorter", lines[:-1]),
        ("other last line", [*lines[:-1], lines[-1].replace(b'"samples":20', b'"samples":21')]),
        ("strange line", [*lines, b"{}\n"]),
        ("two more", [*lines, lines[-1], lines[-1]]),
    ):
        path.write_bytes(b"".join(changed))
        with pytest.raises(PolicyError, match="was changed"), open_ledger(tmp_path, "site-1", identity):
            pytest.fail(name)
        assert path.read_bytes() == b"".join(changed)  # left as evidence
    path.write_bytes(b"".join(lines))
    (tmp_path / "ledger.head").unlink()
    with pytest.raises(PolicyError, match="head is missing"), open_ledger(tmp_path, "site-1", identity):
        pass


def test_another_key_can_not_go_on_with_it(tmp_path: Path) -> None:
    site_ledger(tmp_path)
    stranger = make_identity(tmp_path / "stranger")
    with pytest.raises(PolicyError, match="not signed by this identity"), open_ledger(tmp_path, "site-1", stranger):
        pass


def test_a_full_disk_leaves_it_as_it_was(tmp_path: Path) -> None:
    identity = site_ledger(tmp_path)
    before = ledger_path(tmp_path).read_bytes()
    child = os.fork()
    if child == 0:  # a process whose files may not grow beyond a hundred bytes more
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, len(before) + 100))
        try:
            with open_ledger(tmp_path, "site-1", identity, ticking()) as ledger:
                ledger.append(sent(8))
        except EngineError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert ledger_path(tmp_path).read_bytes() == before
    assert audit(tmp_path, identity.public_key).flaws == ()


def test_what_was_appended_is_there_after_any_kill(tmp_path: Path) -> None:
    """A child appends as fast as it can, tells each entry that it got back, and is killed at some moment."""
    import random
    import signal
    import time

    draw = random.Random(5)
    identity = make_identity(tmp_path)
    told = 0
    for _ in range(12):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            with open_ledger(tmp_path, "site-1", read_identity(tmp_path)) as ledger:
                while True:
                    os.write(writing, b"%d\n" % ledger.append(sent(1)).number)
        os.close(writing)
        with os.fdopen(reading) as lines:
            first = int(lines.readline())  # however slow the machine, it has begun
            time.sleep(draw.uniform(0.0, 0.05))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            told = max([told, first, *map(int, lines)])
        with open_ledger(tmp_path, "site-1", identity) as ledger:
            assert ledger.head.count > told
        assert audit(tmp_path, identity.public_key).flaws == ()
    assert told >= 12
