"""The certificates of a start-up kit, with which sites prove to each other who they are."""

from pathlib import Path

from flame.errors import ConfigError
from flame.federation.credentials import Passport

__all__ = ["AUTHORITY", "read_passport"]

AUTHORITY = Path("startup") / "rootCA.pem"
"""The authority's certificate in every kit."""


def read_passport(kit: Path) -> Passport:
    """The certificates in a site's kit.

    Raises: ConfigError: if one is missing.
    """
    paths = [kit / "startup" / "client.crt", kit / "startup" / "client.key", kit / AUTHORITY]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise ConfigError(f"{missing[0]} does not exist", "Unpack the kit again.")
    certificate, private_key, authority = (path.read_bytes() for path in paths)
    return Passport(certificate, private_key, authority)
