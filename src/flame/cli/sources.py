"""Where DICOM comes from or goes to, as a user writes it: a folder, a PACS or a DICOMweb service."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flame.dicom.ingest import Source

__all__ = ["source_from"]


def source_from(source: str, own_title: str, own_port: int, own_address: str, get: bool, ca: Path | None) -> "Source":
    """The source that a text names: `pacs://TITLE@host:port`, `https://host/path`, else a folder.

    Args:
        own_title, own_port: this machine's, as entered in the PACS.
        own_address: that the PACS sends to; empty for all that this machine has.
        get: fetch by C-GET instead of C-MOVE.
        ca: certificates (PEM) by which to know a DICOMweb service.

    Raises: ConfigError: if it is no such address, or holds an account.
    """
    from urllib.parse import urlsplit

    from flame.dicom.arrival.pacs import Peer
    from flame.dicom.arrival.web import Service
    from flame.errors import ConfigError

    if source.startswith(("http://", "https://")):
        if "@" in urlsplit(source).netloc:
            raise ConfigError(
                "The address holds an account", "Set FLAME_DICOMWEB_USER and FLAME_DICOMWEB_PASSWORD instead."
            )
        return Service(source, ca)
    if not source.startswith("pacs://"):
        return Path(source)
    title, _, rest = source.removeprefix("pacs://").rpartition("@")
    host, _, port = rest.rpartition(":")
    if not title or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f"{source!r} is not the address of a PACS", "Give it as pacs://TITLE@host:port.")
    return Peer(host.strip("[]"), int(port), title, own_title, own_port, own_address, "get" if get else "move")
