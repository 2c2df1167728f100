"""A site's secret key, and the names, identifiers and dates that it makes out of a hospital's.

There is no table of identities. Whoever holds the key can compute a pseudonym again from the original; nobody can go
back from a pseudonym, and two sites' pseudonyms of one person have nothing in common. So the key is worth as much as
the identities: it stays in one file that only its owner can read, and never shows in text.
"""

import base64
import hashlib
import hmac
import os
import secrets
import uuid
from pathlib import Path

from flame.errors import ConfigError

__all__ = ["LONGEST_SHIFT", "Key"]

LONGEST_SHIFT = 3650
"""Dates are moved back by 1 to this many days."""

_BYTES = 32


class Key:
    """32 secret bytes; HMAC-SHA256 (RFC 2104) with one purpose per kind of pseudonym. It never shows the bytes.

    Args:
        secret: 32 bytes from a source fit for keys.

    Raises: ValueError: if there are not 32 bytes.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != _BYTES:
            raise ValueError(f"A key has {_BYTES} bytes")
        self._secret = secret

    def __repr__(self) -> str:
        return "Key(secret)"

    @staticmethod
    def load_or_create(path: Path) -> "Key":
        """The key in `path`; a new one, written for its owner's eyes only, if there is none.

        Raises: ConfigError: if others may read the file, or it holds something else.
        """
        if not path.exists():
            _create(path)
        return Key(_load(path))

    def patient_id(self, original: str) -> str:
        """The site's id of a patient: `P` and 10 letters or digits. Blanks around the original do not count."""
        return "P" + base64.b32encode(self._digest("patient", _bare(original))).decode("ascii")[:10]

    def uid(self, original: str) -> str:
        """A unique identifier in the place of another: `2.25.` and a UUID as a number (PS3.5 annex B.2)."""
        return f"2.25.{uuid.UUID(bytes=self._digest('uid', _bare(original))[:16], version=4).int}"

    def days_offset(self, original_patient_id: str) -> int:
        """Days that are added to every date of a patient: a secret number from -1 to -`LONGEST_SHIFT`."""
        number = int.from_bytes(self._digest("days", _bare(original_patient_id)), "big")
        return -1 - number % LONGEST_SHIFT

    def mark(self, patient_id: str, sop_uid: str) -> str:
        """What shows that this key made a de-identified instance, 16 letters or digits; takes the new identifiers."""
        return base64.b32encode(self._digest("mark", f"{patient_id}\0{sop_uid}")).decode("ascii")[:16]

    def _digest(self, purpose: str, text: str) -> bytes:
        message = purpose.encode("ascii") + b"\0" + text.encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, message, hashlib.sha256)


def _bare(text: str) -> str:
    return text.strip(" \0\t\r\n")


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_BYTES).hex().encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # fails where another process was faster: then its key is the key
    except FileExistsError:
        return
    finally:
        temporary.unlink(missing_ok=True)


def _load(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise ConfigError(
            f"The key {path} can be read by others",
            f"Run: chmod 600 {path}. If somebody may have read it, what it made is no longer pseudonymous.",
        )
    content = path.read_bytes().strip()
    if len(content) == 2 * _BYTES and not content.strip(b"0123456789abcdef"):
        return bytes.fromhex(content.decode("ascii"))
    raise ConfigError(f"{path} holds no key of a site", "Restore it from a copy; with another key nothing fits.")
