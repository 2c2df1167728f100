"""Audit of ledgers: is one whole and untouched, and do two sides tell the same story?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flame.errors import DataError
from flame.site.entries import Entry, Opened, Received, Sent, digest
from flame.site.identity import is_signed_by
from flame.site.ledger import BEGINNING, at_rest, ledger_path, parse, read_head

__all__ = ["Audit", "Flaw", "audit", "compare"]


@dataclass(frozen=True)
class Flaw:
    """What is wrong: at which entry (its line, from 0), or None where it is about the whole; and in words."""

    entry: int | None
    what: str


@dataclass(frozen=True)
class Audit:
    """Entries that could be read, by their line, and every flaw."""

    entries: tuple[Entry, ...]
    hashes: tuple[str, ...]
    flaws: tuple[Flaw, ...]

    @property
    def owner(self) -> str | None:
        """Whose ledger it says it is."""
        first = self.entries[0].what if self.entries else None
        return first.owner if isinstance(first, Opened) else None


def audit(folder: Path, public_key: bytes) -> Audit:
    """Check every entry of a ledger: its form, number, time, hash chain and signature, and the head.

    Args:
        folder: of the ledger.
        public_key: of its owner, from a source that is not the ledger.

    Raises:
        DataError: if there is no ledger.
        EngineError: if something is wrong, and a process that has the ledger open does not end.
    """
    found = _audit(folder, public_key)
    if not found.flaws:
        return found
    with at_rest(folder):  # an entry may have been written meanwhile, of which the head did not know yet
        return _audit(folder, public_key)


def _audit(folder: Path, public_key: bytes) -> Audit:
    path = ledger_path(folder)
    if not path.exists():
        raise DataError(f"{folder} holds no ledger", "Check the path; the file is ledger.jsonl.")
    content = path.read_bytes()
    lines = content.splitlines()
    flaws: list[Flaw] = []
    entries: list[Entry] = []
    for place, line in enumerate(lines):
        entry = parse(line)
        if entry is None:
            flaws.append(Flaw(place, "is not an entry"))
            continue
        before = digest(lines[place - 1]) if place else BEGINNING
        flaws += [Flaw(place, what) for what in _entry_flaws(entry, place, before, entries, public_key)]
        entries.append(entry)
    flaws += [Flaw(None, what) for what in _head_flaws(folder, lines, public_key)]
    if content and not content.endswith(b"\n"):
        flaws.append(Flaw(None, "the last line is torn"))
    return Audit(tuple(entries), tuple(digest(line) for line in lines), tuple(flaws))


def _entry_flaws(entry: Entry, place: int, before: str, earlier: Sequence[Entry], public_key: bytes) -> Iterator[str]:
    if entry.number != place:
        yield f"is numbered {entry.number}"
    if entry.previous != before:
        yield "does not follow the entry before it"
    if not is_signed_by(public_key, bytes.fromhex(entry.signature), entry.signed_bytes()):
        yield "is not signed by the ledger's owner"
    if earlier and entry.at < earlier[-1].at:
        yield "is earlier than the entry before it: the clock was set back, or entries were moved"
    if isinstance(entry.what, Opened) != (place == 0):
        yield "opens the ledger" if place else "does not open the ledger"


def _head_flaws(folder: Path, lines: Sequence[bytes], public_key: bytes) -> Iterator[str]:
    head = read_head(folder)
    if head is None:
        yield "the head is missing or damaged"
    elif not is_signed_by(public_key, bytes.fromhex(head.signature), head.signed_bytes()):
        yield "the head is not signed by the ledger's owner"
    elif head.count != len(lines):
        yield f"there are {len(lines)} entries, but the head knows {head.count}"
    elif digest(lines[-1]) != head.hash:
        yield "the last entry is not the one that the head knows"


def compare(mine: Audit, theirs: Audit) -> tuple[Flaw, ...]:
    """Where two ledgers contradict each other about what one sent and the other received.

    A message that was sent and never arrived is no contradiction: connections break. A message that one side has
    received must be one that the other has sent; and where the receiver noted how long the sender's ledger was, it must
    still be that long, with the same entry at that place. Flaws name the entry of `mine`, or None for one of `theirs`.
    """
    flaws = [Flaw(number, what) for number, what in _unsent(mine, theirs)]
    flaws += [Flaw(None, f"entry {number} of {theirs.owner}: {what}") for number, what in _unsent(theirs, mine)]
    return tuple(flaws)


def _unsent(receiver: Audit, sender: Audit) -> Iterator[tuple[int, str]]:
    """What the receiver has received from the sender, and the sender has not, or no longer, sent."""
    sent: dict[tuple[str, int], set[str]] = {}  # a round that is asked again may get another answer
    for one in sender.entries:
        if isinstance(one.what, Sent) and one.what.peer == receiver.owner:
            sent.setdefault((one.what.job, one.what.round), set()).add(one.what.digest)
    for entry in receiver.entries:
        what = entry.what
        if not isinstance(what, Received) or what.peer != sender.owner:
            continue
        known = sent.get((what.job, what.round))
        if known is None:
            yield entry.number, f"round {what.round}: {sender.owner} has no entry of having sent this"
        elif what.digest not in known:
            yield entry.number, f"round {what.round}: {sender.owner} says that it sent something else"
        if what.peer_count is not None and what.peer_head is not None:
            there = sender.hashes[what.peer_count - 1] if what.peer_count <= len(sender.hashes) else None
            if there != what.peer_head:
                yield entry.number, f"the ledger of {sender.owner} was changed or cut short since"
