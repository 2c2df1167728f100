"""A site's secret that its noise is drawn from: the same question gets the same noise, any other question fresh noise.

`noise.key` in the site's folder holds 32 random bytes, made when they are first needed. Who has them can take the noise
away from the answers that were given. If they are lost, answers that are asked again get other noise, and are charged
again.
"""

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from flame import __version__
from flame.errors import ConfigError
from flame.files import replacing
from flame.site.entries import canonical, digest

__all__ = ["noise_secret", "noise_seed", "occasion"]

_FILE = "noise.key"


def noise_secret(folder: Path) -> bytes:
    """The secret of a site, 32 bytes; drawn if there is none.

    Args:
        folder: of the site. Its ledger is to be open, so that no other process draws one at the same time.

    Raises:
        ConfigError: if the file can be read by others, or is damaged.
        EngineError: if the disk is full.
    """
    path = folder / _FILE
    if not path.exists():
        with replacing(path) as temporary:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(32))
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path} can be read by others", f"Run: chmod 600 {path}")
    content = path.read_bytes()
    if len(content) != 32:
        raise ConfigError(f"{path} holds {len(content)} bytes, a secret has 32", "Restore it from a copy.")
    return content


def noise_seed(secret: bytes, job: str, round: int, model: str, patients: str) -> bytes:
    """The seed of a round's noise, 32 bytes (HKDF-SHA256, RFC 5869).

    Args:
        secret: of the site.
        job: hash of the job.
        round: of the job, from 0.
        model: SHA-256 of the model that the site is asked to train.
        patients: SHA-256 of all that says which patients are trained on, and from which files.
    """
    # Another version may compute another gradient, which the same noise must not cover twice.
    question = canonical(["flame-noise/1", __version__, job, round, model, patients])
    return HKDF(SHA256(), 32, salt=None, info=question).derive(secret)


def occasion(seed: bytes) -> str:
    """The name of a round's noise in the ledger, 64 hexadecimal digits; the seed can't be told from it."""
    return digest(b"flame-occasion/1" + seed)
