"""What a ledger says has happened, for whoever only reads it: its events, once its head and its chain hold."""

from pathlib import Path

from flame.errors import PolicyError
from flame.site.entries import Event, digest
from flame.site.identity import PUBLIC, is_signed_by, read_public_key
from flame.site.ledger import BEGINNING, Head, ledger_path, parse, read_head

__all__ = ["recorded"]


def recorded(folder: Path) -> tuple[Event, ...]:
    """Events of the ledger in a site's folder, the oldest first; none if no ledger was begun.

    The signed head names the hash of the last entry, and each entry the hash of the one before it, so one signature
    speaks for all. An entry that the head does not know yet is left out: a kill came between the two, and `open_ledger`
    takes it up.

    Args:
        folder: of the site, with `ledger.jsonl`, `ledger.head` and `identity.pub`.

    Raises:
        PolicyError: if the ledger was changed, cut short, or belongs to another key.
        ConfigError: if there is no `identity.pub`.
    """
    path, head = ledger_path(folder), read_head(folder)
    content = path.read_bytes() if path.exists() else b""
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    if head is None:
        if len(lines) > 1:
            raise _changed(folder, "its head is missing or damaged")
        return ()
    if not is_signed_by(read_public_key(folder / PUBLIC), _signature(head), head.signed_bytes()):
        raise _changed(folder, "its head is not signed by this site")
    if len(lines) not in (head.count, head.count + 1):
        raise _changed(folder, f"it has {len(lines)} entries, its head knows {head.count}")
    events: list[Event] = []
    previous = BEGINNING
    for place, line in enumerate(lines[: head.count]):
        entry = parse(line)
        if entry is None or entry.previous != previous:
            raise _changed(folder, f"entry {place} does not follow the one before it")
        events.append(entry.what)
        previous = digest(line)
    if previous != head.hash:
        raise _changed(folder, "its last entry is not the one that its head knows")
    return tuple(events)


def _signature(head: Head) -> bytes:
    """The head's signature; nothing, which no key signs with, if it isn't hexadecimal."""
    try:
        return bytes.fromhex(head.signature)
    except ValueError:
        return b""


def _changed(folder: Path, what: str) -> PolicyError:
    return PolicyError(
        f"The ledger in {folder} was changed: {what}", "Find out by whom; `flame verify` shows where. Keep the file."
    )
