"""A site's or coordinator's identity: an Ed25519 key pair whose private half never leaves its folder."""

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flame.errors import ConfigError
from flame.files import write_bytes

__all__ = ["Identity", "is_signed_by", "make_identity", "read_identity", "read_public_key"]

PRIVATE, PUBLIC = "identity.key", "identity.pub"


class Identity:
    """Signs bytes; `public_key` is 32 bytes that others verify with. It shows nothing of the private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes_raw()

    def sign(self, content: bytes) -> bytes:
        """The signature of `content`, 64 bytes (RFC 8032); the same content gives the same signature."""
        return self._key.sign(content)


def make_identity(folder: Path) -> Identity:
    """Make a new key pair in `folder`: `identity.key`, for its owner's eyes only, and `identity.pub` to hand out.

    Raises: ConfigError: if there is one already; a key that was lost or replaced breaks all that it has signed.
    """
    private = folder / PRIVATE
    folder.mkdir(parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigError(f"{private} exists already", "Use it, or choose another folder.") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    identity = Identity(key)
    write_bytes(folder / PUBLIC, identity.public_key.hex().encode() + b"\n")
    return identity


def read_identity(folder: Path) -> Identity:
    """The key pair in `folder`.

    Raises: ConfigError: if there is none, it is no Ed25519 key, or others may read it.
    """
    private = folder / PRIVATE
    if not private.exists():
        raise ConfigError(f"{private} does not exist", "Make an identity first, or check the path.")
    if private.stat().st_mode & 0o077:
        raise ConfigError(f"{private} can be read by others", f"Run: chmod 600 {private}")
    try:
        key = serialization.load_pem_private_key(private.read_bytes(), password=None)
    except ValueError as error:
        raise ConfigError(f"{private} holds no private key", "Restore it from a copy.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{private} is not an Ed25519 key", "Restore it from a copy.")
    return Identity(key)


def read_public_key(path: Path) -> bytes:
    """A public key, 32 bytes, from `identity.pub`.

    Raises: ConfigError: if the file is missing or holds something else.
    """
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist", "Check the path.") from error
    except ValueError as error:
        raise ConfigError(f"{path} holds no public key", "Ask its owner for identity.pub.") from error
    if len(key) != 32:
        raise ConfigError(f"{path} holds {len(key)} bytes, a public key has 32", "Ask its owner for identity.pub.")
    return key


def is_signed_by(public_key: bytes, signature: bytes, content: bytes) -> bool:
    """Whether the owner of a public key signed the content."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True
