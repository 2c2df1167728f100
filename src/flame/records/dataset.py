"""A site's folder on disk (BIDS) as records, and back."""

from dataclasses import dataclass
from pathlib import Path

from flame.records.patient import Patient

__all__ = ["Site", "read_site", "write_site"]


@dataclass(frozen=True)
class Site:
    """A hospital's folder: its name, where it is, and its patients in order of id."""

    name: str
    folder: Path
    patients: tuple[Patient, ...]


def read_site(folder: Path) -> Site:
    """Read a site's BIDS folder. Raises DataError."""
    raise NotImplementedError


def write_site(site: Site) -> None:
    """Write all tables and sidecars of a site whose image files already lie under `site.folder`."""
    raise NotImplementedError
