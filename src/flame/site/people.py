"""The people of a site who may decide, and what they sign.

A person's private key stays with the person; the site keeps the public half in `people/<name>.pub` and in its ledger.
Both must agree: a file that somebody puts there by hand makes nobody a person of the site, and deleting one takes away
its owner's say, and with it the jobs that stand on it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import StringConstraints, ValidationError

from flame.errors import ConfigError, EngineError, PolicyError
from flame.files import write_bytes
from flame.settings import Settings
from flame.site.entries import Event, Name, Registered, canonical, digest
from flame.site.history import recorded
from flame.site.identity import Identity, is_signed_by, read_public_key
from flame.site.ledger import Ledger

__all__ = ["Person", "SignedRecord", "enter", "key_of", "read_record", "refuse_unsigned", "register", "signed"]

_NAME = re.compile(r"\w[\w.-]{0,63}")


@dataclass(frozen=True)
class Person:
    """Who decides: the name under which the site knows them, and their key pair."""

    name: str
    identity: Identity


class SignedRecord(Settings):
    """What a person signs: by whom, when (UTC), and the Ed25519 signature of all the rest."""

    by: Name
    at: datetime
    signature: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{128})?$")] = ""

    def signed_bytes(self) -> bytes:
        """What the signature stands for: all but itself."""
        return canonical(self.model_dump(mode="json", exclude={"signature"}))

    def content(self) -> bytes:
        """The record as it stands in its file; there is one form only."""
        return canonical(self.model_dump(mode="json")) + b"\n"

    def digest(self) -> str:
        """SHA-256 of the file's content, 64 hexadecimal digits."""
        return digest(self.content())


R = TypeVar("R", bound=SignedRecord)


def register(folder: Path, ledger: Ledger, name: str, public_key: bytes) -> None:
    """Let a person of the site decide from now on; the same name and key once more change nothing.

    The file is written before the ledger's entry. A kill between them leaves a person who can't decide yet; the next
    call writes the entry.

    Args:
        folder: of the site.
        ledger: of the site, open.
        name: 1 to 64 letters, digits, `_`, `.` or `-`, the first a letter or digit.
        public_key: 32 bytes.

    Raises:
        ConfigError: if the name can't be used.
        PolicyError: if the name has another key, or the key another name; nothing is written.
        EngineError: if the disk is full; nothing is written.
    """
    path, known = _path(folder, name), _registered(recorded(folder))
    if known.get(name, public_key.hex()) != public_key.hex():
        raise PolicyError(
            f"{name!r} is registered with another key",
            "Choose a new name for the new key; what the old one signed stays valid.",
        )
    owners = [other for other, key in known.items() if key == public_key.hex() and other != name]
    if owners:
        raise PolicyError(f"This key is registered for {owners[0]!r}", "Each person needs a key of their own.")
    write_bytes(path, public_key.hex().encode() + b"\n")
    if name not in known:
        enter(ledger, Registered(person=name, public_key=public_key.hex()), path)


def key_of(folder: Path, name: str, events: Sequence[Event]) -> bytes:
    """The public key, 32 bytes, of a person of the site.

    Args:
        folder: of the site.
        name: of the person.
        events: of the site's ledger, see `history.recorded`.

    Raises: PolicyError: if nobody of that name is registered, or file and ledger do not agree.
    """
    known = _registered(events).get(name)
    if known is None:
        raise PolicyError(f"Nobody is registered here as {name!r}", "Register them: `flame site register`.")
    try:
        key = read_public_key(_path(folder, name))
    except ConfigError as error:
        raise PolicyError(f"{name!r} is no longer registered here: {error.message}", error.hint) from error
    if key.hex() != known:
        raise PolicyError(
            f"The key of {name!r} is not the one in the ledger", f"Restore {_path(folder, name)} from a copy."
        )
    return key


def signed(record: R, person: Person) -> R:
    """The record with the person's signature."""
    return record.model_copy(update={"signature": person.identity.sign(record.signed_bytes()).hex()})


def refuse_unsigned(folder: Path, record: SignedRecord, events: Sequence[Event]) -> None:
    """Refuse a record that the person whom it names has not signed.

    Raises: PolicyError: if the person is not registered, or the signature is not theirs.
    """
    if not is_signed_by(key_of(folder, record.by, events), bytes.fromhex(record.signature), record.signed_bytes()):
        raise PolicyError(
            f"The signature is not the one of {record.by!r}", "Sign with the key that is registered for that name."
        )


def read_record(path: Path, kind: type[R]) -> R | None:
    """The record in a file, its signature unverified; None if the file holds anything else, be it by one byte."""
    content = path.read_bytes()
    try:
        record = kind.model_validate_json(content)
    except ValidationError:
        return None
    return record if record.content() == content else None


def enter(ledger: Ledger, event: Event, path: Path) -> None:
    """Append the entry of a file that was just written; if that fails, the file goes too, so that nothing was done.

    Raises: EngineError: if the disk is full.
    """
    try:
        ledger.append(event)
    except EngineError:
        path.unlink()
        raise


def _registered(events: Sequence[Event]) -> dict[str, str]:
    return {event.person: event.public_key for event in events if isinstance(event, Registered)}


def _path(folder: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} can't be the name of a person", "Use up to 64 letters, digits, `_`, `.` or `-`, no spaces."
        )
    return folder / "people" / f"{name}.pub"
