"""A record of all that entered and left: append-only, each entry signed and chained to the one before it.

`ledger.jsonl` holds an entry a line. `ledger.head` says, signed, how many there are and what the last one's hash is; it
is replaced after each entry, so that a ledger that was cut short no longer fits it. Who can sign can still rewrite all
of it: against its own owner a ledger is held by the other side's, see `audit.compare`.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from pydantic import Field, ValidationError

from flame.errors import EngineError, PolicyError
from flame.files import write_bytes
from flame.settings import Settings
from flame.site.entries import Entry, Event, Hash, Opened, canonical, digest
from flame.site.identity import Identity, is_signed_by

__all__ = ["BEGINNING", "Head", "Ledger", "at_rest", "ledger_path", "open_ledger", "parse", "read_head"]

BEGINNING = digest(b"flame-ledger/1")
"""What the first entry names as the hash before it."""


class Head(Settings):
    """How far a ledger has come: its number of entries, the hash of the last, and their signature."""

    count: int = Field(ge=1)
    hash: Hash
    signature: str = ""

    def signed_bytes(self) -> bytes:
        """What the signature stands for."""
        return canonical(self.model_dump(mode="json", exclude={"signature"}))


def ledger_path(folder: Path) -> Path:
    """The file of entries."""
    return folder / "ledger.jsonl"


def _head_path(folder: Path) -> Path:
    return folder / "ledger.head"


def read_head(folder: Path) -> Head | None:
    """The head, unverified; None if there is none or it can't be read."""
    try:
        return Head.model_validate_json(_head_path(folder).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def parse(line: bytes) -> Entry | None:
    """The entry of a line, unverified; None if it is none, or is not written in the one form that a ledger uses."""
    try:
        entry = Entry.model_validate_json(line)
    except ValidationError:
        return None
    return entry if entry.line() == line else None


class Ledger:
    """An open ledger that entries are appended to; made by `open_ledger`, which holds it for one process alone."""

    def __init__(self, folder: Path, identity: Identity, head: Head | None, now: Callable[[], datetime]) -> None:
        self._folder, self._identity, self._head, self._now = folder, identity, head, now

    @property
    def head(self) -> Head | None:
        """How far it has come; None before the first entry."""
        return self._head

    @property
    def known_head(self) -> Head:
        """How far it has come, once it holds an entry: always, after `open_ledger`."""
        if self._head is None:
            raise ValueError("the ledger holds no entry")
        return self._head

    def append(self, event: Event) -> Entry:
        """Write an entry; when this returns, it is on the disk.

        Raises: EngineError: if the disk is full; the ledger is as it was.
        """
        count, previous = (0, BEGINNING) if self._head is None else (self._head.count, self._head.hash)
        entry = Entry(number=count, at=self._now(), what=event, previous=previous)
        entry = entry.model_copy(update={"signature": self._identity.sign(entry.signed_bytes()).hex()})
        path = ledger_path(self._folder)
        before = path.stat().st_size if path.exists() else 0
        try:
            with path.open("ab") as file:
                file.write(entry.line() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            self._head = _save_head(self._folder, self._identity, count + 1, digest(entry.line()))
        except (OSError, EngineError) as error:
            os.truncate(path, before)
            raise EngineError(
                f"The ledger in {self._folder} could not be written: {error}",
                "Free some space; nothing is sent or received without an entry.",
            ) from error
        return entry


@contextmanager
def open_ledger(
    folder: Path,
    owner: str,
    identity: Identity,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    patience_s: float = 20.0,
) -> Iterator[Ledger]:
    """Open a ledger to append to it, or begin one; no other process can until the block ends.

    A kill at any moment leaves at most a torn last line, which is dropped, or an entry that the head does not know yet,
    which is taken up.

    Args:
        folder: of the ledger.
        owner: the site's or coordinator's name.
        identity: signs the entries.
        now: the clock.
        patience_s: how long to wait for another process that has it open [s]; entries take milliseconds.

    Raises:
        PolicyError: if the ledger was changed, cut short, or belongs to another key.
        EngineError: if another process has it open.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "ledger.lock").open("w") as lock:
        _wait_for(lock, folder, patience_s)
        ledger = Ledger(folder, identity, _taken_up(folder, identity), now)
        if ledger.head is None:
            ledger.append(Opened(owner=owner, public_key=identity.public_key.hex()))
        yield ledger


@contextmanager
def at_rest(folder: Path, patience_s: float = 20.0) -> Iterator[None]:
    """Let nobody append while the block runs; a copy of a ledger, which has no lock, rests anyway.

    Args:
        folder: of the ledger.
        patience_s: how long to wait for a process that has it open [s].

    Raises: EngineError: if another process has it open.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            _wait_for(stack.enter_context((folder / "ledger.lock").open()), folder, patience_s)
        yield


def _wait_for(lock: IO[str], folder: Path, patience_s: float) -> None:
    """Lock the file, within some time."""
    end = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= end:
                raise EngineError(
                    f"The ledger in {folder} is open in another process", "End that process first."
                ) from error
            time.sleep(0.02)


def _save_head(folder: Path, identity: Identity, count: int, last: str) -> Head:
    head = Head(count=count, hash=last)
    head = head.model_copy(update={"signature": identity.sign(head.signed_bytes()).hex()})
    write_bytes(_head_path(folder), canonical(head.model_dump(mode="json")))
    return head


def _taken_up(folder: Path, identity: Identity) -> Head | None:
    """The head to go on from, after what a kill may have left was put right."""
    path, head = ledger_path(folder), read_head(folder)
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    lines = whole.splitlines()
    known = 0 if head is None else head.count
    if head is not None and not is_signed_by(identity.public_key, bytes.fromhex(head.signature), head.signed_bytes()):
        raise _changed(folder, "its head is not signed by this identity")
    if head is None and (_head_path(folder).exists() or len(lines) > 1):
        raise _changed(folder, "its head is missing or damaged")
    if len(lines) not in (known, known + 1) or (head is not None and digest(lines[known - 1]) != head.hash):
        raise _changed(folder, f"it has {len(lines)} entries, its head knows {known}")
    if len(whole) != len(content):
        os.truncate(path, len(whole))
    if len(lines) == known:
        return head
    entry, previous = parse(lines[-1]), BEGINNING if head is None else head.hash
    if entry is None or entry.number != known or entry.previous != previous or not _is_signed(entry, identity):
        raise _changed(folder, f"entry {known} does not follow the one before it")
    return _save_head(folder, identity, known + 1, digest(lines[-1]))


def _is_signed(entry: Entry, identity: Identity) -> bool:
    return is_signed_by(identity.public_key, bytes.fromhex(entry.signature), entry.signed_bytes())


def _changed(folder: Path, what: str) -> PolicyError:
    return PolicyError(
        f"The ledger in {folder} was changed: {what}", "Find out by whom; `flame verify` shows where. Keep the file."
    )
